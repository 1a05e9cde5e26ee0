"""Verdicts within an error budget: the levels of looks, Holm over a table, what was looked at before."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
import pytest
from scipy import stats

from simplify.compare.levels import TOTAL, level_of, spent
from simplify.compare.reading import Evidence, Seen
from simplify.compare.verdict import Judged, judge

# By simulation of 200,000 sweeps or so each, right to a hundredth of themselves: looks, level, limits of |t|, and the
# share of false verdicts where each look has 5%.
SIMULATED = [
    ((3, 5), 0.0282, (5.82, 3.36), 0.086),
    ((3, 5, 8), 0.0198, (7.01, 3.76, 3.01), 0.116),
    ((3, 5, 8, 12), 0.0158, (7.87, 4.03, 3.17, 2.85), 0.141),
    ((3, 6, 12, 24), 0.0147, (8.17, 3.66, 2.89, 2.64), 0.153),
]


@pytest.mark.parametrize(("looks", "level", "limits", "at_five"), SIMULATED)
def test_levels_of_looks(looks: tuple[int, ...], level: float, limits: Sequence[float], at_five: float) -> None:
    found = level_of(looks)
    assert found == pytest.approx(level, rel=0.01)
    assert [stats.t.isf(found / 2, n - 1) for n in looks] == pytest.approx(limits, rel=0.006)
    assert spent(looks, TOTAL) == pytest.approx(at_five, abs=0.0006)
    assert spent(looks, found) == pytest.approx(TOTAL, rel=1e-6)


@pytest.mark.parametrize("looks", [(2, 3), (3, 5), (10, 20)])
def test_two_looks_spend_what_their_joint_distribution_says(looks: tuple[int, int]) -> None:
    """Against the plain integral: over the sphere of the first differences, drawn evenly, and the rest exactly."""
    first, last = looks
    level, draw = level_of(looks), np.random.default_rng(last)
    x = draw.standard_normal((400_000, last))
    t = [np.abs(x[:, :n].mean(1)) / x[:, :n].std(1, ddof=1) * math.sqrt(n) for n in looks]
    false = np.mean([one > stats.t.isf(level / 2, n - 1) for one, n in zip(t, looks, strict=True)], axis=1)
    either = np.mean((t[0] > stats.t.isf(level / 2, first - 1)) | (t[1] > stats.t.isf(level / 2, last - 1)))
    error = math.sqrt(TOTAL * (1 - TOTAL) / len(x))
    assert abs(either - TOTAL) < 4 * error and np.all(np.abs(false - level) < 4 * error)


def test_a_level_has_no_steps_and_one_look_has_all() -> None:
    assert level_of((5,)) == level_of(()) == TOTAL
    assert level_of((100, 101)) == pytest.approx(TOTAL, rel=0.1) and level_of((3, 5)) > TOTAL / 2
    levels = [level_of((3, 5), total) for total in (0.05, 0.025, 0.001, 1e-6)]
    assert levels == sorted(levels, reverse=True) and levels[-1] == pytest.approx(0.7e-6, rel=0.3)


def pairs(gaps: Sequence[float], **more: object) -> Evidence:
    """A variant whose losses are off the baseline's by these."""
    seeds = range(len(gaps))
    return Evidence({s: 4 + g for s, g in zip(seeds, gaps, strict=True)}, dict.fromkeys(seeds, 4.0), **more)  # type: ignore[arg-type]


def one(gaps: Sequence[float], looks: Sequence[int] = (), **more: object) -> Judged:
    """The verdict where the table has this one variant."""
    return judge([pairs(gaps, **more)], looks)[0]


CLEAR, DIM = (0.010, 0.011, 0.012, 0.011, 0.010), (0.010, -0.011, 0.012, 0.001, -0.01)  # worse; nothing


def test_between_looks_the_last_verdict_stays_and_the_next_look_is_named() -> None:
    looks = (3, 5, 8)
    assert one(CLEAR[:2], looks).words == "first look at 3 seeds"
    at = one(CLEAR[:3], looks)
    assert (at.verdict, at.n, at.next_look) == ("worse", 3, 5) and at.level == level_of(looks)
    assert at.words == "worse at 3 seeds, next look at 5"
    assert one([*CLEAR[:3], 9.0], looks).words == at.words  # the fourth seed is not read
    assert one([*CLEAR[:3], 9.0], looks).seeds == (0, 1, 2)
    assert one([*CLEAR[:3], 9.0, -9.0], looks).words == "not decided at 5 seeds (worse at 3), next look at 8"
    assert one([*CLEAR, *CLEAR], looks).words == "worse at 8 seeds, the last look"
    assert one([*DIM, *CLEAR], (3, 5)).words.startswith("not decided at 5 seeds, the last look, ")


def test_a_look_is_stricter_than_a_verdict_without_any() -> None:
    gaps = (0.010, 0.014, 0.018)  # t = 6.06 of 2 degrees of freedom
    assert one(gaps).words == "worse" and one(gaps, (3, 5)).verdict == "worse"
    assert one(gaps, (3, 5, 8)).words == "not decided at 3 seeds, next look at 5"


