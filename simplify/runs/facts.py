"""The small files of a run folder, read together, and whether its process lives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.runs import shapes
from simplify.runs.files import read_json
from simplify.runs.process import is_alive


@dataclass(frozen=True)
class Facts:
    """The small files of a run folder, each read at most once. None where there is none."""

    done: dict[str, Any] | None
    job: dict[str, Any] | None
    error: dict[str, Any] | None
    cancelled: bool  # the file is there, whatever it says
    names: frozenset[str]  # of all files in the folder

    @property
    def attempt(self) -> dict[str, Any] | None:
        """The newest attempt."""
        attempts = (self.job or {}).get("attempts") or [None]
        return attempts[-1]


def read_facts(folder: Path) -> Facts:
    """What lies in a run folder; missing folders have nothing in them."""
    try:
        names = frozenset(os.listdir(folder))
    except OSError:
        names = frozenset()

    def read(name: str, shape: type[shapes.Shape]) -> dict[str, Any] | None:
        return read_json(folder / name, shape) if name in names else None

    done, job = read("done.json", shapes.Result), read("job.json", shapes.Attempts)
    return Facts(done, job, read("error.json", shapes.Failure), "cancelled.json" in names, names)


def is_training(facts: Facts, folder: Path) -> bool:
    """Whether the newest attempt has not ended and its process lives."""
    attempt = facts.attempt
    return attempt is not None and "ended" not in attempt and is_alive(attempt, folder / "heartbeat")
