"""The one legend below a picture: a line for each name, and what a band stands for."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simplify.compare.canvas import part
from simplify.compare.look import is_set
from simplify.compare.panels import Panel
from simplify.compare.styles import Style

_LETTER, _LINE = 0.065, 0.5  # inches that a letter and the line beside a name surely fit into
_SIDES = ("left", "right")


@dataclass(frozen=True)
class Entry:
    """A text in the legend, which may have formulas, on as many lines as it takes; `style` None: of a band."""

    text: str
    style: Style | None
    formulas: bool = False


@dataclass(frozen=True)
class Legend:
    """All entries, in how many columns."""

    entries: Sequence[Entry]
    columns: int

    @property
    def lines(self) -> int:
        """Lines of text, at most."""
        deepest = max((entry.text.count("\n") + 1 for entry in self.entries), default=1)
        return deepest * -(-len(self.entries) // self.columns)


def legend_of(panels: Sequence[Panel], styles: Mapping[str, Style], labels: Mapping[str, str], width: float) -> Legend:
    """The legend of panels in a picture that is `width` inches wide; `labels` are the names' with their formulas."""
    bands = bands_of(panels)
    longest = max(map(len, [*styles, *bands]), default=1)
    columns = max(1, min(len(styles) + len(bands), int(width / (_LINE + _LETTER * longest))))  # that surely fit
    entries = [_entry(name, labels.get(name, ""), style, width / columns) for name, style in styles.items()]
    return Legend([*entries, *(_entry(band, band, None, width / columns) for band in bands)], columns)


def bands_of(panels: Sequence[Panel]) -> list[str]:
    """What the panels' bands stand for, in words; of two unlike panels with the side on which each is."""
    told = [panel.band if any(curve.low is not None for curve in panel.curves) else "" for panel in panels]
    different = list(dict.fromkeys(filter(None, told)))
    if len(different) < 2 or len(panels) != len(_SIDES):
        return different
    return [f"{side} {band}" for side, band in zip(_SIDES, told, strict=True)]


def _entry(name: str, label: str, style: Style | None, width: float) -> Entry:
    """A label with formulas, or a name on as many lines as it takes in a column of that width."""
    if is_set(label):
        return Entry(label, style, True)
    letters = max(1, int((width - _LINE) / _LETTER))
    return Entry(name if len(name) <= letters else textwrap.fill(name, letters), style)


def add_legend(figure: Any, legend: Legend) -> None:
    """Draw it below all panels."""
    if not legend.entries:
        return
    handles = [_handle(entry.style) for entry in legend.entries]
    # Names are put in afterwards: matplotlib leaves out labels that begin with an underscore.
    drawn = figure.legend(
        handles, ["-"] * len(handles), loc="outside lower center", ncols=legend.columns, frameon=False
    )
    for text, entry in zip(drawn.get_texts(), legend.entries, strict=True):
        text.set(text=entry.text, parse_math=entry.formulas)
    for line in drawn.get_lines():
        line.set_linewidth(max(1.4, line.get_linewidth()))


def _handle(style: Style | None) -> Any:
    if style is None:
        return part("patches").Patch(facecolor="0.5", edgecolor="0.5", alpha=0.3)
    return part("lines").Line2D([], [], **line_look(style))


def line_look(style: Style) -> dict[str, Any]:
    """A style in matplotlib's words."""
    line = (0, style.dash) if style.dash else "-"
    return {"color": style.colour, "linewidth": style.width, "linestyle": line}
