"""How the loss falls with size: a power law fitted to a ladder of models, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simplify.compare.comparison import Comparison
from simplify.compare.figures import UNIT
from simplify.compare.law import Array, fitted
from simplify.compare.multiplier import Rung, decision_accuracy, worth
from simplify.compare.names import labelled, name_of, without_maths
from simplify.compare.panels import Curve, Panel
from simplify.compare.statistics import mean_sd, t_quantile
from simplify.compare.styles import Style, joint_styles
from simplify.compare.variants import Variant, value_of
from simplify.runs.words import as_word

SIZES = {"parameters": "parameters", "flops": "training FLOPs", "tokens": "training tokens"}
BAND = "bands: 95% interval of a law, s.d. of points"
_LINE = ("block", "data", "model")
_SIZE = ("name", "n_layers", "d_model", "d_ff", "n_heads", "n_kv_heads", "d_head")
_OF_SIZE = {"model", *(f"model.{name}" for name in _SIZE)}
_POINTS = 60  # of a drawn fit


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
    """The law with its intervals; None where there is none, or no run more than it has numbers."""
    found = fitted(x, y)
    freedom = len(x) - len(found.numbers) if found else 0
    if found is None or not freedom:
        return None
    t = t_quantile(freedom)
    errors = t * np.sqrt(np.diag(found.spread))
    grid = np.geomspace(min(x), max(x), _POINTS)
    slope = _slopes(grid / found.centre, found.numbers)
    half = t * np.sqrt(np.einsum("ij,jk,ik->i", slope, found.spread, slope).clip(min=0))
    limit_half = float(errors[2]) if len(errors) > 2 else None
    return Fit(
        float(found.numbers[1]), float(errors[1]), found.limit, limit_half, found.centre, grid, found(grid), half
    )


def _slopes(x: Array, numbers: Array) -> Array:
    """The fitted curve's derivatives with respect to its parameters at each x."""
    power = x ** -numbers[1]
    columns = [power, -numbers[0] * np.log(x) * power, np.ones_like(x)]
    return np.stack(columns[: len(numbers)], axis=1)


def scaling_panel(
    found: Comparison,
    size: str,
    log_x: bool | None = None,
    log_y: bool | None = None,
    labels: Mapping[str, str] | None = None,
) -> tuple[Panel | None, list[list[str]]]:
    """Final losses over a ladder of sizes with a power law for each line of variants, and the laws as a table.

    A line is a block with its settings; of what else differs, a learning rate say, it takes the best at each size.
    """
    ladders = _ladders(found, size)
    styles = joint_styles({name: [v.style for v in steps.values()] for name, steps in ladders.items()})
    curves: list[Curve] = []
    worths = _worths(found)
    table = [["block", "sizes", "runs", f"law of loss in {SIZES[size]}", *(["worth"] if worths else [])]]
    for name, steps in ladders.items():
        points = [(place, loss) for place, variant in steps.items() for loss in variant.final().values()]
        label = labelled(name, _told(next(iter(steps.values()))), labels or {})
        plain = without_maths(label)
        fit = fit_power_law([x for x, _ in points], [y for _, y in points])
        told = fit.sentence if fit else "no fit: needs three sizes, and more runs than the law has numbers"
        table.append([plain, str(len(steps)), str(len(points)), told, *([worths.get(name, "-")] if worths else [])])
        if fit is not None:
            band = ((fit.y - fit.half).tolist(), (fit.y + fit.half).tolist())
            law = (f"{plain}, law", fit.x.tolist(), fit.y.tolist(), *band)
            curves.append(Curve(*law, style=styles[name], label=f"{label}, law"))
        curves.append(_means(plain, points, styles[name], label))
    if not any(len(curve.x) for curve in curves):
        return None, table
    told = "Points: the best variant of each size, mean over seeds, one standard deviation. "
    told += "Lines: the fitted law with the 95% interval of its curve."
    told = " ".join(filter(None, (told, decision_line(found))))
    if worths:
        told += " Worth: how many times its own training FLOPs the baseline needs for the same loss, by its law."
    title = f"final validation loss against {SIZES[size]}"
    x_is_log, y_is_log = log_x is not False, log_y is not False
    axes = (SIZES[size], UNIT)
    return Panel(f"scaling-{size}", title, told, *axes, curves, log_x=x_is_log, log_y=y_is_log, band=BAND), table


