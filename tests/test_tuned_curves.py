"""What tuning shows beside a choice: curves, basins, what trying was worth, and the words over both questions."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest

from simplify.compare.tuned_words import Gap, gaps_at, in_words, pooled
from simplify.tune.curve import basin, best_level, expected_best, profile, sensitivity, tried
from simplify.tune.study import DIVERGED, Arm, Ladder, Rules, Study, Trial

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
CEILING = 6.0
ARM = Arm("sas", (Ladder("optimiser.lr", RATES, (1, 4), 0),))
STUDY = Study((ARM,), Rules(((1000, 1001, 1002),), ((0, 1, 2),)), CEILING)
NONE: tuple[frozenset[tuple[float, ...]], frozenset[tuple[float, ...]]] = (frozenset(), frozenset())


def results(table: dict[int, list[float]]) -> dict[Trial, float]:
    """Losses by place, seed after seed."""
    return {
        Trial("tune", 0, "sas", 0, (place,), 1000 + number): loss
        for place, row in table.items()
        for number, loss in enumerate(row)
    }


def test_a_value_with_fewer_seeds_is_held_against_the_best_on_those() -> None:
    found = tried(ARM, STUDY, results({1: [4.5], 2: [4.2, 4.0, 4.1], 3: [4.3, 4.2], 4: [DIVERGED]}))
    assert {place: round(one.level, 9) for place, one in found.items()} == {
        (1,): 4.4,  # 0.3 behind on the first seed, which is a bad one
        (2,): 4.1,
        (3,): 4.25,
        (4,): CEILING,
    }
    assert found[4,].diverged and best_level(found) == pytest.approx(4.1)
    assert sensitivity(ARM, found, 0) == pytest.approx(statistics.fmean([4.4, 4.1, 4.25, 6.0]) - 4.1)


def test_one_cell_that_diverges_is_enough_and_a_loss_above_the_first_one_counts_as_that() -> None:
    arm = Arm("sas", ARM.ladders, cells=2)
    found = {Trial("tune", 0, "sas", cell, (place,), 1000): 4.0 + cell + place for cell in (0, 1) for place in (1, 2)}
    found |= {Trial("tune", 0, "sas", cell, (3,), 1000): (4.0, DIVERGED)[cell] for cell in (0, 1)}
    found |= {Trial("tune", 0, "sas", 0, (4,), 1000): 4.0}  # its other cell has not ended
    both = tried(arm, STUDY, found)
    assert both[1,].losses == {1000: 5.5} and both[2,].losses == {1000: 6.0} and both[3,].diverged
    assert (4,) not in both and (4,) in tried(arm, STUDY, found, [0])


def test_a_basin_ends_between_values_and_says_where_nothing_was_tried() -> None:
    found = tried(ARM, STUDY, results({1: [4.14], 2: [4.10], 3: [4.11], 4: [4.15]}))
    width = basin(ARM, found, 0)
    # Left: 0.02 of 0.04 in an octave; right: an octave, then 0.01 of 0.04.
    assert width is not None and width.octaves == pytest.approx(0.5 + 1.25) and not width.is_open
    open_below = basin(ARM, tried(ARM, STUDY, results({1: [4.1], 2: [4.1], 3: [5.0]})), 0)
    assert open_below is not None and open_below.octaves == pytest.approx(1 + 0.02 / 0.9) and open_below.is_open
    decay = Arm("sas", (Ladder("optimiser.weight_decay", (0.0, 0.1, 0.2), (0, 2)),))
    assert basin(decay, tried(decay, STUDY, results({0: [4.1], 1: [4.2], 2: [4.3]})), 0) is None


def test_of_two_settings_each_is_seen_with_the_other_at_its_best() -> None:
    two = Arm("sas", (Ladder("optimiser.lr", RATES[:2], (0, 1)), Ladder("optimiser.weight_decay", (0.1, 0.2), (0, 1))))
    table = {(0, 0): 4.3, (0, 1): 4.2, (1, 0): 4.0, (1, 1): 4.4}
    found = tried(two, STUDY, {Trial("tune", 0, "sas", 0, place, 1000): loss for place, loss in table.items()})
    assert profile(found, 0) == {0: 4.2, 1: 4.0} and profile(found, 1) == {0: 4.0, 1: 4.2}
    assert sensitivity(two, found, 1) == pytest.approx(0.1)


@pytest.mark.parametrize("total", [1, 2, 5, 7])
def test_the_expected_best_is_the_mean_over_all_draws(total: int) -> None:
    values = [random.Random(total).gauss(4, 1) for _ in range(total - 1)] + [4.0]
    for n, found in enumerate(expected_best(values), start=1):
        assert found == pytest.approx(statistics.fmean(map(min, itertools.combinations(values, n))))


def test_gaps_at_common_rates_share_their_spread_and_are_corrected_for_their_number() -> None:
    mine = {(1.0,): {0: 4.0, 1: 4.3, 2: 4.2}, (2.0,): {0: 3.5}, (4.0,): {0: 4.05}, (8.0,): {0: 6.0}}
    base = {(1.0,): {0: 4.1, 1: 4.3, 2: 4.4}, (2.0,): {0: 4.0}, (3.0,): {0: 4.0}, (4.0,): {0: 4.0}, (8.0,): {0: 4.0}}
    finals = [-0.1, 0.0, 0.1]
    found = gaps_at(mine, base, finals, (frozenset([(8.0,)]), frozenset()))
    assert [gap.values for gap in found] == [(1.0,), (2.0,), (4.0,), (8.0,)] and found[0].n == 3
    tuning = [-0.1, 0.0, -0.2]  # of the one common rate with several seeds, which also is each one's best
    sd = math.sqrt((statistics.variance(tuning) + statistics.variance(finals)) / 2)
    assert found[0].mean == pytest.approx(-0.1)
    half = 2.7764451051977987 * sd  # Student's 97.5% quantile with 4 degrees of freedom, from a table
    assert found[1].high is not None and found[1].high - found[1].mean == pytest.approx(half)
    assert found[0].high is not None and found[0].high - found[0].mean == pytest.approx(half / math.sqrt(3))
    assert [gap.said for gap in found] == ["not decided", "better", "not decided", "worse"] and found[3].diverged
    both = frozenset([(8.0,)])
    assert len(gaps_at(mine, base, finals, (both, both))) == 3
    assert pooled([[0.1]], [0.1]) is None and gaps_at({(1.0,): {0: 4.0}}, {(1.0,): {0: 4.2}}, [], NONE)[0].low is None


def test_a_rate_is_seldom_called_sure_where_there_is_no_difference() -> None:
    """At most 5% of studies without any difference have a rate that is called better or worse."""
    dice, wrong = random.Random(0), 0
    for _ in range(500):
        own = [random.Random(dice.random()).gauss(0, 0.02) for _ in range(3)]  # what a seed does to one block alone
        mine = {
            (rate,): {seed: 4 + own[seed] + dice.gauss(0, 0.01) for seed in range(seeds)}
            for rate, seeds in zip(RATES, (1, 1, 3, 2, 1), strict=True)
        }
        base = {values: {seed: 4 + dice.gauss(0, 0.01) for seed in row} for values, row in mine.items()}
        finals = [dice.gauss(0, math.sqrt(0.02**2 + 2 * 0.01**2)) for _ in range(3)]
        wrong += any(gap.said != "not decided" for gap in gaps_at(mine, base, finals, NONE))
    assert wrong <= 0.05 * 500 + 2 * math.sqrt(0.05 * 0.95 * 500)


B, W, E, U = "better", "worse", "equal", "not decided"


@pytest.mark.parametrize(
    ("best", "untuned", "others", "words"),
    [
        (B, B, [B, B], "better at every rate"),
        (W, None, [W, W], "worse at every rate"),
        (B, W, [B, U], "better only when tuned"),
        (B, E, [B, B], "better only when tuned"),
        (B, U, [B, B], "better at its best, not decided untuned"),
        (W, U, [], "worse at its best, not decided untuned"),
        (B, B, [B, U], "better tuned and untuned"),
        (W, None, [U], "worse at its best"),
        (B, B, [B, W], "better tuned and untuned; depends on the rate"),
        (B, W, [B, W], "better only when tuned; depends on the rate"),
        (U, U, [B, U], "depends on the rate"),
        (U, U, [B, W], "depends on the rate"),
        (U, W, [B, U], "depends on the rate"),
        (E, W, [W, U], "no difference once tuned"),
        (U, W, [W, U], "no difference shown once tuned"),
        (E, E, [U], "no difference once tuned"),
        (U, None, [], "not decided at any rate"),
        (None, B, [B], ""),
    ],
)
def test_the_words_over_both_questions(best: str, untuned: str, others: list[str], words: str) -> None:
    assert in_words(best, untuned, others) == words  # type: ignore[arg-type]


def test_every_case_has_a_word_and_its_mirror_image() -> None:
    mirror = {B: W, W: B}

    def mirrored(said: str | None) -> str | None:
        return mirror.get(said, said) if said else None

    for best, untuned, others in itertools.product(
        (B, W, E, U), (None, B, W, E, U), itertools.product((B, W, U), repeat=2)
    ):
        found = in_words(best, untuned, others)  # type: ignore[arg-type]
        other = in_words(mirrored(best), mirrored(untuned), [mirror.get(said, said) for said in others])  # type: ignore[arg-type]
        swapped = found.replace(B, "\0").replace(W, B).replace("\0", W)
        assert found and other == swapped
    assert Gap((1.0,), 1, 0.0, None, None, "not decided").p == 1
