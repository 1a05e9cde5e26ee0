"""Ratios of times that were taken in turn: middle, spread, and what they decide. No torch.

Two variants are compared round by round, t_base,i / t_variant,i, so that whatever slows the machine
for longer than a round slows both. The interval of the median is distribution-free (order statistics:
the sign test turned round; David & Nagaraja, Order Statistics, 2003, section 7.1): the times of a
shared machine are anything but normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Of one comparison. A bench makes a dozen or two: at 99% each, every fifth bench would find a difference in nothing.
CONFIDENCE = 0.999
_LOW, _HIGH = 0.1, 0.9  # quantiles of the stated spread
# Two models of one block, whose weights only lie elsewhere in memory, were seen to differ by up to 1%.
RESOLUTION = 0.01
FASTER, SLOWER, UNDECIDED = "faster", "slower", "not decided"


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the baseline; above 1 is faster."""

    median: float
    low: float  # stated spread: 10th percentile of the rounds' ratios, at least RESOLUTION off the median
    high: float  # 90th
    sure_low: float | None  # interval of the median at CONFIDENCE; None: too few rounds for one
    sure_high: float | None
    verdict: str  # FASTER, SLOWER or UNDECIDED
    why: str  # why it is not decided, and what to do; empty where it is


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile by linear interpolation, as numpy does by default. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return quantile(values, 0.5)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """10th and 90th percentile."""
    return quantile(values, _LOW), quantile(values, _HIGH)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """An interval that holds the true median with at least `confidence`; None for too few values.

    The k-th smallest and the k-th largest value, k the largest with 2 P(Bin(n, 1/2) < k) <= 1 - confidence.
    """
    count = len(values)
    tail, k = 0.0, 0
    while k <= count // 2:
        tail += math.comb(count, k) / 2**count
        if 2 * tail > 1 - confidence:
            break
        k += 1
    if k == 0:
        return None
    ordered = sorted(values)
    return ordered[k - 1], ordered[-k]


def least_rounds(confidence: float = CONFIDENCE) -> int:
    """The fewest values of which `median_interval` knows an interval."""
    return math.ceil(1 - math.log2(1 - confidence))


def compare(base: Sequence[float], variant: Sequence[float]) -> Ratio:
    """How much faster `variant` is than `base`; times of the same rounds for the same work."""
    ratios = [b / v for b, v in zip(base, variant, strict=True)]
    middle, (low, high), sure = median(ratios), spread(ratios), median_interval(ratios)
    low, high = min(low, middle / (1 + RESOLUTION)), max(high, middle * (1 + RESOLUTION))
    verdict, why = decide(sure, (high - low) / middle, len(ratios))
    sure_low, sure_high = sure or (None, None)
    return Ratio(middle, low, high, sure_low, sure_high, verdict, why)


def decide(sure: tuple[float, float] | None, varied: float, rounds: int) -> tuple[str, str]:
    """The verdict, and why there is none; `varied` is the width of the spread.

    Decided only where the whole interval of the median is on one side of 1, and further off than RESOLUTION.
    """
    if sure is None:
        return UNDECIDED, f"{rounds} rounds are too few; valid: --rounds {least_rounds()} or more"
    if sure[0] > 1 + RESOLUTION:
        return FASTER, ""
    if sure[1] < 1 / (1 + RESOLUTION):
        return SLOWER, ""
    most = max(sure[1], 1 / sure[0]) - 1
    if most <= 2 * RESOLUTION:
        return UNDECIDED, f"no difference above {100 * most:.1f}%"
    return UNDECIDED, (
        f"the machine varied by {100 * varied:.1f}%, any difference is below {100 * most:.1f}%; "
        f"more rounds (--rounds {4 * rounds}) or a quieter machine"
    )
