"""What the differences of one table decide, within an error budget: a pure function of losses by seed.

The budget: where no variant differs from its baseline, at most TOTAL of all tables carry any verdict. Three things
would break it, and each is answered here:

- reading again with more seeds: a verdict is read at planned looks, each at a level that spends TOTAL over all of them
  (`levels.py`); without a plan at the first look alone, and after that on fresh seeds alone;
- reading while runs are still to come: no verdict before they are in;
- many variants: Holm (Scandinavian Journal of Statistics 6, 1979) over the variants of the table. With looks the least
  level of all looks passed counts, as in a group-sequential Holm test (Ye et al., Statistics in Medicine 32, 2013).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from simplify.compare.levels import MOST_SEEDS, TOTAL, level_of
from simplify.compare.reading import Evidence, Reading, reading_of, seeds_in_words
from simplify.compare.statistics import Difference, t_quantile

Verdict = Literal["better", "worse", "equal", "not decided"]
UNDECIDED: Verdict = "not decided"


@dataclass(frozen=True)
class Judged:
    """A row's verdict, and what it rests on."""

    verdict: Verdict  # that stands among the verdicts of its table
    words: str  # it, and what the reader has to know or do
    alone: Verdict  # as if the table had no other row
    level: float  # of the look that the verdict was read at
    n: int  # pairs that it was read on; 0: none yet
    seeds: tuple[Hashable, ...]
    next_look: int | None  # pairs
    fresh: int | None  # new seeds that would decide by themselves, if mean and spread stay as they are
    waits: bool  # neither verdict nor advice yet
    after: bool = False  # seeds were added after a look


def judge(family: Sequence[Evidence], looks: Sequence[int] = (), margin: float | None = None) -> list[Judged]:
    """The verdict of each row of one table.

    `looks`: the planned numbers of pairs, ascending; empty: none are planned. `margin` in nats: two means that surely
    differ by less count as equal.
    """
    looks = tuple(looks)
    readings = [reading_of(one, looks) for one in family]
    needed = [min((_needed(found, margin) for found in reading.found), default=1.0) for reading in readings]
    totals = _holm(needed, looks)
    return [
        _judged(one, reading, looks, total, margin)
        for one, reading, total in zip(family, readings, totals, strict=True)
    ]


def verdict_at(found: Difference, level: float, margin: float | None) -> Verdict:
    """What an interval at this level decides: the margin goes before all else."""
    sides = found.interval(level)
    if sides is None:
        return UNDECIDED
    low, high = sides
    if (margin is not None and -margin < low and high < margin) or low == high == 0:
        return "equal"
    if high < 0:
        return "better"
    return "worse" if low > 0 else UNDECIDED


def _needed(found: Difference, margin: float | None) -> float:
    """The level above which the difference decides anything."""
    if found.error is None:
        return 1.0
    if found.error == 0:
        return 0.0
    from scipy.special import stdtr

    far = abs(found.mean) / found.error
    room = ((margin or 0.0) - abs(found.mean)) / found.error
    return float(2 * stdtr(found.freedom, -max(far, room)))


def _holm(needed: Sequence[float], looks: tuple[int, ...]) -> list[float]:
    """What each row may spend over all its looks: the more rows are decided, the more is left for the next."""
    order = sorted(range(len(needed)), key=lambda row: needed[row])
    totals = [TOTAL / max(len(needed), 1)] * len(needed)
    for place, row in enumerate(order):
        total = TOTAL / (len(order) - place)
        for later in order[place:]:
            totals[later] = total
        if needed[row] >= level_of(looks, total):
            break
    return totals


def _judged(one: Evidence, reading: Reading, looks: tuple[int, ...], total: float, margin: float | None) -> Judged:
    level = level_of(looks, total)
    n = reading.found[-1].n if reading.found else 0
    following = next((look for look in looks if look > n), None)
    if not reading.found:
        remark = f" ({reading.remark})" if reading.remark else ""
        return Judged(UNDECIDED, (reading.waits or "-") + remark, UNDECIDED, level, 0, (), following, None, True)
    newest = reading.found[-1]
    verdict, alone = verdict_at(newest, level, margin), verdict_at(newest, level_of(looks), margin)
    fresh = None if verdict != UNDECIDED else fresh_seeds(newest, level, margin)
    asides = [f"uncorrected: {alone}"] if alone != verdict else []
    if looks:
        before = [(found.n, verdict_at(found, level, margin)) for found in reading.found[:-1]]
        asides += [f"{said} at {size}" for size, said in before if said not in (verdict, UNDECIDED)]
    elif reading.where:
        whole = verdict_at(found, TOTAL, margin) if (found := one.over(one.common)) else verdict
        asides += [f"all {len(one.common)} seeds: {whole}"] if whole != verdict else []
    asides += [reading.remark] if reading.remark else []
    text = f"{verdict}{reading.where}" + (f" ({'; '.join(asides)})" if asides else "")
    words = text + _what_next(reading, verdict, fresh, looks, following)
    after = bool(reading.where) and not looks
    return Judged(verdict, words, alone, level, n, tuple(reading.seeds), following, fresh, False, after)


def _what_next(
    reading: Reading, verdict: Verdict, fresh: int | None, looks: tuple[int, ...], following: int | None
) -> str:
    """What comes next, or would decide."""
    newest = reading.found[-1]
    if following is not None:
        return f", next look at {following}"
    last = ", the last look" if looks else ""
    if verdict != UNDECIDED:
        return last
    if newest.error is None:
        return "" if reading.where else ": one seed"
    if fresh is None:
        return f"{last}, nor by {MOST_SEEDS} seeds"
    return f"{last}, {seeds_in_words(fresh, 'fresh ')} would decide"


def fresh_seeds(found: Difference, level: float, margin: float | None) -> int | None:
    """How many new seeds would decide by themselves, if mean and spread stay as they are; None: too many."""
    if found.error is None:
        return None
    sd = found.error * math.sqrt(found.n)
    room = max(abs(found.mean), (margin or 0.0) - abs(found.mean))  # off 0, or wholly within the margin
    for wanted in range(2, MOST_SEEDS + 1):
        freedom = wanted - 1 if found.paired else 2 * (wanted - 1)
        if t_quantile(freedom, 1 - level / 2) * sd / math.sqrt(wanted) < room:
            return wanted
    return None