def test_a_look_takes_the_first_seeds_of_the_plan() -> None:
    base: dict[Hashable, float] = dict.fromkeys(range(5), 4.0)
    mine: dict[Hashable, float] = {0: 4.01, 4: 4.9, 2: 4.012, 3: 3.1}
    plan = (0, 1, 2, 3, 4)
    waiting = judge([Evidence(mine, base, plan)], (3, 5))[0]
    assert waiting.words == "first look at 3 seeds" and waiting.waits  # seed 1 is to come
    read = judge([Evidence({**mine, 1: 4.011}, base, plan)], (3,))[0]
    assert read.seeds == (0, 1, 2) and read.words == "worse at 3 seeds, the last look"
    assert (
        judge([Evidence({7: 4.0, 8: 4.1}, base)], (3,))[0].words
        == "no verdict: looks are at pairs, and no seed is common"
    )


def test_no_verdict_before_all_seeds_that_were_asked_for_are_in() -> None:
    assert one(CLEAR[:3], planned=(0, 1, 2, 3)).words == "not yet: 3 of 4 seeds are in"
    assert one(CLEAR[:3], planned=(2, 1, 0)).words == "worse"


def test_holm_over_the_variants_of_a_table() -> None:
    sure, weak, null = (0.010, 0.011, 0.012, 0.011), (0.010, 0.004, 0.020, 0.012), (0.01, -0.01, 0.002, -0.001)
    assert judge([pairs(weak)])[0].words == "worse"
    found = judge([pairs(weak), pairs(null), pairs(null)])
    assert found[0].verdict == "not decided" and found[0].alone == "worse"
    assert found[0].words.startswith("not decided (uncorrected: worse), ")
    # a row that is decided leaves its part to the others
    decided = judge([pairs(weak), pairs(sure)])
    assert [row.verdict for row in decided] == ["worse", "worse"]
    assert decided[0].level == TOTAL and decided[1].level == TOTAL / 2
    # one that diverged, or has one seed yet, belongs to the family all the same
    for other in (pairs(sure, judged=False), pairs(sure[:1])):
        assert judge([pairs(weak), other])[0].level == TOTAL / 2


def test_a_verdict_after_a_look_is_made_on_fresh_seeds() -> None:
    look = Seen(frozenset({0, 1, 2}), decided=False)
    assert one(DIM[:3], seen=[look]).words == one(DIM[:3]).words  # the same seeds again are no other look
    fresh = one([-0.020, 0.040, -0.030, *CLEAR], seen=[look])
    assert fresh.words == "worse on 5 fresh seeds (all 8 seeds: not decided)" and fresh.seeds == (3, 4, 5, 6, 7)
    # what only all of them decide is named, and is no verdict
    mixed = one([0.010, 0.011, 0.012, 0.011, 0.010, 0.030], seen=[Seen(frozenset(range(4)), decided=False)])
    assert mixed.words.startswith("not decided on 2 fresh seeds (all 6 seeds: worse), ")
    single = one(CLEAR[:4], seen=[look])
    assert single.words == "not decided on 1 fresh seed (all 4 seeds: worse)"
    # a look that decided has spent the budget, and its verdict stands
    stands = one([*CLEAR[:3], 9.0, -9.0], seen=[Seen(frozenset({0, 1, 2}), decided=True)])
    assert stands.words == "worse at the look at 3 seeds (all 5 seeds: not decided)"


def test_what_else_came_before_is_said() -> None:
    unplanned = Seen(frozenset({0, 1, 2}), decided=False)
    assert "planned after a look at 3 seeds" in one(CLEAR, (3, 5), seen=[unplanned]).words
    planned = Seen(frozenset({0, 1, 2}), decided=False, looks=(3, 5))
    assert one(CLEAR, (3, 5), seen=[planned]).words == "worse at 5 seeds, the last look"
    later = Seen(frozenset({0, 1, 2}), decided=False)  # without the plan, which is older
    assert one(CLEAR, (3, 5), seen=[planned, later]).words == "worse at 5 seeds, the last look"
    assert "planned after a look" in one(CLEAR, (3, 5, 8), seen=[planned]).words
    assert "looks at 3, 5 were planned" in one(CLEAR[:3], seen=[planned]).words
    assert "chosen from 5 seeds looked at before" in one(CLEAR[:3], seen=[Seen(frozenset(range(5)), True)]).words
    assert one(CLEAR[:3], seen=[Seen(frozenset({8, 9}), True)]).words == "worse"  # other seeds, another sample


def shares(trials: int, sizes: Sequence[int], looks: Sequence[int], variants: int = 1, effect: float = 0.0) -> float:
    """The share of simulated tables that carry a verdict at any of these numbers of seeds."""
    draw, carried = np.random.default_rng(7), 0
    for _ in range(trials):
        base = 0.05 * draw.standard_normal(sizes[-1])
        off = base + effect + 0.01 * draw.standard_normal((variants, sizes[-1]))
        losses: dict[Hashable, float] = dict(enumerate(base.tolist()))
        tables = (judge([Evidence(dict(enumerate(row[:n].tolist())), losses) for row in off], looks) for n in sizes)
        carried += any(row.verdict != "not decided" for table in tables for row in table)
    return carried / trials


def test_looks_and_variants_spend_five_per_cent() -> None:
    """The long forms, through the whole report, are benchmarks/budget.py. Four standard errors of each share."""
    looked = shares(2000, (3, 5, 8), (3, 5, 8))
    assert abs(looked - TOTAL) < 4 * math.sqrt(TOTAL * (1 - TOTAL) / 2000)
    assert shares(800, (3, 5, 8), ()) > 0.08  # what the same reports come to where the looks were not planned
    many = shares(500, (3,), (), variants=20)
    assert many < TOTAL + 4 * math.sqrt(TOTAL * (1 - TOTAL) / 500)
    assert shares(300, (3, 5, 8), (3, 5, 8), effect=0.03) > 0.95  # and an effect of three deviations is found
