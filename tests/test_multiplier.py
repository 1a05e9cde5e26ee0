"""What a block is worth in the baseline's compute, on ladders whose law is known."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from report_tools import falling, make_run, runs_of

from simplify.compare.comparison import comparison
from simplify.compare.law import fitted
from simplify.compare.multiplier import Rung, decision_accuracy, worth
from simplify.compare.scaling import decision_line, scaling_panel

SIZES = [1e15 * 4**step for step in range(5)]


def loss(flops: float) -> float:
    return 1.7 + 2.5 * (flops / 1e16) ** -0.15


def ladder(dice: random.Random, gain: float, shared: dict[int, float]) -> list[Rung]:
    """A ladder of a block that needs 1/gain of the baseline's compute; seeds move all of one pair alike."""
    return [
        Rung(flops, {seed: loss(flops * gain) + shared[seed] + dice.gauss(0, 0.002) for seed in shared})
        for flops in SIZES
    ]


def test_a_law_is_found_and_inverted() -> None:
    law = fitted(SIZES, [loss(flops) for flops in SIZES])
    assert law is not None and law.limit == pytest.approx(1.7, abs=1e-3)
    for flops in (3e15, 7e16):
        assert law.inverse(loss(flops)) == pytest.approx(flops, rel=1e-2)
    assert math.isinf(law.inverse(1.6))


@pytest.mark.parametrize("gain", [1.3, 0.8])
def test_the_multiplier_is_the_planted_one(gain: float) -> None:
    dice = random.Random(3)
    covered, found = 0, []
    for _ in range(8):
        shared = {seed: dice.gauss(0, 0.01) for seed in range(3)}
        value = worth(ladder(dice, gain, shared), ladder(dice, 1.0, shared), draws=40)
        assert value is not None and value.low <= value.ratio <= value.high
        covered += value.low <= gain <= value.high
        found.append(value.ratio)
    assert math.fsum(found) / 8 == pytest.approx(gain, rel=0.03)
    assert covered >= 6  # three seeds and five sizes are few: a bootstrap of them is somewhat too narrow


def test_what_no_compute_reaches_is_said() -> None:
    base = [Rung(flops, {0: loss(flops)}) for flops in SIZES]
    value = worth([Rung(flops, {0: 1.5}) for flops in SIZES], base, draws=20)
    assert value is not None and value.text == "more than any compute"
    assert worth(base, base[:2]) is None  # two sizes have no law
    outside = worth([Rung(flops, {0: loss(flops * 8)}) for flops in SIZES], base, draws=20)
    assert outside is not None and outside.text.startswith("8.0") and outside.text.endswith("extrapolated")


def test_a_ladder_on_which_losses_hardly_fall_still_has_numbers() -> None:
    """A law that is nearly flat has its losses nowhere, or at no compute at all."""
    for world in range(4):
        dice = random.Random(world)
        mine, base = ([Rung(flops, {0: 4 + dice.gauss(0, 1e-3)}) for flops in SIZES] for _ in range(2))
        value = worth(mine, base, draws=20)
        assert value is not None and value.low <= value.high and len(value.text) < 50
    one = [Rung(flops, {0: 3.9} if flops == SIZES[0] else {}) for flops in SIZES]
    assert worth(one, [Rung(flops, {0: loss(flops)}) for flops in SIZES], draws=20) is not None


def test_decision_accuracy_counts_pairs() -> None:
    small, large = {"a": 3.0, "b": 3.1, "c": 3.2}, {"a": 2.0, "b": 2.2, "c": 2.1, "d": 1.0}
    assert decision_accuracy(small, large) == (2, 3)
    assert decision_accuracy({"a": 3.0}, large) == (0, 0)


def test_a_report_says_both(tmp_path: Path) -> None:
    order = {"pre_ln": (4.0, 3.8, 3.7), "sas": (3.9, 3.7, 3.6), "parallel": (3.95, 3.9, 3.75)}
    for block, finals in order.items():
        for layers, final in zip((2, 4, 8), finals, strict=True):
            for seed in range(2):
                words = [f"block={block}", f"model.n_layers={layers}", f"seed={seed}"]
                make_run(tmp_path, words, falling(final + 0.01 * seed))
    found = comparison(runs_of(tmp_path))
    panel, table = scaling_panel(found, "flops")
    assert panel is not None and table[0][-1] == "worth"
    worths = {row[0]: row[-1] for row in table[1:]}
    assert worths["pre_ln"] == "-" and float(worths["sas"].partition("x")[0]) > 1
    assert "3 of 3 at" in decision_line(found) and "2 of 3 at" in decision_line(found)
