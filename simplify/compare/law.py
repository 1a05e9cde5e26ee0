"""A power law of losses: loss = limit + scale (x / centre)^-exponent."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
LEAST_SIZES = 3
_FURTHEST = 600.0  # the logarithm of x over its centre: what a flat law is asked for must stay a number
_LEAST_OFFSET = 4  # sizes from which a limit that no size gets below is fitted too


@dataclass(frozen=True)
class Law:
    """The fitted numbers, with their covariance in the order scale, exponent, limit; `limit` may be absent: 0."""

    numbers: Array
    spread: Array
    centre: float

    def __call__(self, x: Array) -> Array:
        """The loss at each x."""
        return law(x / self.centre, *self.numbers)

    @property
    def limit(self) -> float:
        """What no x gets below; 0 where the sizes were too few to say."""
        return float(self.numbers[2]) if len(self.numbers) > 2 else 0.0

    def inverse(self, loss: float) -> float:
        """The x that has this loss; infinite where none has."""
        above = (loss - self.limit) / float(self.numbers[0])
        if above <= 0 or not self.numbers[1]:
            return math.inf
        power = -math.log(above) / float(self.numbers[1])
        return self.centre * math.exp(max(power, -_FURTHEST)) if power < _FURTHEST else math.inf


def law(x: Array, scale: float, exponent: float, limit: float = 0.0) -> Array:
    """The loss at x, in units of its centre."""
    return limit + scale * x**-exponent


def fitted(x: Sequence[float], y: Sequence[float]) -> Law | None:
    """Least squares over all runs; None for fewer than three sizes, or where the fit does not come to an end.

    With four sizes or more the limit is fitted too (Hoffmann et al., arXiv 2203.15556, has this form in each variable).
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    sizes = len(set(x))
    places, losses = np.array(x, dtype=float), np.array(y, dtype=float)
    offset = sizes >= _LEAST_OFFSET
    count = 3 if offset else 2
    if sizes < LEAST_SIZES or len(places) < count:
        return None
    centre = float(np.exp(np.log(places).mean()))
    lowest = float(losses.min())
    start = [float(losses.mean()) - 0.5 * lowest, 0.2, 0.5 * lowest] if offset else [float(losses.mean()), 0.1]
    bounds = ([0.0, 0.0, 0.0][:count], [np.inf, 5.0, lowest][:count])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if len(places) == count else "error", OptimizeWarning)
        try:
            numbers, spread = curve_fit(law, places / centre, losses, p0=start, bounds=bounds, maxfev=20_000)
        except (RuntimeError, ValueError, OptimizeWarning):
            return None
    return Law(numbers, spread, centre)
