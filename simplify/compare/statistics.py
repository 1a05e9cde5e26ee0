"""By how much one variant's loss is lower than another's: differences over seeds, and their intervals.

Runs of one seed see the same batches in the same order and share the initial values of all weights that they share, so
the differences within pairs vary less than the losses do. The interval of their mean is Student's; of runs without
common seeds it is Welch's (1947). What a difference decides is told by `verdict.py`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.95  # of every interval that is shown


@dataclass(frozen=True)
class Difference:
    """Mean of a variant's losses minus the baseline's, in nats, with its interval. Lower is better."""

    n: int  # pairs; of unpaired runs, the fewer
    paired: bool
    mean: float
    low: float | None  # None where one pair tells nothing of the spread
    high: float | None
    error: float | None  # standard error of the mean
    freedom: float  # degrees of freedom of Student's t

    def interval(self, level: float) -> tuple[float, float] | None:
        """What holds the truth but for a share `level` of all cases; None where nothing tells of the spread."""
        if self.error is None:
            return None
        half = t_quantile(self.freedom, 1 - level / 2) * self.error
        return self.mean - half, self.mean + half


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
    found = of_gaps(values)
    return None if found.low is None or found.high is None else (found.low, found.high)


def compare(mine: Mapping[Hashable, float], base: Mapping[Hashable, float]) -> Difference | None:
    """Losses by seed against the baseline's: by pairs where seeds are common, else as two samples.

    None where a side has no loss.
    """
    common = [seed for seed in mine if seed in base]
    if common:
        return of_gaps([mine[seed] - base[seed] for seed in common])
    if not mine or not base:
        return None
    sides = [mean_sd(list(side.values())) for side in (mine, base)]
    error, freedom = _welch(sides, (len(mine), len(base)))
    return _difference(sides[0][0] - sides[1][0], error, freedom, min(len(mine), len(base)), False)


def of_gaps(gaps: Sequence[float]) -> Difference:
    """The mean difference of pairs."""
    mean, sd = mean_sd(gaps)
    error = None if sd is None else sd / math.sqrt(len(gaps))
    return _difference(mean, error, float(len(gaps) - 1), len(gaps), True)


def _welch(sides: Sequence[tuple[float, float | None]], sizes: tuple[int, int]) -> tuple[float | None, float]:
    """Standard error and degrees of freedom of the difference of two means."""
    shares = [sd**2 / n for (_, sd), n in zip(sides, sizes, strict=True) if sd is not None]
    if len(shares) < 2:
        return None, 0.0
    total = sum(shares)
    if total == 0:
        return 0.0, float(sum(sizes) - 2)
    return math.sqrt(total), total**2 / sum(share**2 / (n - 1) for share, n in zip(shares, sizes, strict=True))


def _difference(mean: float, error: float | None, freedom: float, n: int, paired: bool) -> Difference:
    found = Difference(n, paired, mean, None, None, error, freedom)
    shown = found.interval(1 - LEVEL)
    return found if shown is None else Difference(n, paired, mean, *shown, error, freedom)
