"""How the loss falls with size: a power law fitted to a ladder of models, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simplify.compare.comparison import Comparison
from simplify.compare.curves import Array
from simplify.compare.panels import Curve, Panel
from simplify.compare.statistics import t_quantile
from simplify.compare.variants import Variant

SIZES = {"parameters": "parameters", "flops": "training FLOPs", "tokens": "training tokens"}
_POINTS = 60  # of a drawn fit
_LEAST_OFFSET = 4  # sizes from which a limit that no size gets below is fitted too


@dataclass(frozen=True)
class Fit:
    """loss = limit + scale (x / centre)^-exponent, with 95% half-widths. `limit` is 0 where the sizes are too few."""

    exponent: float
    exponent_half: float
    limit: float
    limit_half: float | None  # None: not fitted
    centre: float
    x: Array
    y: Array
    half: Array  # half-width of the fitted curve's interval at each x

    @property
    def sentence(self) -> str:
        """The law in words."""
        off = "" if self.limit_half is None else f", limit {self.limit:.3f} ± {self.limit_half:.3f}"
        return f"exponent {self.exponent:.3f} ± {self.exponent_half:.3f}{off}"


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> Fit | None:
    """Least squares over all runs; None for fewer than three sizes, or where the fit does not come to an end.

    With four sizes or more the limit is fitted too (Hoffmann et al., arXiv 2203.15556, has this form in each variable).
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    sizes = len(set(x))
    places, losses = np.array(x, dtype=float), np.array(y, dtype=float)
    offset = sizes >= _LEAST_OFFSET
    parameters = 3 if offset else 2
    if sizes < 3 or len(places) <= parameters:
        return None
    centre = float(np.exp(np.log(places).mean()))

    def law(at: Array, scale: float, exponent: float, limit: float = 0.0) -> Array:
        return limit + scale * (at / centre) ** -exponent

    lowest = float(losses.min())
    start = [float(losses.mean()) - 0.5 * lowest, 0.2, 0.5 * lowest] if offset else [float(losses.mean()), 0.1]
    bounds = ([0.0, 0.0, 0.0][:parameters], [np.inf, 5.0, lowest][:parameters])
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error", OptimizeWarning)
        try:
            found, spread = curve_fit(law, places, losses, p0=start, bounds=bounds, maxfev=20_000)
        except (RuntimeError, ValueError, OptimizeWarning):
            return None
    t = t_quantile(len(places) - parameters)
    errors = t * np.sqrt(np.diag(spread))
    grid = np.geomspace(places.min(), places.max(), _POINTS)
    slope = _slopes(grid / centre, found)
    half = t * np.sqrt(np.einsum("ij,jk,ik->i", slope, spread, slope).clip(min=0))
    limit, limit_half = (float(found[2]), float(errors[2])) if offset else (0.0, None)
    return Fit(float(found[1]), float(errors[1]), limit, limit_half, centre, grid, law(grid, *found), half)


def _slopes(x: Array, found: Array) -> Array:
    """The fitted curve's derivatives with respect to its parameters at each x."""
    power = x ** -found[1]
    columns = [power, -found[0] * np.log(x) * power, np.ones_like(x)]
    return np.stack(columns[: len(found)], axis=1)


def scaling_panel(found: Comparison, size: str) -> tuple[Panel | None, list[list[str]]]:
    """Final losses over a ladder of sizes with a power law for each block, and the laws as a table."""
    ladders: dict[str, list[tuple[float, float]]] = {}
    for (block, place), variant in _best(found, size).items():
        ladders.setdefault(block, []).extend((place, loss) for loss in variant.final().values())
    curves: list[Curve] = []
    table = [["block", "sizes", "runs", f"law of loss in {SIZES[size]}"]]
    for block, points in ladders.items():
        fit = fit_power_law([x for x, _ in points], [y for _, y in points])
        told = fit.sentence if fit else "no fit: needs three sizes, and more runs than the law has numbers"
        table.append([block, str(len({x for x, _ in points})), str(len(points)), told])
        if fit is not None:
            low, high = (fit.y - fit.half).tolist(), (fit.y + fit.half).tolist()
            curves.append(Curve(f"{block}, law", fit.x.tolist(), fit.y.tolist(), low, high, colour=block))
        curves.append(_means(block, points))
    if not any(len(curve.x) for curve in curves):
        return None, table
    told = "Points: the best variant of each size, mean over seeds, one standard deviation. "
    told += "Lines: the fitted law with the 95% interval of its curve."
    title = f"final validation loss against {SIZES[size]}"
    return Panel(f"scaling-{size}", title, told, SIZES[size], "nats a token", curves, log_x=True, log_y=True), table


def _best(found: Comparison, size: str) -> dict[tuple[str, float], Variant]:
    """Of each block and size the variant with the lowest mean loss: its best learning rate, say."""
    best: dict[tuple[str, float], tuple[float, Variant]] = {}
    for row in found.rows:
        place = _size(row.variant, size)
        if place is not None and row.loss is not None:
            key = (row.variant.block, place)
            if key not in best or row.loss[0] < best[key][0]:
                best[key] = (row.loss[0], row.variant)
    return {key: variant for key, (_, variant) in best.items()}


def _means(block: str, points: Sequence[tuple[float, float]]) -> Curve:
    places = sorted({x for x, _ in points})
    groups = [[y for x, y in points if x == place] for place in places]
    means = [math.fsum(group) / len(group) for group in groups]
    sds = [float(np.std(group, ddof=1)) if len(group) > 1 else None for group in groups]
    low, high = ([None if s is None else m + sign * s for m, s in zip(means, sds, strict=True)] for sign in (-1, 1))
    banded = any(s is not None for s in sds)
    return Curve(block, places, means, low if banded else None, high if banded else None, colour=block)


def _size(variant: Variant, size: str) -> float | None:
    costs = variant.costs
    tokens = max((float(run.last["tokens"]) for run in variant.done), default=None)
    if costs is None or tokens is None:
        return None
    return {"parameters": float(costs.parameters), "tokens": tokens, "flops": tokens * costs.training_flops}[size]
