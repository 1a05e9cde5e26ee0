"""How far seeds lie apart, and how many an effect needs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from conftest import TINY
from scipy import stats

from simplify.compare.noise import POWER, deviation_of, power_of, seeds_needed
from simplify.compare.statistics import mean_sd


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (2.0, 5)])
def test_seeds_needed_are_the_textbooks(effect: float, seeds: int) -> None:
    """Cohen's d of pairs, two-sided 5%, power 80%: the numbers that power tables give."""
    assert seeds_needed(effect, 1.0) == seeds
    assert power_of(seeds, effect, 1.0) >= POWER > power_of(seeds - 1, effect, 1.0)
    limit = stats.t.ppf(0.975, seeds - 1)
    wanted = stats.nct.sf(limit, seeds - 1, effect * math.sqrt(seeds))
    assert power_of(seeds, effect, 1.0) == pytest.approx(float(wanted), abs=1e-3)


def test_an_effect_may_be_out_of_reach_or_certain() -> None:
    assert seeds_needed(0.001, 1.0) is None and seeds_needed(0.1, 0.0) == 2


def test_power_is_a_number_everywhere() -> None:
    """Where scipy's noncentral t is NaN, too."""
    rises = [power_of(2, effect / 10, 1.0) for effect in range(1, 200)]
    assert rises == sorted(rises) and 0.05 < rises[0] < rises[-1] < 1
    assert power_of(29, 2.0, 1.0) == pytest.approx(1) and seeds_needed(6.13, 1.0) == 3


def test_the_interval_of_a_deviation() -> None:
    values = [1.0, 1.2, 0.7, 1.1]
    found = deviation_of(values)
    assert found is not None and deviation_of([1.0]) is None
    low, high = stats.chi2.ppf([0.975, 0.025], 3)
    wanted = [found.sd * math.sqrt(3 / limit) for limit in (low, high)]
    assert [found.low, found.high] == pytest.approx(wanted) and found.sd == mean_sd(values)[1]


def test_noise_of_finished_runs(cli: Callable[..., Any]) -> None:
    words = [*TINY, "train.steps=2"]
    nothing = cli("noise", *words, "block=sas")
    assert nothing.code == 2 and "seed=0,1,2,3,4 makes five, as does --run 5" in nothing.err
    for block in ("pre_ln", "sas"):
        for seed in (0, 1, 2):
            assert cli("train", *words, f"block={block}", f"seed={seed}").code == 0
    told = json.loads(cli("noise", *words, "block=pre_ln,sas", "--run", "3", "--effect", "0.02", "--json").out)
    one, other, both = told["spreads"]
    assert [one["n"], other["n"], both["n"]] == [3, 3, 3] and both["name"] == "sas - pre_ln" and both["pairs"]
    assert both["mean"] == pytest.approx(other["mean"] - one["mean"]) and both["low"] < both["sd"] < both["high"]
    (needed,) = told["seeds_needed"]
    assert needed["effects"][0]["seeds"] == seeds_needed(0.02, both["sd"]) and told["lacking"] is None
    shown = cli("noise", *words, "block=sas,sas_p", "seed=0,1")
    assert (
        shown.code == 0
        and "sas against another, by 6 runs here" in shown.out
        and "fewer than three finished seeds" in shown.out
    )
    for slip, said in (
        (["block=nosuch"], "nosuch"),
        (["--effect", "nan", "block=sas"], "--effect"),
        (["seed=x"], "seed"),
    ):
        found = cli("noise", *words, *slip)
        assert found.code == 2 and said in found.err and len(found.err.splitlines()) == 1, found.err
