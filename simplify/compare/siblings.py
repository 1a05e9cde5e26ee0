"""Finished runs that differ from a run in the block alone: same corpus, model, budget, optimiser and seeds.

They have trained on the same batches in the same order, so their losses can be compared pair by pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simplify.runs.folder import RunFolder


@dataclass(frozen=True)
class Sibling:
    """A finished run, as a row of a comparison."""

    name: str
    result: dict[str, Any]


def siblings(folder: RunFolder) -> list[Sibling]:
    """This run and its siblings in the same run root, best validation loss first."""
    mine = _common(folder)
    found: list[Sibling] = []
    for path in folder.path.parent.glob("*-*"):
        if ".old-" in path.name:  # set aside by --force
            continue
        other = RunFolder(path, path.name.rpartition("-")[2])
        result = other.done()
        if result is not None and mine is not None and _common(other) == mine:
            found.append(Sibling(path.name, result))
    return sorted(found, key=lambda sibling: sibling.result["val/loss"])


def _common(folder: RunFolder) -> dict[str, Any] | None:
    """The identity without the block; None if run.json cannot be read."""
    identity = folder.about().get("identity")
    return {k: v for k, v in identity.items() if k != "block"} if isinstance(identity, dict) else None
