"""Is one variant's loss lower than another's? Intervals and verdicts over seeds.

Runs of one seed see the same batches in the same order and share the initial values of all weights that they share, so
the differences within pairs vary less than the losses do. The interval of their mean is Student's; of runs without
common seeds it is Welch's (1947). Verdicts are for one comparison each, not corrected for several.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

LEVEL = 0.95  # of every interval
MOST_SEEDS = 200  # more than so many are no advice

Verdict = Literal["better", "worse", "equal", "not decided"]


@dataclass(frozen=True)
class Difference:
    """Mean of a variant's losses minus the baseline's, in nats, with its interval. Lower is better."""

    n: int  # pairs; of unpaired runs, the fewer
    paired: bool
    mean: float
    low: float | None  # None where one pair tells nothing of the spread
    high: float | None
    verdict: Verdict
    more: int | None  # seeds beyond these that would decide, if mean and spread stay; None: decided, or too many

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.verdict != "not decided":
            return self.verdict
        if self.low is None:
            return "not decided: one seed"
        if self.more is None:
            return f"not decided, nor by {MOST_SEEDS} seeds"
        return f"not decided, {self.more} more seed{'s' if self.more > 1 else ''} would decide"


def t_quantile(df: float, p: float = (1 + LEVEL) / 2) -> float:
    """Student's quantile."""
    from scipy.special import stdtrit

    return float(stdtrit(df, p))


def mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1); no deviation of a single value."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The interval of the mean of `values`; None for fewer than two."""
    mean, sd = mean_sd(values)
    if sd is None:
        return None
    half = t_quantile(len(values) - 1) * sd / math.sqrt(len(values))
    return mean - half, mean + half


def compare(
    mine: Mapping[Hashable, float], base: Mapping[Hashable, float], margin: float | None = None
) -> Difference | None:
    """Losses by seed against the baseline's: by pairs where seeds are common, else as two samples.

    `margin`: two means that surely differ by less count as equal. None where a side has no loss.
    """
    common = [seed for seed in mine if seed in base]
    if common:
        gaps = [mine[seed] - base[seed] for seed in common]
        mean, sd = mean_sd(gaps)
        found = None if sd is None else (sd / math.sqrt(len(gaps)), float(len(gaps) - 1))
        return _difference(mean, found, len(gaps), True, margin)
    if not mine or not base:
        return None
    sides = [mean_sd(list(side.values())) for side in (mine, base)]
    mean, n = sides[0][0] - sides[1][0], min(len(mine), len(base))
    return _difference(mean, _welch(sides, (len(mine), len(base))), n, False, margin)


def _welch(sides: Sequence[tuple[float, float | None]], sizes: tuple[int, int]) -> tuple[float, float] | None:
    """Standard error and degrees of freedom of the difference of two means."""
    shares = [sd**2 / n for (_, sd), n in zip(sides, sizes, strict=True) if sd is not None]
    if len(shares) < 2:
        return None
    total = sum(shares)
    if total == 0:
        return 0.0, float(sum(sizes) - 2)
    return math.sqrt(total), total**2 / sum(share**2 / (n - 1) for share, n in zip(shares, sizes, strict=True))


def _difference(
    mean: float, error: tuple[float, float] | None, n: int, paired: bool, margin: float | None
) -> Difference:
    if error is None:
        return Difference(n, paired, mean, None, None, "not decided", None)
    half = t_quantile(error[1]) * error[0]
    low, high = mean - half, mean + half
    verdict = _verdict(low, high, margin)
    more = None if verdict != "not decided" else _more_seeds(mean, error[0] * math.sqrt(n), n, paired, margin)
    return Difference(n, paired, mean, low, high, verdict, more)


def _verdict(low: float, high: float, margin: float | None) -> Verdict:
    if (margin is not None and -margin < low and high < margin) or low == high == 0:
        return "equal"
    if high < 0:
        return "better"
    return "worse" if low > 0 else "not decided"


def _more_seeds(mean: float, sd: float, n: int, paired: bool, margin: float | None) -> int | None:
    """How many seeds beyond `n` would decide, if mean and spread stay as they are."""
    room = max(abs(mean), (margin or 0.0) - abs(mean))  # off 0, or wholly within the margin
    for wanted in range(n + 1, MOST_SEEDS + 1):
        freedom = wanted - 1 if paired else 2 * (wanted - 1)
        if t_quantile(freedom) * sd / math.sqrt(wanted) < room:
            return wanted - n
    return None
