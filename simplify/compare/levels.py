"""The level of each look at which all of them together spend no more than was agreed.

A look is a number of pairs of seeds at which a verdict may be read. With T_n Student's t of the first n differences, no
difference there, and looks at n_1 < ... < n_K, the level l of each look solves

    P(|T_n| > t_(n-1)(1 - l/2) at one look at least) = total

(a constant nominal level as Pocock's, Biometrika 64, 1977, with t in place of z). The probability is integrated, not
simulated. R_n = (x_1 + ... + x_n) / sqrt(n (x_1^2 + ... + x_n^2)) tells T_n and is a Markov chain, since the direction
of n normal numbers tells nothing of their length:

    R_(n+1) = (sqrt(n) R_n cos a + sin a) / sqrt(n + 1),    a of density ~ cos(a)^(n-1) on -pi/2..pi/2

so the chance of passing all later looks is a function of one number, made from the last look backwards.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

TOTAL = 0.05  # what all looks at one difference spend
MOST_SEEDS = 200  # of a look or an advice
# Enough for the sixth digit (tests/test_levels.py): of each stretch of a function, and of each stretch of an integral.
_PLACES, _POINTS = 65, 32
_BREAKS = 3  # of a function; older ones are smooth enough
_USUAL = 6.0  # pairs, up to which R is mostly anywhere
_TAIL = 6.5  # standard deviations of an angle, beyond which nothing is


class _Chance:
    """The chance of no verdict at looks after `n` pairs, by |R_n|.

    At `breaks` it begins to fall like a root of what is left; between them it is a spline, over an axis that is
    stretched there and where R_n mostly is.
    """

    def __init__(self, n: int, breaks: Sequence[float]) -> None:
        self.breaks = tuple(breaks)
        self._narrow = min(1.0, math.sqrt(_USUAL / n))
        self._ends = np.array([0.0, *self._axis(np.array(sorted(breaks))), math.pi / 2])
        self._w = np.linspace(0.0, 1.0, _PLACES)
        low, high = self._ends[:-1, None], self._ends[1:, None]
        axis = low + (high - low) * np.sin(math.pi / 2 * self._w) ** 2  # (stretch, place)
        opposite = self._narrow * np.sin(axis)
        self.places = opposite / np.hypot(opposite, np.cos(axis))  # of R_n
        self._splines: list[object] = []

    def _axis(self, r: Float64) -> Float64:
        return np.arctan2(r, self._narrow * np.sqrt(1.0 - r * r))

    def with_values(self, values: Float64) -> _Chance:
        """The function that has these values at its places."""
        from scipy.interpolate import CubicSpline

        self._splines = [CubicSpline(self._w, row) for row in values]
        return self

    def __call__(self, r: Float64) -> Float64:
        if not self._splines:  # of the last look, after which nothing comes
            return np.ones_like(r)
        axis = self._axis(r)
        stretch = np.clip(np.searchsorted(self._ends, axis) - 1, 0, len(self._splines) - 1)
        low, high = self._ends[stretch], self._ends[stretch + 1]
        w = 2 / math.pi * np.arcsin(np.sqrt(np.clip((axis - low) / (high - low), 0.0, 1.0)))
        found = np.empty_like(r)
        for number, spline in enumerate(self._splines):
            here = stretch == number
            found[here] = spline(w[here])  # type: ignore[operator]
        return found


@functools.lru_cache(maxsize=4096)
def level_of(looks: tuple[int, ...], total: float = TOTAL) -> float:
    """The level of each look. `looks`: ascending numbers of pairs, from 2 on; one look, or none, has all of `total`."""
    if len(looks) < 2:
        return total
    from scipy.optimize import brentq

    low, high = math.log(total / len(looks)), math.log(total)  # Bonferroni's, and that of looks that tell the same
    root = brentq(lambda x: math.log(spent(looks, math.exp(x)) / total), low - 0.01, high, xtol=1e-7)
    return math.exp(float(root))  # type: ignore[arg-type]


def spent(looks: Sequence[int], level: float) -> float:
    """The chance of a verdict at one look at least, each at `level`, where there is no difference."""
    first, last = min(looks), max(looks)
    chance, limits = _Chance(last, ()), {n: _limit(n, level) for n in looks}
    for n in range(last - 1, first - 1, -1):
        chance = _before(n, chance, limits.get(n + 1, 1.0))
    end = math.asin(limits[first])
    cuts = np.array([0.0, *sorted(min(math.asin(place), end) for place in chance.breaks), end])
    angle, weights = _gauss(cuts[:-1], cuts[1:])
    lost = float(np.sum(weights * _density(first - 2, angle) * (1.0 - chance(np.sin(angle)))))
    return level + 2 * lost


def _limit(n: int, level: float) -> float:
    """|R_n| above which |T_n| is beyond its limit at `level`."""
    from scipy.special import stdtrit

    t = -float(stdtrit(n - 1, level / 2))
    return t / math.sqrt(t * t + n - 1)


def _before(n: int, after: _Chance, limit: float) -> _Chance:
    """The chance by R_n, from that by R_(n+1), which must stay within `limit`.

    R_(n+1) is A sin(b), with b between two right angles; within the limit are one or two stretches of b.
    """
    edges = [limit, *after.breaks]
    squares = [((n + 1) * edge * edge - 1) / n for edge in edges]
    found = _Chance(n, [math.sqrt(square) for square in squares if 0 < square < 1][:_BREAKS])
    r = found.places.ravel()
    size, turn = np.sqrt((n * r * r + 1) / (n + 1)), np.arctan2(r * math.sqrt(n), 1.0)
    within = np.arcsin(np.minimum(limit / size, 1.0))
    span = min(math.pi / 2, _TAIL / math.sqrt(n))
    low, high = turn - span, turn + span
    cuts = [np.arcsin(np.minimum(edge / size, 1.0)) for edge in edges[1:]]
    cuts = [one for cut in cuts for one in (cut, -cut, math.pi - cut)]
    values = np.zeros_like(r)
    stretches = (np.maximum(low, -within), np.minimum(high, within)), (np.maximum(low, math.pi - within), high)
    for start, stop in ((one, np.maximum(one, other)) for one, other in stretches):
        ends = np.sort(np.stack([start, *(np.clip(cut, start, stop) for cut in cuts), stop]), axis=0)
        b, weights = _gauss(ends[:-1], ends[1:])
        passed = after(np.minimum(np.abs(size[:, None] * np.sin(b)), 1.0))
        values += np.sum(weights * _density(n - 1, b - turn[:, None]) * passed, axis=(0, 2))
    return found.with_values(values.reshape(found.places.shape))


def _density(power: int, angle: Float64) -> Float64:
    """Of an angle between two right angles, ~ cos^power."""
    area = math.sqrt(math.pi) * math.exp(math.lgamma((power + 1) / 2) - math.lgamma(power / 2 + 1))
    return np.abs(np.cos(angle)) ** power / area


@functools.cache
def _nodes() -> tuple[Float64, Float64]:
    """Places and weights in 0..1 of an integral whose function may begin and end like a root."""
    x, weights = np.polynomial.legendre.leggauss(_POINTS)
    w = (x + 1) * math.pi / 4
    return np.sin(w) ** 2, weights * math.pi / 4 * np.sin(2 * w)


def _gauss(low: Float64, high: Float64) -> tuple[Float64, Float64]:
    """Places and weights of the integral over each stretch, along a new last axis."""
    nodes, weights = _nodes()
    length = (high - low)[..., None]
    return low[..., None] + length * nodes, length * weights
