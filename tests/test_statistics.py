"""Intervals and verdicts: against scipy, and on simulated sweeps whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simplify.compare.levels import MOST_SEEDS
from simplify.compare.reading import Evidence
from simplify.compare.scaling import fit_power_law
from simplify.compare.statistics import compare, interval, mean_sd, t_quantile
from simplify.compare.verdict import Judged, judge

LOSSES = st.lists(st.floats(1, 10), min_size=2, max_size=8)


def judged(mine: Any, base: Any, margin: float | None = None) -> Judged:
    """The verdict of a table with this one difference."""
    return judge([Evidence(mine, base)], margin=margin)[0]


def by_seed(values: np.ndarray | list[float]) -> dict[Hashable, float]:
    return dict(enumerate(float(v) for v in values))


@given(st.lists(st.tuples(st.floats(1, 10), st.floats(-0.5, 0.5)), min_size=2, max_size=8))
def test_paired_intervals_are_those_of_scipy(pairs: list[tuple[float, float]]) -> None:
    base, mine = [b for b, _ in pairs], [b + gap for b, gap in pairs]
    found = compare(by_seed(mine), by_seed(base))
    assert found is not None and found.paired and found.n == len(base)
    if np.std([gap for _, gap in pairs]) > 1e-6:  # of nearly equal gaps scipy itself loses digits
        theirs = stats.ttest_rel(mine, base).confidence_interval(0.95)
        assert found.low == pytest.approx(theirs.low, rel=1e-6, abs=1e-6)
        assert found.high == pytest.approx(theirs.high, rel=1e-6, abs=1e-6)
        if min(abs(theirs.low), abs(theirs.high)) > 1e-6:
            said = judged(by_seed(mine), by_seed(base)).verdict
            assert (said == "not decided") == (theirs.low < 0 < theirs.high)


@given(LOSSES, LOSSES)
def test_unpaired_intervals_are_those_of_scipy(mine: list[float], base: list[float]) -> None:
    found = compare({f"a{i}": v for i, v in enumerate(mine)}, {f"b{i}": v for i, v in enumerate(base)})
    assert found is not None and not found.paired
    if max(np.std(mine), np.std(base)) > 1e-6:
        theirs = stats.ttest_ind(mine, base, equal_var=False).confidence_interval(0.95)
        assert found.low == pytest.approx(theirs.low, rel=1e-6, abs=1e-6)
        assert found.high == pytest.approx(theirs.high, rel=1e-6, abs=1e-6)


def test_only_common_seeds_are_pairs() -> None:
    found = compare({0: 1.0, 1: 2.0, 7: 99.0}, {0: 1.5, 1: 2.6, 8: -99.0})
    assert found is not None and found.n == 2 and found.mean == pytest.approx(-0.55)


def test_one_seed_decides_nothing() -> None:
    found = compare({0: 1.0}, {0: 9.0})
    assert found is not None and found.low is None
    assert judged({0: 1.0}, {0: 9.0}).words == "not decided: one seed"
    assert compare({}, {0: 1.0}) is None and mean_sd([3.0]) == (3.0, None) and interval([3.0]) is None


def test_the_same_losses_are_equal() -> None:
    found = compare({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})
    assert found is not None and found.mean == 0
    assert judged({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}).verdict == "equal"


def test_a_margin_makes_small_differences_equal() -> None:
    base = {0: 4.0, 1: 4.1, 2: 4.2}
    mine = {seed: loss + 0.004 + 0.0001 * seed for seed, loss in enumerate(base.values())}
    assert judged(mine, base).verdict == "worse"
    assert judged(mine, base, margin=0.01).verdict == "equal"
    assert judged(mine, base, margin=0.002).verdict == "worse"


@pytest.mark.parametrize(("n", "effect"), [(3, 0.0), (3, 0.02), (5, 0.02), (5, -0.05)])
def test_intervals_cover_the_truth_as_often_as_they_say(n: int, effect: float) -> None:
    """Simulated sweeps: seeds move both losses together, pairs differ by the effect and a noise of their own."""
    draw, trials = np.random.default_rng(n), 4000
    covered = wrong = 0
    for _ in range(trials):
        base = 4.0 + 0.05 * draw.standard_normal(n)
        mine = base + effect + 0.02 * draw.standard_normal(n)
        found = compare(by_seed(mine), by_seed(base))
        assert found is not None and found.low is not None and found.high is not None
        covered += found.low <= effect <= found.high
        said = {"better": -1, "worse": 1}.get(judged(by_seed(mine), by_seed(base)).verdict, 0)
        wrong += said != 0 and said != np.sign(effect)
    # four standard errors of a share of 4,000
    assert abs(covered / trials - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)
    assert wrong / trials < (0.05 if effect == 0 else 0.025) + 4 * math.sqrt(0.05 * 0.95 / trials)


def test_pairs_decide_what_two_samples_do_not() -> None:
    """Why runs are paired: the luck of a seed is common to both."""
    draw = np.random.default_rng(0)
    base = 4.0 + 0.05 * draw.standard_normal(5)
    mine = base + 0.02 + 0.003 * draw.standard_normal(5)
    paired = judged(by_seed(mine), by_seed(base))
    apart = judged({f"x{i}": v for i, v in enumerate(mine)}, by_seed(base))
    assert paired.verdict == "worse" and apart.verdict == "not decided"


def test_the_seeds_that_would_decide_are_the_fewest() -> None:
    gaps = [0.01, 0.03, -0.005, 0.02]
    found = judged(by_seed(gaps), by_seed([0.0] * 4))
    assert found.verdict == "not decided" and found.fresh is not None
    mean, sd = mean_sd(gaps)
    assert sd is not None

    def half(n: int) -> float:
        return float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)

    assert half(found.fresh) < mean <= half(found.fresh - 1)
    assert found.words == f"not decided, {found.fresh} fresh seeds would decide"
    hopeless = judged(by_seed([1.0, -1.0, 1.0001, -1.0]), by_seed([0.0] * 4))
    assert hopeless.fresh is None and str(MOST_SEEDS) in hopeless.words


def test_quantiles_are_those_of_scipy() -> None:
    for df in (1, 2, 3.7, 10, 1000):
        assert t_quantile(df) == pytest.approx(float(stats.t.ppf(0.975, df)), rel=1e-9)


def test_power_laws_are_found_again() -> None:
    x = np.geomspace(1e6, 1e9, 6)
    fit = fit_power_law(x.tolist(), (1.7 + 2.0 * (x / 1e6) ** -0.3).tolist())
    assert (
        fit is not None and fit.exponent == pytest.approx(0.3, abs=1e-3) and fit.limit == pytest.approx(1.7, abs=1e-2)
    )
    short = fit_power_law([1e6, 1e7, 1e8], [3.0, 3.0 * 10**-0.1, 3.0 * 10**-0.2])
    assert short is not None and short.exponent == pytest.approx(0.1, abs=1e-6) and short.limit_half is None
    assert fit_power_law([1e6, 1e7], [3.0, 2.0]) is None
    assert fit_power_law([1e6, 1e7, 1e8], [3.0, float("nan"), 2.0]) is None


def test_intervals_of_exponents_cover_the_truth() -> None:
    draw, trials, covered = np.random.default_rng(1), 150, 0
    x = np.repeat(np.geomspace(1e6, 1e9, 4), 3)
    for _ in range(trials):
        y = 1.7 + 2.0 * (x / 1e6) ** -0.3 + 0.01 * draw.standard_normal(len(x))
        fit = fit_power_law(x.tolist(), y.tolist())
        assert fit is not None
        covered += abs(fit.exponent - 0.3) <= fit.exponent_half
    assert 0.88 < covered / trials <= 1.0  # the interval is that of the linearised law
