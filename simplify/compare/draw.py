"""Panels of curves as a picture: small multiples with one legend."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.compare.canvas import NotDrawn, change, drawing, new_figure, part, save
from simplify.compare.panels import Curve, Panel, Values, curves_of, number, styles_of
from simplify.compare.styles import Style

if TYPE_CHECKING:
    from simplify.compare.canvas import Axes

_FEW = 12  # so many points are marked one by one
_NAMED = 8  # so many places on a log axis are named one by one
_FLAT = 1e-4  # a curve that varies by less than this part of its size is drawn flat: what is left is rounding


@dataclass(frozen=True)
class Look:
    """How a report's figures look."""

    title: bool = True  # whether panels have titles
    font: str = "sans"  # sans, serif, or a family
    width: float = 3.25  # inches, of one panel alone: a column of a paper
    log_x: bool = False  # of loss curves
    log_y: bool = False


def draw_panels(
    panels: Sequence[Panel], title: str, paths: Sequence[Path], width: float | None = None, look: Look = Look()
) -> None:
    """Write a picture of all panels with one legend, once for each of `paths`, whose endings are among canvas.FORMATS.

    `width`: of the whole picture in inches; otherwise as many as the panels need.
    """
    styles = styles_of(panels)
    columns = 3 if len(panels) > 4 else min(2, max(1, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    width = width or (3.3 * columns if columns > 1 else 5.2)
    with drawing():
        change(_font(look.font))
        labels = {curve.name: curve.label for curve in curves_of(panels)}
        across = _legend_columns([*styles], width)
        names = [_named(*pair, width / across) for pair in labels.items()]
        deepest = max((name.text.count("\n") + 1 for name in names), default=1)
        height = 2.35 * rows + 0.6 + 0.17 * deepest * math.ceil(len(styles) / across)
        figure = new_figure(width, height)
        if title:
            figure.suptitle(textwrap.fill(title, round(12 * width)), fontsize=10, parse_math=False)
        for i, panel in enumerate(panels):
            axes = figure.add_subplot(rows, columns, i + 1)
            _draw(axes, panel, styles)
            if look.title:
                axes.set_title(textwrap.fill(panel.title, 44), fontsize=8.5, fontweight="bold", parse_math=False)
        if styles:
            _add_legend(figure, styles, names, across)
        for path in paths:
            save(figure, path)


def _font(font: str) -> dict[Any, Any]:
    """matplotlib's settings of a font. STIX's is Times' like, and comes with matplotlib, so that it is everywhere."""
    serif = {"font.family": "STIXGeneral", "mathtext.fontset": "stix"}
    if font in ("sans", "serif"):
        return serif if font == "serif" else {}
    return {"font.family": font} if _has_font(font) else {}  # matplotlib would complain at every letter


def _has_font(font: str) -> bool:
    return font in part("font_manager").get_font_names()


def problems_of(look: Look, labels: Iterable[str]) -> list[str]:
    """What of a look or of labels cannot be drawn, in words: then the usual font is taken, and a formula's source."""
    try:
        bad = [label for label in labels if "$" in label and not _is_set(label)]
        lacking = look.font not in ("sans", "serif") and not _has_font(look.font)
    except NotDrawn:  # said of each picture
        return []
    found = [f"label {label}: matplotlib cannot set that formula" for label in bad]
    if lacking:
        found.append(f"font {look.font}: is not on this machine; valid: sans, serif, or a family that is")
    return found


def _is_set(label: str) -> bool:
    """Whether a label has formulas that can be set."""
    if "$" not in label:
        return False
    try:
        part("mathtext").MathTextParser("path").parse(label)
    except ValueError:
        return False
    return True


def _draw(axes: Axes, panel: Panel, styles: dict[str, Style]) -> None:
    """One panel: bands below, lines above, gaps where a value is missing or cannot stand on a log axis."""
    places = [x for curve in panel.curves for x in _nans(curve.x, panel.log_x) if math.isfinite(x)]
    start = min(places) + panel.focus * (max(places) - min(places)) if places else 0.0
    heights = [v for curve in panel.curves for v in _draw_curve(axes, panel, curve, styles[curve.name], start)]
    heights = [v for v in heights if math.isfinite(v) and (v > 0 or not panel.log_y)]
    axes.set_xlabel(panel.x_label, parse_math=False)
    axes.set_ylabel(panel.y_label, parse_math=False)
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
    axes.plot(x, y, marker="o", markersize=style.width + 1.2, markevery=marks, **_look(style))
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
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        return
    spread = at.MaxNLocator(nbins=6, integer=all(x.is_integer() for x in places))
    axes.xaxis.set_major_locator(at.FixedLocator(sorted(set(places))) if 0 < len(set(places)) < 4 else spread)


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


def _legend_columns(names: Sequence[str], width: float) -> int:
    """As many columns as surely fit."""
    longest = max(map(len, names), default=1)
    return max(1, min(len(names), int(width / (_LINE + _LETTER * longest))))


@dataclass(frozen=True)
class _Name:
    """A name in the legend; `formulas`: what stands between dollars is one."""

    text: str
    formulas: bool = False


def _named(name: str, label: str, width: float) -> _Name:
    """A label with formulas, or a name on as many lines as it takes in a column of that width."""
    if _is_set(label):
        return _Name(label, True)
    letters = int((width - _LINE) / _LETTER)
    return _Name(name if len(name) <= letters else textwrap.fill(name, letters))


def _add_legend(figure: Any, styles: dict[str, Style], names: Sequence[_Name], columns: int) -> None:
    """One legend below all panels."""
    lines = [part("lines").Line2D([], [], **_look(style)) for style in styles.values()]
    # Names are put in afterwards: matplotlib leaves out labels that begin with an underscore.
    legend = figure.legend(lines, ["-"] * len(lines), loc="outside lower center", ncols=columns, frameon=False)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name.text, parse_math=name.formulas)
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
