"""Panels of curves as a picture: small multiples with one legend."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.compare.canvas import change, drawing, new_figure, part, save
from simplify.compare.legend import add_legend, legend_of, line_look
from simplify.compare.look import Look, font_settings, text_of
from simplify.compare.panels import Curve, Mark, Panel, Values, curves_of, number, styles_of
from simplify.compare.styles import Style

if TYPE_CHECKING:
    from simplify.compare.canvas import Axes

_FEW = 12  # so many points are marked one by one
_NAMED = 8  # so many places on a log axis are named one by one
_LETTER = 0.068  # inches that a letter of a title surely fits into
_LETTER = 0.07  # inches that a letter of a number below an axis takes
_FLAT = 1e-4  # a curve that varies by less than this part of its size is drawn flat: what is left is rounding
_PLAIN = Look()


def draw_panels(
    panels: Sequence[Panel], title: str, paths: Sequence[Path], width: float | None = None, look: Look = _PLAIN
) -> None:
    """Write a picture of all panels with one legend, once for each of `paths`, whose endings are among canvas.FORMATS.

    `width`: of the whole picture in inches; otherwise as many as the panels need.
    """
    styles = styles_of(panels)
    columns = 3 if len(panels) > 4 else min(2, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    width = width or (3.3 * columns if columns > 1 else 5.2)
    with drawing():
        change(font_settings(look.font))
        legend = legend_of(panels, styles, {curve.name: curve.label for curve in curves_of(panels)}, width)
        figure = new_figure(width, 2.35 * rows + 0.6 + 0.17 * legend.lines)
        if title:
            figure.suptitle(textwrap.fill(title, round(12 * width)), fontsize=10, parse_math=False)
        for i, panel in enumerate(panels):
            axes = figure.add_subplot(rows, columns, i + 1)
            _draw(axes, panel, styles)
            if look.title:
                axes.title.set(**_heading(panel.title, width / columns), fontsize=8.5, fontweight="bold")
        add_legend(figure, legend)
        for path in paths:
            save(figure, path)


def _heading(title: str, width: float) -> dict[str, Any]:
    """A title on as many lines as it takes above a panel of that width; one with a formula is never broken."""
    text = text_of(title)
    letters = max(8, min(44, int((width - 0.3) / _LETTER)))
    return text if text["parse_math"] else {**text, "text": textwrap.fill(title, letters)}


def _draw(axes: Axes, panel: Panel, styles: dict[str, Style]) -> None:
    """One panel: bands below, lines above, gaps where a value is missing or cannot stand on a log axis."""
    places = [x for curve in panel.curves for x in _nans(curve.x, panel.log_x) if math.isfinite(x)]
    start = min(places) + panel.focus * (max(places) - min(places)) if places else 0.0
    heights = [v for curve in panel.curves for v in _draw_curve(axes, panel, curve, styles[curve.name], start)]
    heights = [v for v in heights if math.isfinite(v) and (v > 0 or not panel.log_y)]
    axes.xaxis.label.set(**text_of(panel.x_label))
    axes.yaxis.label.set(**text_of(panel.y_label))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _scale_x(axes, places, panel.log_x)
    if panel.log_y and heights:
        _log_y(axes, max(heights) / min(heights))
    if not panel.log_y and heights and min(heights) < 0 < max(heights):
        axes.axhline(0, color="0.45", linewidth=0.8, zorder=0)
    axes.set(xlim=_limits(places, panel.log_x), ylim=_limits(heights, panel.log_y))
    if not heights:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no values", ha="center", va="center", color="0.5", transform=axes.transAxes)


def _draw_curve(axes: Axes, panel: Panel, curve: Curve, style: Style, start: float) -> list[float]:
    """A line with its band, whose edges tell it from others' where they overlap; its heights from `start` on."""
    x, y = _nans(curve.x, panel.log_x), _nans(curve.y, panel.log_y)
    there = [math.isfinite(v) for v in y]
    alone = [i for i, here in enumerate(there) if here and not any(there[max(0, i - 1) : i] + there[i + 1 : i + 2])]
    heights: list[float] = []
    if curve.low is not None and curve.high is not None:
        # A band that reaches below the positive numbers goes down to the edge of a log axis.
        low, high = _nans(curve.low), _nans(curve.high, panel.log_y)
        axes.fill_between(x, low, high, color=style.colour, alpha=0.16, linewidth=0)
        for edge in (low, high):
            axes.plot(x, edge, color=style.colour, alpha=0.6, linewidth=0.5)
        x1, low1, high1 = ([part[i] for i in alone] for part in (x, low, high))
        axes.vlines(x1, low1, high1, color=style.colour, alpha=0.5, linewidth=1)
        heights += [v for parts in (low, high) for at, v in zip(x, parts, strict=True) if at >= start]
    marks = list(range(len(y))) if sum(there) <= _FEW else alone
    marks = list(range(len(y))) if curve.mark else marks
    line = {**line_look(style), **({"linestyle": ""} if curve.mark == "cross" else {})}
    axes.plot(x, y, markevery=marks, **line, **_mark(curve.mark, style))
    return heights + [v for at, v in zip(x, y, strict=True) if at >= start]


