"""How much losses differ from seed to seed, and how many seeds an effect of some size needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simplify.compare.statistics import LEVEL, mean_sd, t_quantile

POWER = 0.8  # chance that an effect of that size is decided
_RANKS = 2000  # of the deviation, equally likely: enough for the fourth digit
MOST = 10_000  # seeds; an effect that needs more is out of reach


@dataclass(frozen=True)
class Deviation:
    """A standard deviation, in the unit of its values, with its interval."""

    n: int
    mean: float
    sd: float
    low: float  # chi-square, of normal values
    high: float


def deviation_of(values: Sequence[float]) -> Deviation | None:
    """The deviation of values; None for fewer than two."""
    mean, sd = mean_sd(values)
    return None if sd is None else Deviation(len(values), mean, sd, *interval_of(sd, len(values) - 1))


def interval_of(sd: float, freedom: float) -> tuple[float, float]:
    """The interval of a deviation that is known from so many degrees of freedom."""
    from scipy.special import chdtri

    tail = (1 - LEVEL) / 2
    low, high = (sd * math.sqrt(freedom / float(chdtri(freedom, p))) for p in (tail, 1 - tail))
    return low, high


def power_of(n: int, effect: float, sd: float) -> float:
    """The chance that the two-sided 5% t test of `n` differences decides: that of a normal number over its deviation.

    Integrated over the deviation's chi-square, since scipy's nctdtr is NaN at many usual places.
    """
    from scipy.special import chdtri, ndtr

    freedom, away = n - 1, abs(effect) / sd * math.sqrt(n)
    rank = (np.arange(_RANKS) + 0.5) / _RANKS
    limit = t_quantile(freedom) * np.sqrt(chdtri(freedom, rank) / freedom)
    return float(np.mean(ndtr(away - limit) + ndtr(-away - limit)))


def seeds_needed(effect: float, sd: float) -> int | None:
    """The fewest pairs that decide an effect with the chance POWER; None where MOST do not."""
    if sd == 0:
        return 2
    low, high = 1, 2
    while power_of(high, effect, sd) < POWER:
        low, high = high, 2 * high
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle, effect, sd) >= POWER else (middle, high)
    return high
