"""The figures of a report as panels: loss curves, gaps to the baseline, final losses, gains of the layers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from simplify.compare.comparison import Comparison
from simplify.compare.curves import (
    AXES,
    TIMED,
    Line,
    Logged,
    common_range,
    gap_line,
    mean_line,
    on_axis,
    single_lines,
    smoothed,
    thinned,
)
from simplify.compare.panels import Curve, Panel, View, with_views
from simplify.compare.styles import Style
from simplify.compare.variants import Variant
from simplify.runs.metrics import read_metrics
from simplify.runs.store import RunView

LOSSES = {"val/loss": "validation loss", "train/loss": "training loss"}
# Of training, beside the loss: title, unit, and what is to be known of it.
MEASURES = {
    "grad_norm": ("gradient norm", "norm", "Before clipping. One batch a point, so noisy."),
    "lr": ("learning rate", "rate", ""),
    "tokens_per_sec": (
        *("speed", "tokens a second"),
        "As each run saw it: what else the machine did then is in it. simplify bench compares speeds.",
    ),
}
MOST_CURVES = 60  # more can be told apart in no picture; the table has them all
MOST_PRINTED = 16  # and on paper fewer
_POINTS = 60_000  # of all curves of a panel together: a page stays below 5 MB
UNIT = "nats a token"
BANDS = SPREAD, _OF_HEADS, _OF_MEAN = "band: s.d. over seeds", "band: s.d. over heads", "band: 95% interval"
_WINDOW = 40  # a printed training loss is the mean over a fortieth of its points


def shown(found: Comparison) -> list[Variant]:
    """The variants that have curves; the first ones, where they are too many."""
    return found.variants[:MOST_CURVES]


def loss_panel(found: Comparison, metric: str, axis: str, logs: tuple[bool, bool] = (False, False)) -> Panel:
    """A loss against every axis, mean and standard deviation over seeds. `logs`: whether x and y are logarithmic."""
    views = _views(found, metric)
    told = "Mean over seeds, the band one standard deviation. Against seconds and device hours: each run's own time."
    told += " One batch a point, so noisy." if metric == "train/loss" else " Over the fixed validation set."
    look = {"smooth": metric == "train/loss", "focus": 0.0 if logs[0] else 0.1, "log_x": logs[0], "log_y": logs[1]}
    return with_views(metric, LOSSES[metric], told, UNIT, views, axis, **look)


def measure_panels(found: Comparison, axis: str) -> list[Panel]:
    """What else was logged of training, against every axis; without what no run has logged."""
    panels: list[Panel] = []
    for metric, (title, unit, told) in MEASURES.items():
        views = _views(found, metric)
        if any(view.curves for view in views):
            panels.append(with_views(metric, title, told, unit, views, axis, smooth=metric == "grad_norm"))
    return panels


def _views(found: Comparison, metric: str) -> list[View]:
    """A metric against every axis: each variant's mean, with its single runs."""
    variants = shown(found)
    most = max(60, _POINTS // (8 * max(len(variants), 1)))
    fewer = max(30, _POINTS // (8 * max(sum(len(variant.drawn) for variant in variants), 1)))
    lines: dict[tuple[str, bool], list[Line]] = {}  # the mean, then the single runs
    for variant in variants:
        for timed in (False, True):
            line = mean_line(variant, found.logged, metric, timed)
            if line is not None:
                single = single_lines(variant, found.logged, metric, timed)
                lines[variant.name, timed] = [thinned(line, most), *(thinned(one, fewer) for one in single)]
    return [View(key, label, _curves(variants, lines, key, found.logged)) for key, label in AXES.items()]


def _curves(
    variants: Sequence[Variant], lines: Mapping[tuple[str, bool], Sequence[Line]], axis: str, logged: Logged
) -> list[Curve]:
    found: list[Curve] = []
    for variant in variants:
        of_it = lines.get((variant.name, axis in TIMED), ())
        placed = [line for line in (on_axis(line, variant, axis, logged) for line in of_it) if line is not None]
        if placed:
            runs = [(line.x.tolist(), line.y.tolist()) for line in placed[1:]]
            found.append(replace(_curve(variant, placed[0]), runs=runs))
    return found


def _curve(variant: Variant, line: Line) -> Curve:
    banded = line.n > 1
    low, high = (line.low.tolist(), line.high.tolist()) if banded else (None, None)
    points = (line.x.tolist(), line.y.tolist(), low, high)
    return Curve(variant.name, *points, style=variant.style, partial=not variant.done, label=variant.label)


def printed_loss(found: Comparison, metric: str, axis: str, logs: tuple[bool, bool] = (False, False)) -> Panel:
    """A loss against one axis for paper: cut to the range that all curves share, training loss smoothed."""
    lines: dict[str, tuple[Variant, Line]] = {}
    for variant in found.variants[:MOST_PRINTED]:
        line = mean_line(variant, found.logged, metric, axis in TIMED)
        line = None if line is None else on_axis(line, variant, axis, found.logged)
        if line is not None:
            if metric == "train/loss":
                line = smoothed(line, len(line.x) // _WINDOW)
            lines[variant.name] = (variant, line)
    ended = [line for variant, line in lines.values() if variant.done]  # a run that has just begun limits no picture
    span = common_range(ended or [line for _, line in lines.values()])
    cut = [(v, line.cut(*span) if span else line) for v, line in lines.values()]
    curves = [_curve(variant, thinned(line, 1000)) for variant, line in cut]
    title = LOSSES[metric] + (" (moving mean)" if metric == "train/loss" else "")
    focus = 0.0 if logs[0] else 0.1
    look = {"log_x": logs[0], "log_y": logs[1], "focus": focus, "band": SPREAD}
    return Panel(metric, title, "", AXES[axis], UNIT, curves, **look)


def gap_panel(found: Comparison, most: int, metric: str = "val/loss") -> Panel | None:
    """The loss of the first `most` variants minus the baseline's, by pairs of one seed; None without pairs."""
    curves: list[Curve] = []
    for row in found.rows[:most]:
        if row.base is None or row.is_base:
            continue
        line = gap_line(row.variant, row.base, found.logged, metric)
        if line is not None:
            curves.append(_curve(row.variant, thinned(line, 400)))
    if not curves:
        return None
    names = {row.base.name for row in found.rows if row.base}
    against = names.pop() if len(names) == 1 else "the baseline"
    told = f"Below 0: lower loss than {against} on the same batches. Mean over seeds; the band is the 95% interval."
    return Panel("gap", f"{LOSSES[metric]} minus {against}", told, "step", UNIT, curves, focus=0.1, band=_OF_MEAN)


def gain_panels(found: Comparison, wanted: Sequence[str] = ()) -> list[Panel]:
    """The trained gains of every layer over training (paper, Figs 4 and 16-22); `wanted`: only these."""
    panels: list[Panel] = []
    for variant in shown(found):
        tables = [rows for run in variant.drawn if (rows := read_metrics(run.folder.path / "gains.jsonl"))]
        names = [key for key in (tables[0][0] if tables else {}) if key != "step" and (not wanted or key in wanted)]
        panels += [_gain_panel(variant, name, tables) for name in names]
    return panels


def _gain_panel(variant: Variant, name: str, tables: Sequence[Sequence[Mapping[str, Any]]]) -> Panel:
    steps = sorted(set.intersection(*({row["step"] for row in rows} for rows in tables)))
    by_step = [{row["step"]: row[name] for row in rows if name in row} for rows in tables]
    layers = len(by_step[0][steps[0]]["mean"])
    curves: list[Curve] = []
    for layer in range(layers):
        means = [_over_runs(by_step, step, "mean", layer, statistics.fmean) for step in steps]
        sds = [_over_runs(by_step, step, "sd", layer, _root_mean_square) for step in steps]
        if all(mean is None for mean in means):
            continue
        pairs = list(zip(means, sds, strict=True))
        low, high = ([None if m is None or s is None else m + sign * s for m, s in pairs] for sign in (-1, 1))
        spread = any(s for s in sds)
        style = Style(depth_colour(layer / max(layers - 1, 1)), (), 1.3)
        bands = (low, high) if spread else (None, None)
        curves.append(Curve(f"layer {layer + 1}", steps, means, *bands, style=style))
    told = "Mean over heads (and seeds); the band is one standard deviation over heads."
    return Panel(f"{name}-{variant.name}", f"{variant.name}: {name}", told, "step", name, curves, band=_OF_HEADS)


def _over_runs(
    tables: Sequence[Mapping[int, Any]], step: int, kind: str, layer: int, how: Callable[[list[float]], float]
) -> float | None:
    values = [table[step][kind][layer] for table in tables]
    there = [value for value in values if value is not None]
    return how(there) if there else None


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(statistics.fmean(value * value for value in values))


# Anchors of cividis (Nuñez et al. 2018), made to read the same to any eye; its lightest end is left out on white.
_DEPTH = ((0, 32, 77), (61, 78, 107), (124, 123, 120), (188, 173, 108), (224, 200, 80))


def depth_colour(share: float) -> str:
    """A colour for a layer's place in depth, 0 the first, 1 the last."""
    place = share * (len(_DEPTH) - 1)
    first = min(int(place), len(_DEPTH) - 2)
    mixed = (round(a + (place - first) * (b - a)) for a, b in zip(_DEPTH[first], _DEPTH[first + 1], strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def states_table(runs: Sequence[RunView], unstarted: Sequence[str]) -> list[list[str]]:
    """Runs without a result: why, and how far they came."""
    rows = [["run", "state", "step", "why"]]
    usual = {"stopped": "saved; the same command goes on", "lost": "its process is gone without a word"}
    for run in runs:
        error = run.facts.error or {}
        why = str(error.get("message") or run.note or usual.get(run.state, ""))
        if not run.about.get("identity") and run.facts.names:
            why = "run.json is missing or damaged: nobody can tell what was trained"
        if error.get("cause") == "non_finite":
            why = f"diverged, censored: {why}"
        rows.append([run.name, run.state, str(run.last.get("step", "-")), why[:300]])
    return rows + [[name, "new", "-", "not begun, and in no queue"] for name in unstarted]
