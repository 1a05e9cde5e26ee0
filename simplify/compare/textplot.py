"""A small plot for terminals, in braille: each character holds 2 x 4 points.

Own code because it is all we need: plotext, the library for this, changed its interface from one
version to the next.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # [row][column] of a braille character
_BRAILLE = 0x2800
COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red", "bright_white", "bright_black")


@dataclass(frozen=True)
class Curve:
    """Points of one line, and its colour."""

    x: Sequence[float]
    y: Sequence[float]
    colour: str


def text_plot(curves: Sequence[Curve], width: int, height: int, label: str) -> Text:
    """Curves in `width` x `height` characters, the axes' ends written beside them."""
    drawn = [curve for curve in curves if len(curve.x) > 1]
    if not drawn:
        return Text(f"{label}: not enough logged yet", style="dim")
    left, right = min(min(c.x) for c in drawn), max(max(c.x) for c in drawn)
    low, high = min(min(c.y) for c in drawn), max(max(c.y) for c in drawn)
    margin = max(len(f"{high:.3g}"), len(f"{low:.3g}")) + 1
    columns = max(width - margin, 10)
    grid: list[list[tuple[int, str]]] = [[(0, "")] * columns for _ in range(height)]
    for curve in drawn:
        _draw(grid, curve, (left, right), (low, high))
    out = Text()
    for number, row in enumerate(grid):
        edge = f"{high:.3g}" if number == 0 else f"{low:.3g}" if number == height - 1 else ""
        out.append(edge.rjust(margin - 1) + " ", style="dim")
        for dots, colour in row:
            out.append(chr(_BRAILLE + dots) if dots else " ", style=colour)
        out.append("\n")
    ends = f"{left:,.0f}".ljust(columns - len(f"{right:,.0f}")) + f"{right:,.0f}"
    out.append(" " * margin + ends + "\n" + " " * margin + label, style="dim")
    return out


def _draw(
    grid: list[list[tuple[int, str]]], curve: Curve, across: tuple[float, float], up: tuple[float, float]
) -> None:
    """Set the points of a curve, and those between neighbours so that it is a line."""
    wide, tall = 2 * len(grid[0]) - 1, 4 * len(grid) - 1
    spots = [
        (
            round((x - across[0]) / ((across[1] - across[0]) or 1) * wide),
            round((up[1] - y) / ((up[1] - up[0]) or 1) * tall),
        )
        for x, y in zip(curve.x, curve.y, strict=True)
    ]
    for (x0, y0), (x1, y1) in itertools.pairwise(spots):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            x, y = x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps)
            dots, _ = grid[y // 4][x // 2]
            grid[y // 4][x // 2] = (dots | _DOTS[y % 4][x % 2], curve.colour)
