"""The decisions of a tuned comparison: the same in any order, and right where the answer is known."""

from __future__ import annotations

import math
import random

import pytest

from simplify.tune.decide import Decision, decide
from simplify.tune.study import DIVERGED, Arm, Ladder, Rules, Study, Trial

CEILING = math.log(4096)


def study(race: bool = True) -> Study:
    """Two blocks, seven rates each, of which the window may grow by two on both sides."""
    ladder = Ladder("optimiser.lr", tuple(2.5e-4 * 2.0**step for step in range(-2, 9)), (2, 8), 4)
    arms = (Arm("pre_ln", (ladder,), is_baseline=True), Arm("sas", (ladder,)))
    return Study(arms, Rules(((1000, 1001, 1002),), ((0, 1, 2),), race), CEILING)


def loss_of(trial: Trial, optima: dict[str, int]) -> float:
    """A parabola over the logarithm of the rate, and noise that is the same at each call."""
    place = trial.place[0] if trial.place else 4
    if place == 10:
        return DIVERGED
    noise = random.Random(trial.seed).gauss(0, 0.02) + random.Random(repr(trial)).gauss(0, 0.01)
    return 4.5 + 0.08 * (place - optima[trial.arm]) ** 2 + noise


def played(asked: Study, optima: dict[str, int], dice: random.Random) -> tuple[Decision, dict[Trial, float]]:
    """The study to its end, its runs ending in a random order."""
    results: dict[Trial, float] = {}
    while missing := (decision := decide(asked, results)).missing:
        trial = dice.choice(missing)
        results[trial] = loss_of(trial, optima)
    return decision, results


@pytest.mark.parametrize("race", [True, False])
def test_the_order_in_which_runs_end_changes_nothing(race: bool) -> None:
    ends = [played(study(race), {"pre_ln": 4, "sas": 9}, random.Random(number)) for number in range(20)]
    assert all(end == ends[0] for end in ends)
    decision = ends[0][0]
    assert decision.phase == "done"
    chosen = {choice.arm.name: choice.chosen for choice in decision.choices.values()}
    assert chosen == {"pre_ln": (4,), "sas": (9,)}
    tried = {choice.arm.name: len(choice.tried) for choice in decision.choices.values()}
    assert tried == {"pre_ln": 9, "sas": 9}  # the baseline has as many values as the other


def test_an_optimum_outside_is_said_to_lie_at_the_edge() -> None:
    decision, _ = played(study(), {"pre_ln": 6, "sas": -3}, random.Random(0))
    assert decision.choices[0, "sas"].lines[0].edges == (0,)
    assert decision.choices[0, "pre_ln"].lines[0].edges == ()
