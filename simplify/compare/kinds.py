"""Which variant a run is of, where its settings do not say: those of a tuned comparison differ in what was chosen."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A row of a tuned comparison: what has a choice of its own, and which of the settings that it is compared at."""

    arm: str
    cell: int


@dataclass(frozen=True)
class Kinds:
    """The variants among some runs, in `order`.

    `of`: each run's kind, by id. `bases`: what the others are held against. `spare`: ids of runs by which a variant
    without runs is known, and which are none of its own. `units`: by run id, what its pairs are of, where these are no
    seeds. `keys`: settings that names leave out.
    """

    of: Mapping[str, Kind]
    order: Sequence[Kind]
    bases: frozenset[Kind]
    spare: frozenset[str]
    units: Mapping[str, Hashable]
    keys: tuple[str, ...]


def without(config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A configuration without these settings."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if name in keys:
            continue
        rest = [key.partition(".")[2] for key in keys if key.startswith(f"{name}.")]
        found[name] = without(value, rest) if rest and isinstance(value, Mapping) else value
    return found
