"""What tuning shows of an arm beside its choice: its loss against each setting, how wide its best is, what trying gave.

A value that was dropped has fewer seeds than the best, and seeds differ more than values do near the best. So a value's
level is that of the best plus how far it was behind it on the seeds that both have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simplify.tune.study import DIVERGED, Arm, Place, Results, Study, Trial

WITHIN = 0.02  # nats above the best, up to which a value belongs to the basin


@dataclass(frozen=True)
class Tried:
    """One place of an arm on the tuning seeds of all studies. Losses in nats.

    `losses`: by seed, the mean over the arm's cells, the loss at initialisation where one diverged or ended above it.
    """

    losses: Mapping[int, float]
    level: float
    diverged: bool


@dataclass(frozen=True)
class Basin:
    """How wide, in octaves, the values round the best are whose level is within WITHIN of it.

    `is_open`: it reaches the last value that was tried, so it is at least that wide.
    """

    octaves: float
    is_open: bool


def tried(arm: Arm, study: Study, results: Results, cells: Sequence[int] | None = None) -> dict[Place, Tried]:
    """What has ended of an arm's tuning, by place, ascending; `cells`: of these alone."""
    counted = range(arm.cells) if cells is None else cells
    places = sorted({trial.place for trial in results if trial.part == "tune" and trial.arm == arm.name})
    losses: dict[Place, dict[int, float]] = {place: {} for place in places}
    diverged: set[Place] = set()
    for number, seeds in enumerate(study.rules.seeds):
        for place in places:
            for seed in seeds:
                found = [results.get(Trial("tune", number, arm.name, cell, place, seed)) for cell in counted]
                ended = [value for value in found if value is not None]
                if len(ended) < len(found) or not ended:
                    continue
                if DIVERGED in ended:
                    diverged.add(place)
                    losses[place][seed] = study.ceiling
                else:
                    losses[place][seed] = math.fsum(min(value, study.ceiling) for value in ended) / len(ended)
    there = {place: row for place, row in losses.items() if row}
    levels = _levels(there, diverged, study.ceiling)
    return {place: Tried(row, levels[place], place in diverged) for place, row in there.items()}


def _levels(losses: Mapping[Place, Mapping[int, float]], diverged: set[Place], ceiling: float) -> dict[Place, float]:
    """Each place's level; of those that diverged the loss at initialisation."""
    fit = {place: row for place, row in losses.items() if place not in diverged}
    if not fit:
        return dict.fromkeys(losses, ceiling)
    best = min(fit, key=lambda place: (-len(fit[place]), _mean(fit[place].values()), place))
    middle, found = _mean(fit[best].values()), dict.fromkeys(losses, ceiling)
    for place, row in fit.items():
        common = [seed for seed in row if seed in fit[best]]
        behind = _mean([row[seed] - fit[best][seed] for seed in common]) if common else None
        found[place] = _mean(row.values()) if behind is None else min(middle + behind, ceiling)
    return found


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return math.fsum(known) / len(known)


def best_level(places: Mapping[Place, Tried]) -> float | None:
    """The lowest level of a place that did not diverge."""
    return min((one.level for one in places.values() if not one.diverged), default=None)


def profile(places: Mapping[Place, Tried], at: int) -> dict[int, float]:
    """The level at each value of one ladder, ascending, the other settings at the best that was tried with it."""
    found: dict[int, float] = {}
    for place, one in sorted(places.items()):
        found[place[at]] = min(one.level, found.get(place[at], math.inf))
    return dict(sorted(found.items()))


def sensitivity(arm: Arm, places: Mapping[Place, Tried], at: int) -> float | None:
    """Mean over a ladder's window of min(loss, loss at initialisation) - best, in nats (arXiv 2309.14322, section 2.2).

    None until all of the window has been tried.
    """
    levels, best = profile(places, at), best_level(places)
    first, last = arm.ladders[at].window
    window = [levels.get(value) for value in range(first, last + 1)]
    known = [level for level in window if level is not None]
    return None if best is None or len(known) < len(window) else _mean(known) - best


def basin(arm: Arm, places: Mapping[Place, Tried], at: int, within: float = WITHIN) -> Basin | None:
    """The width round the best on a logarithmic axis, levels straight between the values that were tried.

    None where nothing is known, or the values have no logarithm.
    """
    values, levels, best = arm.ladders[at].values, profile(places, at), best_level(places)
    indices = [index for index in levels if values[index] > 0]
    if best is None or len(indices) < len(levels):
        return None
    axis, heights = [math.log2(values[index]) for index in indices], [levels[index] - best for index in indices]
    lowest = heights.index(min(heights))
    left, left_open = _reach(axis[lowest::-1], heights[lowest::-1], within)
    right, right_open = _reach(axis[lowest:], heights[lowest:], within)
    return Basin(left + right, left_open or right_open)


def _reach(axis: Sequence[float], heights: Sequence[float], limit: float) -> tuple[float, bool]:
    """How far from its first point a line stays within the limit, and whether it does so to its end."""
    for number in range(1, len(axis)):
        if heights[number] > limit:
            low, high = heights[number - 1], heights[number]
            share = (limit - low) / (high - low)
            return abs(axis[number - 1] + share * (axis[number] - axis[number - 1]) - axis[0]), False
    return abs(axis[-1] - axis[0]), True


def expected_best(values: Sequence[float]) -> list[float]:
    """The expected lowest of 1, 2, ... of these values, drawn without replacement: unbiased (Tang et al., 2004.13705).

    E[min of n] = sum_j v_(j) C(B - j, n - 1) / C(B, n), with the B values ascending and j from 1 on.
    """
    ordered, total = sorted(values), len(values)
    return [
        math.fsum(value * math.comb(total - j, n - 1) for j, value in enumerate(ordered, start=1)) / math.comb(total, n)
        for n in range(1, total + 1)
    ]
