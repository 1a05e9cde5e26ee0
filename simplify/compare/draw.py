"""Panels of curves as a picture: small multiples with one legend."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.compare.panels import Panel, Style, Values, number, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
# matplotlib's settings of our pictures: text stays text in SVG and PDF, and the same picture gives the same bytes.
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "simplify",
    "pdf.fonttype": 42,
    "text.usetex": False,
    "font.size": 8,
}
_FEW = 12  # so many points are marked one by one
_NAMED = 8  # so many places on a log axis are named one by one
_FLAT = 1e-4  # a curve that varies by less than this part of its size is drawn flat: what is left is rounding


def draw_panels(panels: Sequence[Panel], title: str, paths: Sequence[Path], width: float | None = None) -> None:
    """Write a picture of all panels with one legend, once for each of `paths`, whose endings are among FORMATS.

    `width`: of the whole picture in inches (a column of a paper has 3.3); otherwise as many as the panels need.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    styles = styles_of(panels)
    columns = 3 if len(panels) > 4 else min(2, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    width = width or (3.3 * columns if columns > 1 else 5.2)
    with matplotlib.rc_context(SETTINGS):
        across = _legend_columns(styles, width)
        names = [_fitted(name, width / across) for name in styles]
        deepest = max((name.count("\n") + 1 for name in names), default=1)
        height = 2.35 * rows + 0.6 + 0.17 * deepest * math.ceil(len(styles) / across)
        figure = Figure(figsize=(width, height), dpi=200, layout="constrained")
        FigureCanvasAgg(figure)
        if title:
            figure.suptitle(textwrap.fill(title, round(12 * width)), fontsize=10, parse_math=False)
        for i, panel in enumerate(panels):
            _draw(figure.add_subplot(rows, columns, i + 1), panel, styles)
        if styles:
            _add_legend(figure, styles, names, across)
        for path in paths:
            save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's name, without the date: the same figure gives the same bytes."""
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
    figure.savefig(path, format=path.suffix[1:].lower(), metadata=undated)


def _draw(axes: Axes, panel: Panel, styles: dict[str, Style]) -> None:
    """One panel: bands below, lines above, gaps where a value is missing or cannot stand on a log axis."""
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

    places = [x for curve in panel.curves for x in _nans(curve.x, panel.log_x) if math.isfinite(x)]
    heights: list[float] = []
    start = min(places) + panel.focus * (max(places) - min(places)) if places else 0.0
    for curve in panel.curves:
        style = styles[curve.name]
        x, y = _nans(curve.x, panel.log_x), _nans(curve.y, panel.log_y)
        there = [math.isfinite(v) for v in y]
        alone = [i for i, here in enumerate(there) if here and not any(there[max(0, i - 1) : i] + there[i + 1 : i + 2])]
        if curve.low is not None and curve.high is not None:
            # A band that reaches below the positive numbers goes down to the edge of a log axis.
            low, high = _nans(curve.low), _nans(curve.high, panel.log_y)
            axes.fill_between(x, low, high, color=style.colour, alpha=0.16, linewidth=0)
            x1, low1, high1 = ([part[i] for i in alone] for part in (x, low, high))
            axes.vlines(x1, low1, high1, color=style.colour, alpha=0.5, linewidth=1)
            heights += [v for parts in (low, high) for at, v in zip(x, parts, strict=True) if at >= start]
        marks = list(range(len(y))) if sum(there) <= _FEW else alone
        axes.plot(x, y, marker="o", markersize=style.width + 1.2, markevery=marks, **_look(style))
        heights += [v for at, v in zip(x, y, strict=True) if at >= start]
    heights = [v for v in heights if math.isfinite(v) and (v > 0 or not panel.log_y)]
    axes.set_title(textwrap.fill(panel.title, 44), fontsize=8.5, fontweight="bold", parse_math=False)
    axes.set_xlabel(panel.x_label, parse_math=False)
    axes.set_ylabel(panel.y_label, parse_math=False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.log_x and places:
        axes.set_xscale("log", nonpositive="mask")
        if len(set(places)) <= _NAMED:  # matplotlib's own labels run into each other within a decade or two
            axes.xaxis.set(major_locator=FixedLocator(sorted(set(places))), minor_locator=NullLocator())
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        spread = MaxNLocator(nbins=6, integer=all(x.is_integer() for x in places))
        axes.xaxis.set_major_locator(FixedLocator(places) if 0 < len(set(places)) < 4 else spread)
    if panel.log_y and heights:
        axes.set_yscale("log", nonpositive="clip")
    if not panel.log_y and heights and min(heights) < 0 < max(heights):
        axes.axhline(0, color="0.45", linewidth=0.8, zorder=0)
    axes.set(xlim=_limits(places, panel.log_x), ylim=_limits(heights, panel.log_y))
    if not heights:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no values", ha="center", va="center", color="0.5", transform=axes.transAxes)


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


_LETTER, _LINE = 0.065, 0.5  # inches that a letter and the line beside a name surely fit into


def _legend_columns(styles: dict[str, Style], width: float) -> int:
    """As many columns as surely fit."""
    longest = max((len(name) for name in styles), default=1)
    return max(1, min(len(styles), int(width / (_LINE + _LETTER * longest))))


def _fitted(name: str, width: float) -> str:
    """A name on as many lines as it takes in a column of that width."""
    letters = int((width - _LINE) / _LETTER)
    return name if len(name) <= letters else textwrap.fill(name, letters)


def _add_legend(figure: Any, styles: dict[str, Style], names: Sequence[str], columns: int) -> None:
    """One legend below all panels."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], **_look(style)) for style in styles.values()]
    # Names are put in afterwards: matplotlib leaves out labels that begin with an underscore.
    legend = figure.legend(lines, ["-"] * len(lines), loc="outside lower center", ncols=columns, frameon=False)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, parse_math=False)
    for line in legend.get_lines():
        line.set_linewidth(max(1.4, line.get_linewidth()))


def _look(style: Style) -> dict[str, Any]:
    """A style in matplotlib's words."""
    line = (0, style.dash) if style.dash else "-"
    return {"color": style.colour, "linewidth": style.width, "linestyle": line}


def _nans(values: Values, log: bool = False) -> list[float]:
    """Floats with NaN for what cannot be drawn."""
    plain = (number(value) for value in values)
    return [math.nan if value is None or (log and value <= 0) else value for value in plain]