def _ladders(found: Comparison, size: str) -> dict[str, dict[float, Variant]]:
    """Of each line and size the variant with the lowest mean loss."""
    lines: dict[str, dict[float, tuple[float, Variant]]] = {}
    told = [_told(variant) for variant in found.variants]
    differ = {key for cells in told for key in cells if len({other.get(key) for other in told}) > 1}
    for row, cells in zip(found.rows, told, strict=True):
        place = _size(row.variant, size)
        if place is None or row.loss is None:
            continue
        name = name_of({key: cell for key, cell in cells.items() if key in differ}, row.variant.block)
        steps = lines.setdefault(name, {})
        if place not in steps or row.loss[0] < steps[place][0]:
            steps[place] = (row.loss[0], row.variant)
    return {name: {place: variant for place, (_, variant) in steps.items()} for name, steps in lines.items()}


def _worths(found: Comparison) -> dict[str, str]:
    """By line the compute multiplier against its baseline's line; nothing where no line has one."""
    ladders = _ladders(found, "flops")
    lines = {id(variant): name for name, steps in ladders.items() for variant in steps.values()}
    bases = {id(row.variant): id(row.base) for row in found.rows if row.base is not None and not row.is_base}
    rungs = {name: [Rung(place, v.final()) for place, v in sorted(steps.items())] for name, steps in ladders.items()}
    worths: dict[str, str] = {}
    for name, steps in ladders.items():
        held = {lines[base] for variant in steps.values() if (base := bases.get(id(variant))) in lines}
        if len(held) == 1 and (value := worth(rungs[name], rungs[held.pop()])) is not None:
            worths[name] = value.text
    return worths


def decision_line(found: Comparison) -> str:
    """How well each scale foretells the largest: the pairs of lines that both order alike; empty below two of both."""
    scales: dict[tuple[object, ...], dict[str, Variant]] = {}
    for name, steps in _ladders(found, "flops").items():
        for variant in steps.values():
            scales.setdefault(_scale(variant), {})[name] = variant
    scales = {scale: lines for scale, lines in scales.items() if len(lines) > 1}
    ordered = sorted(scales.values(), key=lambda lines: max(_size(v, "flops") or 0.0 for v in lines.values()))
    if len(ordered) < 2:
        return ""
    *small, large = [{name: mean_sd(list(v.final().values()))[0] for name, v in lines.items()} for lines in ordered]
    told = [
        f"{alike} of {pairs} at {_flops(lines)}"
        for means, lines in zip(small, ordered[:-1], strict=True)
        for alike, pairs in (decision_accuracy(means, large),)
        if pairs
    ]
    largest = f"as the largest scale ({_flops(ordered[-1])}) does"
    return f"Decision accuracy, pairs of lines ordered {largest}: {', '.join(told)}." if told else ""


def _scale(variant: Variant) -> tuple[object, ...]:
    """What a size and a budget are, whatever the line."""
    tokens = max(int(run.last["tokens"]) for run in variant.done)
    return (*(variant.settings.get(f"model.{name}") for name in _SIZE[1:]), tokens)


def _flops(lines: Mapping[str, Variant]) -> str:
    """The training FLOPs of a scale, as the largest of its lines has them."""
    return f"{max(_size(variant, 'flops') or 0.0 for variant in lines.values()):.2g} FLOPs"


def _told(variant: Variant) -> dict[str, str]:
    """What a line is: settings of the block, of the data, and of the model but its size. A rule of depth is one."""
    wanted = [key for key in variant.cells if key.partition(".")[0] in _LINE and key not in _OF_SIZE]
    return {key: as_word(value_of(variant.config, key)) for key in wanted}


def _means(name: str, points: Sequence[tuple[float, float]], style: Style, label: str) -> Curve:
    places = sorted({x for x, _ in points})
    groups = [[y for x, y in points if x == place] for place in places]
    means = [math.fsum(group) / len(group) for group in groups]
    sds = [float(np.std(group, ddof=1)) if len(group) > 1 else None for group in groups]
    low, high = ([None if s is None else m + sign * s for m, s in zip(means, sds, strict=True)] for sign in (-1, 1))
    bands = (low, high) if any(s is not None for s in sds) else (None, None)
    return Curve(name, places, means, *bands, style=style, label=label)


def _size(variant: Variant, size: str) -> float | None:
    costs = variant.costs
    tokens = max((float(run.last["tokens"]) for run in variant.done), default=None)
    if costs is None or tokens is None:
        return None
    return {"parameters": float(costs.parameters), "tokens": tokens, "flops": tokens * costs.training_flops}[size]
