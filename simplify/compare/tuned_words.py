"""What a tuned comparison says over both questions: which one is better at its best, and at one rate for both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

LEVEL = 0.05  # of all the rates of one pair of blocks together
Said = Literal["better", "worse", "equal", "not decided"]
Values = tuple[float, ...]  # of the tuned settings
Losses = Mapping[Values, Mapping[int, float]]  # in nats, by value and tuning seed

# By the verdict at each one's best, `best`. `rate`: what is tuned, in a word.
EVERYWHERE = "{best} at every {rate}"  # surely so at each common rate, too
BOTH = "{best} tuned and untuned"  # also at the untuned rate, not surely so at every rate
ONLY = "{best} only when tuned"  # surely not so at the untuned rate
OPEN = "{best} at its best, not decided untuned"  # nothing is sure at the untuned rate
AT_BEST = "{best} at its best"  # of the untuned rate nothing is known
DEPENDS = "depends on the {rate}"  # surely so at one rate, at another the other way round; or not at all at their best
NONE_LEFT = "no difference once tuned"  # equal within the margin at their best
NONE_SHOWN = "no difference shown once tuned"  # one at the untuned rate, and none is decided at their best
NOWHERE = "not decided at any {rate}"


@dataclass(frozen=True)
class Gap:
    """A block's loss minus the baseline's at the same value of the tuned settings, on `n` common tuning seeds, in nats.

    The interval is Student's at 95%, with the spread of pairs pooled over rates and final runs; None without one.
    `said` is corrected for the number of rates (Holm). `diverged`: one of the two did, on a seed of both.
    """

    values: Values
    n: int
    mean: float
    low: float | None
    high: float | None
    said: Said
    diverged: bool = False
    p: float = 1.0


@dataclass(frozen=True)
class Spread:
    """Standard deviation of a pair's difference, and its degrees of freedom."""

    sd: float
    freedom: int


def gaps_at(
    mine: Losses, base: Losses, finals: Sequence[float], diverged: tuple[frozenset[Values], frozenset[Values]]
) -> list[Gap]:
    """The paired gaps at all values that both have tried, ascending; `finals`: the differences of the final pairs.

    `diverged`: where either did on any seed. What diverged in one of them alone is surely worse there; what diverged in
    both says nothing and is left out.
    """
    pairs = {values: _paired(row, base[values]) for values, row in sorted(mine.items()) if values in base}
    pairs = {values: row for values, row in pairs.items() if row and not all(values in side for side in diverged)}
    fit = [row for values, row in pairs.items() if not any(values in side for side in diverged)]
    spread = pooled([*fit, *_at_best(mine, base, diverged)], finals)
    return _holm([_gap(values, row, spread, [values in side for side in diverged]) for values, row in pairs.items()])


def _paired(mine: Mapping[int, float], base: Mapping[int, float]) -> list[float]:
    return [mine[seed] - base[seed] for seed in mine if seed in base]


def _at_best(mine: Losses, base: Losses, diverged: tuple[frozenset[Values], frozenset[Values]]) -> list[list[float]]:
    """The pairs of each one's value with the most seeds, of these the lowest: rates that both keep may be none."""
    sides: list[Mapping[int, float]] = []
    for losses, out in zip((mine, base), diverged, strict=True):
        fit = [row for values, row in losses.items() if values not in out]
        if fit:
            sides.append(min(fit, key=lambda row: (-len(row), math.fsum(row.values()))))
    return [_paired(*sides)] if len(sides) == 2 else []


def pooled(rows: Sequence[Sequence[float]], finals: Sequence[float]) -> Spread | None:
    """How much pairs differ: within the rates on tuning seeds, and among the final pairs.

    The rates share their seeds, so all of them have no more degrees of freedom than the one with the most seeds.
    """
    several = [row for row in rows if len(row) > 1]
    parts = [(_squares(several), sum(len(row) - 1 for row in several), max((len(r) - 1 for r in several), default=0))]
    parts.append((_squares([finals]), len(finals) - 1, len(finals) - 1))
    parts = [part for part in parts if part[1] > 0]
    freedom = sum(free for _, _, free in parts)
    if not freedom:
        return None
    return Spread(math.sqrt(sum(free * squares / number for squares, number, free in parts) / freedom), freedom)


def _squares(rows: Sequence[Sequence[float]]) -> float:
    return math.fsum((value - math.fsum(row) / len(row)) ** 2 for row in rows for value in row)


def _gap(values: Values, row: Sequence[float], spread: Spread | None, diverged: Sequence[bool]) -> Gap:
    from scipy.special import stdtr, stdtrit

    mean = math.fsum(row) / len(row)
    if any(diverged):
        return Gap(values, len(row), mean, None, None, "worse" if diverged[0] else "better", True, 0.0)
    if spread is None:
        return Gap(values, len(row), mean, None, None, "not decided")
    error = spread.sd / math.sqrt(len(row))
    half = float(stdtrit(spread.freedom, 1 - LEVEL / 2)) * error
    p = float(2 * stdtr(spread.freedom, -abs(mean) / error)) if error else float(mean == 0)
    return Gap(values, len(row), mean, mean - half, mean + half, "not decided", p=p)


def _holm(gaps: Sequence[Gap]) -> list[Gap]:
    """Which of the gaps are sure, all of them together at LEVEL."""
    found = list(gaps)
    for place, number in enumerate(sorted(range(len(gaps)), key=lambda number: gaps[number].p)):
        gap = gaps[number]
        if gap.p > LEVEL / (len(gaps) - place):
            break
        if not gap.diverged:
            found[number] = replace(gap, said="better" if gap.mean < 0 else "worse")
    return found


def in_words(best: Said | None, untuned: Said | None, others: Sequence[Said], rate: str = "rate") -> str:
    """The answer to both questions at once; empty where the first one has none.

    `best`: the verdict at each one's best. `untuned`: that at the untuned value; None: unknown. `others`: those at the
    other values that both have tried. `rate`: what is tuned.
    """
    return "" if best is None else _words(best, untuned, others).format(best=best, rate=rate)


def _words(best: Said, untuned: Said | None, others: Sequence[Said]) -> str:
    sure = {said for said in others if said in ("better", "worse")}
    if best in ("better", "worse"):
        rates = [*others, *([untuned] if untuned is not None else [])]
        if len(rates) > 1 and all(said == best for said in rates):
            return EVERYWHERE
        at_one = {None: AT_BEST, best: BOTH, "not decided": OPEN}.get(untuned, ONLY)
        return f"{at_one}; {DEPENDS}" if sure - {best} else at_one
    if len(sure) == 2 or (untuned in ("better", "worse") and sure - {untuned}):
        return DEPENDS
    if untuned in ("better", "worse"):
        return NONE_LEFT if best == "equal" else NONE_SHOWN
    if sure:
        return DEPENDS
    return NONE_LEFT if best == "equal" else NOWHERE
