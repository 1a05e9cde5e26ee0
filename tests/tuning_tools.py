"""Simulated studies with known curves, played through the real rule: no copy of it is here."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from simplify.compare.statistics import Difference, compare
from simplify.tune.decide import Decision, decide
from simplify.tune.study import DIVERGED, Arm, Ladder, Place, Rules, Study, Trial

CEILING = 8.3  # nats at initialisation
SEED, CELL = 0.02, 0.01  # deviations: of what all runs of a seed share, and of a run by itself


@dataclass(frozen=True)
class Curve:
    """Expected loss over places: parabolas around the best, one for either side."""

    at: tuple[float, ...] = (5.0,)  # the best place, a number for each setting
    left: float = 0.02  # nats at one step from the best
    right: float = 0.02
    best: float = 4.5
    diverges: int | None = None  # from this value of the first setting on

    def __call__(self, place: Place) -> float:
        if self.diverges is not None and place[0] >= self.diverges:
            return DIVERGED
        steps = [own - best for own, best in zip(place, self.at, strict=True)]
        return self.best + sum((self.left if step < 0 else self.right) * step**2 for step in steps)


@dataclass
class Luck:
    """The losses of one imagined world: the same trial always has the same one."""

    curves: Mapping[str, Curve]
    world: int
    shared: float = SEED
    own: float = CELL
    _seeds: dict[int, float] = field(default_factory=dict)
    _runs: dict[tuple[str, int, Place, int], float] = field(default_factory=dict)

    def __call__(self, trial: Trial) -> float:
        expected = self.curves[trial.arm](trial.place)
        if trial.seed not in self._seeds:
            self._seeds[trial.seed] = random.Random(f"{self.world} {trial.seed}").gauss(0, self.shared)
        key = (trial.arm, trial.cell, trial.place, trial.seed)
        if key not in self._runs:
            self._runs[key] = random.Random(f"{self.world} {key}").gauss(0, self.own)
        return expected + self._seeds[trial.seed] + self._runs[key]


@lru_cache
def grid(*names: str, race: bool = True, settings: int = 1, edge: int = 2, window: int = 7, studies: int = 1) -> Study:
    """Blocks of which the first is the baseline, each with the same windows, and values beyond both their ends."""
    ladder = Ladder("optimiser.lr", tuple(2.0**step for step in range(window + 2 * edge)), (edge, edge + window - 1))
    ladders = tuple(replace(ladder, key=f"setting{number}") for number in range(settings))
    arms = tuple(Arm(name, ladders, is_baseline=not number) for number, name in enumerate(names))
    seeds = tuple(tuple(range(1000 + 3 * study, 1003 + 3 * study)) for study in range(studies))
    finals = tuple(tuple(range(3 * study, 3 + 3 * study)) for study in range(studies))
    return Study(arms, Rules(seeds, finals, race), CEILING)


def played(
    study: Study, loss: Callable[[Trial], float], dice: random.Random | None = None
) -> tuple[Decision, dict[Trial, float]]:
    """A study to its end, a whole rung at a time, or run by run in the order of the dice."""
    results: dict[Trial, float] = {}
    while missing := (decision := decide(study, results)).missing:
        for trial in missing if dice is None else [dice.choice(missing)]:
            results[trial] = loss(trial)
    return decision, results


def judged(results: Mapping[Trial, float], name: str, base: str, seeds: range | None = None) -> Difference | None:
    """The paired difference of the final runs of two blocks, as reports have it."""
    finals: dict[str, dict[Hashable, float]] = {name: {}, base: {}}
    for trial, loss in results.items():
        if trial.part == "final" and trial.arm in finals and (seeds is None or trial.seed in seeds):
            finals[trial.arm][trial.seed] = loss
    return compare(finals[name], finals[base])


def tuning_runs(results: Mapping[Trial, float], name: str) -> int:
    """Runs that a block's choice took."""
    return sum(trial.part == "tune" and trial.arm == name for trial in results)


def chosen(decision: Decision, name: str, study: int = 0) -> Place | None:
    """What a block has chosen."""
    return decision.choices[study, name].chosen


def worlds(number: int, curves: Mapping[str, Curve]) -> Iterator[Luck]:
    """So many imagined worlds in which the blocks have these curves."""
    return (Luck(curves, world) for world in range(number))


def equal_trials(decision: Decision, base: str, *others: str) -> bool:
    """Whether the baseline has tried as many values as any other block."""
    return all(len(decision.choices[0, base].tried) >= len(decision.choices[0, other].tried) for other in others)


def false_by_choosing(rates: int, dice: random.Random, noise: float, seeds: int = 3) -> bool:
    """Whether the best of several equal rates, chosen on the seeds that are reported, is said to be better."""
    base: dict[Hashable, float] = {seed: dice.gauss(0, noise) for seed in range(seeds)}
    tried: list[dict[Hashable, float]] = [{seed: dice.gauss(0, noise) for seed in range(seeds)} for _ in range(rates)]
    gap = compare(min(tried, key=lambda losses: sum(losses.values())), base)
    return gap is not None and gap.high is not None and gap.high < 0


# Of a baseline and a block that are equally good at their best, each on a value of its own.
SHAPES = {
    "0.08 nats an octave beside the best": (Curve((4.0,), 0.08, 0.08), Curve((6.0,), 0.08, 0.08)),
    "0.02": (Curve((4.0,), 0.02, 0.02), Curve((6.0,), 0.02, 0.02)),
    "0.005": (Curve((4.0,), 0.005, 0.005), Curve((6.0,), 0.005, 0.005)),
    "0.001": (Curve((4.0,), 0.001, 0.001), Curve((6.0,), 0.001, 0.001)),
    "0.08, and 0.003 below the best, 0.1 above": (Curve((5.0,), 0.08, 0.08), Curve((6.0,), 0.003, 0.1)),
    "0.02, the best at an end and beyond": (Curve((2.0,), 0.02, 0.02), Curve((9.0,), 0.02, 0.02)),
}
