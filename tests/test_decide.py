"""The decisions of a tuned comparison: the same in any order, and right where the answer is known."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit
from tuning_tools import CEILING, SHAPES, Curve, Luck, chosen, equal_trials, grid, judged, played, tuning_runs, worlds

from simplify.sweep.outlook import outlook
from simplify.tune.decide import decide
from simplify.tune.race import t_limit
from simplify.tune.study import DIVERGED, Arm, Ladder, Rules, Study, Trial

LADDER = Ladder("optimiser.lr", tuple(2.0**step for step in range(9)), (2, 6), 4)
CURVES = st.builds(
    Curve,
    st.tuples(st.floats(-2, 11)),
    st.sampled_from([0.002, 0.01, 0.1]),
    st.sampled_from([0.002, 0.01, 0.1]),
    st.floats(4, 5),
    st.sampled_from([None, None, 0, 5, 7]),
)


def small(race: bool, seeds: int, studies: int) -> Study:
    """Two blocks and one that is not tuned, with small windows."""
    arms = (Arm("pre_ln", (LADDER,), is_baseline=True), Arm("sas", (LADDER,), 2), Arm("untuned", ()))
    own = tuple(tuple(range(10 * n + 100, 10 * n + 100 + seeds)) for n in range(studies))
    finals = tuple((2 * n, 2 * n + 1) for n in range(studies))
    return Study(arms, Rules(own, finals, race, shared=True), CEILING)


@settings(max_examples=15, deadline=None)
@given(CURVES, CURVES, st.booleans(), st.integers(1, 3), st.integers(1, 2), st.randoms(use_true_random=False))
def test_neither_order_nor_kills_change_what_is_run_or_decided(
    one: Curve, other: Curve, race: bool, seeds: int, studies: int, dice: random.Random
) -> None:
    """However runs end: nothing is asked for that the end does not ask for too, so no kill makes a run in vain."""
    asked, loss = small(race, seeds, studies), Luck({"pre_ln": one, "sas": other, "untuned": Curve()}, 1)
    free = lambda trial: 4.7 if trial.place == () else loss(trial)  # noqa: E731
    whole, results = played(asked, free)
    known: dict[Trial, float] = {}
    while missing := (decision := decide(asked, known)).missing:
        assert {*decision.wanted} <= {*whole.wanted}
        for trial in dice.sample([*missing], dice.randint(1, len(missing))):
            known[trial] = free(trial)
    assert decision == whole and known == results and decision.phase == "done"
    for number in range(studies):
        mine, base = whole.choices[number, "sas"], whole.choices[number, "pre_ln"]
        assert len(base.tried) >= min(len(mine.tried), len(LADDER.values))  # the baseline has as many values
        for choice in (mine, base):
            every = [
                results[t] for t in results if t[:3] == ("tune", number, choice.arm.name) and t.place == choice.chosen
            ]
            assert DIVERGED not in every and len(every) in (0, seeds * choice.arm.cells)


@settings(max_examples=15, deadline=None)
@given(CURVES, CURVES, st.booleans(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_a_plan_promises_neither_too_few_nor_too_many_runs(
    one: Curve, other: Curve, race: bool, seeds: int, dice: random.Random
) -> None:
    """At every moment; the fewest where nothing diverges and ends a search before its time."""
    asked, loss = small(race, seeds, 1), Luck({"pre_ln": one, "sas": other}, 1)
    ends = len(played(asked, lambda trial: 4.7 if trial.place == () else loss(trial))[1])
    known: dict[Trial, float] = {}
    while missing := decide(asked, known).missing:
        few, most = outlook(asked, known).total()
        assert few <= most and len(known) + most >= ends
        if not known and one.diverges is other.diverges is None:
            assert few <= ends
        for trial in dice.sample([*missing], dice.randint(1, len(missing))):
            known[trial] = 4.7 if trial.place == () else loss(trial)
    assert outlook(asked, known).total() == (0, 0) or DIVERGED in known.values()


def test_an_optimum_outside_is_said_to_lie_at_the_edge() -> None:
    asked = grid("pre_ln", "sas")
    decision, results = played(asked, Luck({"pre_ln": Curve((6.0,)), "sas": Curve((-3.0,))}, 0))
    assert decision.choices[0, "sas"].lines[0].edges == (0,) and chosen(decision, "sas") == (0,)
    assert decision.choices[0, "pre_ln"].lines[0].edges == () and chosen(decision, "pre_ln") == (6,)
    tried = [len(decision.choices[0, name].tried) for name in ("pre_ln", "sas")]
    assert tried == [9, 9] and tuning_runs(results, "sas") >= 9


@pytest.mark.parametrize("seed", [1001, 1002])
def test_a_value_that_diverges_on_any_seed_is_not_chosen(seed: int) -> None:
    """Also where that is the last one left: what it had beaten on one seed comes back."""
    luck = Luck({"pre_ln": Curve((6.0,), 0.2, 0.2), "sas": Curve((6.0,), 0.2, 0.2)}, seed)

    def loss(trial: Trial) -> float:
        falls = trial.arm == "sas" and trial.seed == seed and trial.place[0] >= 6
        return DIVERGED if falls else luck(trial)

    decision, results = played(grid("pre_ln", "sas"), loss)
    assert chosen(decision, "pre_ln") == (6,) and chosen(decision, "sas") == (5,)
    out = decision.choices[0, "sas"].lines[0].dropped
    assert out[(6,)].behind == DIVERGED and (5,) not in out
    assert sum(t.part == "tune" and t.arm == "sas" and t.place == (5,) for t in results) == 3


def test_where_all_diverge_nothing_is_chosen_and_the_others_go_on() -> None:
    curves = {"pre_ln": Curve((6.0,)), "sas": Curve((6.0,), diverges=0)}
    decision, results = played(grid("pre_ln", "sas"), Luck(curves, 0))
    assert decision.phase == "done" and chosen(decision, "sas") is None and chosen(decision, "pre_ln") == (6,)
    assert not any(trial.part == "final" and trial.arm == "sas" for trial in results)
    below = {trial.place for trial in results if trial.arm == "sas" and trial.part == "tune"}
    assert min(below) == (0,)  # lower ones were tried before it gave up


def test_the_top_value_diverges() -> None:
    curves = {"pre_ln": Curve((7.0,)), "sas": Curve((10.0,), 0.05, 0.05, diverges=9)}
    decision, _ = played(grid("pre_ln", "sas"), Luck(curves, 0))
    assert chosen(decision, "sas") == (8,) and chosen(decision, "pre_ln") == (7,)


@pytest.mark.parametrize("many", [2, 3])
def test_several_settings_find_their_best_together(many: int) -> None:
    at = (3.0, 6.0, 2.0)[:many]
    curves = {"pre_ln": Curve((4.0,) * many, 0.05, 0.05), "sas": Curve(at, 0.05, 0.05)}
    for luck in worlds(2, curves):
        decision, results = played(grid("pre_ln", "sas", settings=many, window=5), luck, random.Random(luck.world))
        assert chosen(decision, "sas") == tuple(map(int, at)) and chosen(decision, "pre_ln") == (4,) * many
        assert len(decision.choices[0, "pre_ln"].tried) >= len(decision.choices[0, "sas"].tried)
        runs = tuning_runs(results, "sas")
        assert runs <= 3 * 9**2 if many == 2 else runs < 5**3  # in turn, not all combinations


def test_studies_choose_by_themselves() -> None:
    asked = grid("pre_ln", "sas", studies=3)
    decision, results = played(asked, Luck({"pre_ln": Curve((5.0,), 0.005, 0.005), "sas": Curve((5.0,))}, 3))
    seeds = {(trial.part, trial.study): set() for trial in results}
    for trial in results:
        seeds[trial.part, trial.study].add(trial.seed)
    assert len(seeds) == 6 and all(not one & other for one, other in itertools.combinations(seeds.values(), 2))
    assert len({decision.choices[number, "pre_ln"].chosen for number in range(3)}) > 1  # which luck decides


def test_cells_choose_by_their_mean_and_no_loss_counts_more_than_at_initialisation() -> None:
    asked = replace(grid("sas"), arms=(Arm("sas", (LADDER,), 2, True),))
    best = {0: 3, 1: 7}
    decision, _ = played(
        asked, lambda trial: 4.0 + 0.125 * abs(trial.place[0] - best[trial.cell]) if trial.place else 4.0
    )
    assert chosen(decision, "sas") == (3,)
    assert {*decision.choices[0, "sas"].lines[0].tied} == {(3,), (4,), (5,), (6,)}
    loud, _ = played(asked, lambda trial: 1e9 if trial.place in [(2,), (3,)] and trial.cell else 5.0 - trial.place[0])
    assert loud.choices[0, "sas"].lines[0].dropped[3,].behind < CEILING


def test_the_limit_is_students() -> None:
    wanted = [float(stdtrit(freedom, 0.975)) for freedom in (*range(1, 40), 200)]
    assert [t_limit(freedom) for freedom in (*range(1, 40), 200)] == pytest.approx(wanted, rel=1e-3)
    assert math.isfinite(t_limit(0))


@pytest.mark.parametrize(("name", "runs"), [("0.02", (9, 13)), ("0.08, and 0.003 below the best, 0.1 above", (10, 14))])
def test_blocks_that_are_equal_at_their_best_get_no_verdict_and_racing_costs_nothing(
    name: str, runs: tuple[int, int]
) -> None:
    """The fast core of benchmarks/tuning.py; taking the lowest of the rates that cannot be told apart gives 14%."""
    number = 150
    curves: dict[str, Curve] = dict(zip(("pre_ln", "sas"), SHAPES[name], strict=True))
    raced, whole = grid(*curves), grid(*curves, race=False)
    false, spent, lost = 0, 0, 0.0
    for luck in worlds(number, curves):
        decision, results = played(raced, luck)
        gap = judged(results, "sas", "pre_ln")
        assert gap and gap.low is not None and gap.high is not None and equal_trials(decision, *curves)
        false += not gap.low <= 0 <= gap.high
        spent += tuning_runs(results, "sas")
        for place, sign in ((chosen(decision, "sas"), 1), (chosen(played(whole, luck)[0], "sas"), -1)):
            assert place is not None
            lost += sign * curves["sas"](place)
    assert false / number <= 0.08 and runs[0] <= spent / number <= runs[1]
    assert abs(lost) / number <= 2e-4  # nats