def _log_y(axes: Axes, span: float) -> None:
    """A logarithmic y axis; within a decade with plain numbers on it, since 4.2 x 10^0 is no way to write a loss."""
    at = part("ticker")
    axes.set_yscale("log", nonpositive="clip")
    if span < 10:
        axes.yaxis.set(major_locator=at.MaxNLocator(nbins=6), minor_locator=at.NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _scale_x(axes: Axes, places: list[float], log: bool) -> None:
    """The scale of the x axis, and which places on it are named."""
    at = part("ticker")
    if log and places:
        axes.set_xscale("log", nonpositive="mask")
        if len(set(places)) <= _NAMED:  # matplotlib's own labels run into each other within a decade or two
            axes.xaxis.set(major_locator=at.FixedLocator(sorted(set(places))), minor_locator=at.NullLocator())
            _name_places(axes, sorted(set(places)))
        return
    spread = at.MaxNLocator(nbins=6, integer=all(x.is_integer() for x in places))
    axes.xaxis.set_major_locator(at.FixedLocator(sorted(set(places))) if 0 < len(set(places)) < 4 else spread)


def _name_places(axes: Axes, places: list[float]) -> None:
    """Names of places on a log axis: 0.0005, and where these ran into each other 5e-4, aslant if need be."""
    spec, whole = axes.get_subplotspec(), axes.get_figure(root=True)
    columns = spec.get_gridspec().ncols if spec is not None else 1
    room = 0.75 * whole.get_figwidth() / columns if whole is not None else 0.0  # beside what stands left of it
    texts = [f"{value:g}" for value in places]
    if _LETTER * sum(len(text) + 1 for text in texts) > room:
        texts = list(map(_power, places))
    named = dict(zip(places, texts, strict=True))
    axes.xaxis.set_major_formatter(lambda value, _: named.get(value, f"{value:g}"))
    if _LETTER * sum(len(text) + 1 for text in texts) > room:
        axes.tick_params(axis="x", rotation=45)


def _power(value: float) -> str:
    """0.00025 as 2.5e-4."""
    number, _, power = f"{value:e}".partition("e")
    return f"{float(number):g}e{int(power)}"


def _limits(values: list[float], log: bool = False) -> tuple[float, float]:
    """An axis' two ends with a little room, also for no values, for one, and for equal ones."""
    if not values:
        return 0, 1
    low, high = min(values), max(values)
    if log:
        room = (high / low) ** 0.05 if high > low * 1.05 else 2.0
        return low / room, high * room
    size = max(abs(low), abs(high))
    room = 0.05 * (high - low) if high - low > _FLAT * size else 0.05 * size or 1.0
    return low - room, high + room


def _mark(mark: Mark, style: Style) -> dict[str, Any]:
    """A curve's points in matplotlib's words."""
    size = style.width + 1.2
    return {
        "": {"marker": "o", "markersize": size},
        "hollow": {"marker": "o", "markersize": size + 0.8, "markerfacecolor": "white", "markeredgewidth": 1.0},
        "filled": {"marker": "o", "markersize": size + 2.6, "markeredgecolor": "white", "markeredgewidth": 0.6},
        "cross": {"marker": "x", "markersize": size + 2.6, "markeredgewidth": 1.2},
    }[mark]


def _nans(values: Values, log: bool = False) -> list[float]:
    """Floats with NaN for what cannot be drawn."""
    plain = (number(value) for value in values)
    return [math.nan if value is None or (log and value <= 0) else value for value in plain]
