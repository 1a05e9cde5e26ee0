"""A tuned comparison as data: who has a choice of its own, between which values, judged on which seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Place = tuple[int, ...]  # which value of each ladder, from 0
Part = Literal["tune", "final", "shared"]
DIVERGED = math.inf  # the loss of a run whose loss was no number any more


@dataclass(frozen=True)
class Ladder:
    """The values that a tuned setting may take, ascending: the window tried first, and what it may be extended by."""

    key: str  # the setting, by its full key
    values: tuple[float, ...]
    window: tuple[int, int]  # the first and the last of `values` that are tried whatever comes
    default: int | None = None  # where the untuned value lies, if it is one of them


@dataclass(frozen=True)
class Arm:
    """What has a choice of its own: a block, or whatever `tune.each` tells apart. Without ladders: as it is by default.

    Its loss at a place and a seed is the mean over its `cells`: the settings that it is compared at, mostly one.
    """

    name: str
    ladders: tuple[Ladder, ...]
    cells: int = 1
    is_baseline: bool = False


@dataclass(frozen=True)
class Rules:
    """How a choice is made."""

    seeds: tuple[tuple[int, ...], ...]  # tuning seeds of each study, in the order of the rungs
    finals: tuple[tuple[int, ...], ...]  # final seeds of each study
    race: bool = True  # whether what is clearly behind is dropped before all seeds are spent
    gap: float = 0.03  # nats behind the best on the first seed, from which a place is dropped
    shared: bool = False  # whether final runs are made at the untuned values too


@dataclass(frozen=True)
class Study:
    """A whole tuned comparison. `ceiling`: the loss at initialisation in nats, which a diverged run counts as."""

    arms: tuple[Arm, ...]
    rules: Rules
    ceiling: float


class Trial(NamedTuple):
    """One run of a study. `place` is () where nothing is tuned: a final run at the untuned values."""

    part: Part
    study: int
    arm: str
    cell: int
    place: Place
    seed: int


Results = Mapping[
    Trial, float
]  # validation loss in nats of each finished run; DIVERGED; what is not there has not ended
