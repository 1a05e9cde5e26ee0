"""Tuned comparisons with known curves: whether their verdicts hold, and what racing saves and costs.

    benchmarks/tuning.py [--studies 4000] [--noise 0.01]

Simulated runs, decided by the function that lanes and jobs ask (`simplify.tune.decide`) and compared by the one that
reports use; both blocks are equally good at their best, so every verdict is a false one. Seven rates, three tuning and
three final seeds (tests/tuning_tools.py). The last lines are what happens without: a rate chosen on the seeds that are
reported.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tuning_tools import SHAPES, Curve, Luck, chosen, equal_trials, false_by_choosing, grid, judged, played, tuning_runs

from simplify.compare.statistics import of_gaps
from simplify.tune.study import Study

NAMES = ("pre_ln", "sas")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--noise", type=float, default=0.01)
    asked = parser.parse_args()
    print(f"{asked.studies} studies a line, deviation of a run {asked.noise:g} nats")
    print("curves | covers the truth at what was chosen, at the best | better, worse | runs of 21 | regret, of all 21")
    for name, curves in SHAPES.items():
        print(f"{name} | {line(curves, asked.studies, asked.noise)}", flush=True)
    number = max(asked.studies // 4, 1)
    print(f"three studies each, {number} times: curves | covers the truth at the best | better, worse")
    for name, curves in SHAPES.items():
        print(f"{name} | {repeated(curves, number, asked.noise)}", flush=True)
    dice = random.Random(6)
    for rates in (5, 12):
        false = statistics.fmean(false_by_choosing(rates, dice, asked.noise) for _ in range(asked.studies))
        print(f"the best of {rates} equal rates on the reported seeds: {100 * false:.1f}% false `better`", flush=True)


def line(curves: tuple[Curve, Curve], studies: int, noise: float) -> str:
    """One study each."""
    raced, whole = grid(*NAMES), grid(*NAMES, race=False)
    counts: Counter[str] = Counter()
    runs: list[int] = []
    regrets: tuple[list[float], list[float]] = ([], [])
    for world in range(studies):
        luck = Luck(dict(zip(NAMES, curves, strict=True)), world, own=noise)
        decision, results = played(raced, luck)
        places = [chosen(decision, name) for name in NAMES]
        gap = judged(results, NAMES[1], NAMES[0])
        sides = gap.interval(0.05) if gap else None
        assert sides is not None and None not in places and equal_trials(decision, *NAMES)
        counts["at what was chosen"] += sides[0] <= regret(curves, places, 1) - regret(curves, places, 0) <= sides[1]
        counts["at the best"] += sides[0] <= 0 <= sides[1]
        counts["better"] += sides[1] < 0
        counts["worse"] += sides[0] > 0
        runs += [tuning_runs(results, name) for name in NAMES]
        other = played(whole, luck)[0]
        for found, decided in zip(regrets, (decision, other), strict=True):
            found += [regret(curves, [chosen(decided, name) for name in NAMES], number) for number in range(2)]
    covered, best, better, worse = (
        f"{100 * counts[what] / studies:.1f}%" for what in ("at what was chosen", "at the best", "better", "worse")
    )
    mine, full = map(statistics.fmean, regrets)
    return f"{covered}, {best} | {better}, {worse} | {statistics.fmean(runs):.1f} | {mine:.5f}, {full:.5f}"


def regret(curves: tuple[Curve, Curve], places: list, number: int) -> float:
    """By how much the expected loss at a choice is above the best on the grid, which is on it."""
    return curves[number](places[number]) - curves[number].best


def repeated(curves: tuple[Curve, Curve], times: int, noise: float) -> str:
    """Three studies, whose mean differences are compared."""
    asked: Study = grid(*NAMES, studies=3)
    counts: Counter[str] = Counter()
    for world in range(times):
        _, results = played(asked, Luck(dict(zip(NAMES, curves, strict=True)), world, own=noise))
        parts = [judged(results, NAMES[1], NAMES[0], range(3 * n, 3 * n + 3)) for n in range(3)]
        sides = of_gaps([part.mean for part in parts if part]).interval(0.05)
        assert sides is not None
        counts["covers"] += sides[0] <= 0 <= sides[1]
        counts["better"] += sides[1] < 0
        counts["worse"] += sides[0] > 0
    covers, better, worse = (f"{100 * counts[what] / times:.1f}%" for what in ("covers", "better", "worse"))
    return f"{covers} | {better}, {worse}"


if __name__ == "__main__":
    main()
