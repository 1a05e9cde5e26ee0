"""Panels of curves: what they are, and their colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Values = Sequence["float | None"]

# Okabe and Ito's colours, told apart by any eye. Their yellow is left out, too light for a thin line on white; grey
# stands in. Black is the ink: a page on a dark ground draws it light.
PALETTE = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#888888")
# The blocks that are compared most often have the same colour in the pictures of all runs.
_KNOWN = dict(zip(("pre_ln", "parallel", "sas", "sas_p", "sas_p_no_norm", "v_skipinit"), PALETTE, strict=False))
# On and off lengths in line widths; () is a solid line.
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.2, 1.5), (6, 1.5, 1.2, 1.5), (3, 1, 3, 3))


@dataclass(frozen=True)
class Curve:
    """One line, with a band from `low` to `high` around it if both are given. None is a gap.

    `partial`: of runs that have not ended, so that where it ends says nothing: it does not limit a common range.
    `colour`: as #rrggbb, or the name of what it shares its colour with, a block say; empty: a colour of its own.
    """

    name: str
    x: Sequence[float]
    y: Values
    low: Values | None = None
    high: Values | None = None
    colour: str = ""
    partial: bool = False

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"curve {self.name!r}: a band needs both low and high")
        lengths = {len(part) for part in (self.x, self.y, self.low, self.high) if part is not None}
        if len(lengths) > 1:
            raise ValueError(f"curve {self.name!r}: x, y, low and high differ in length")


@dataclass(frozen=True)
class View:
    """One choice of what a panel's x axis counts: `key` names it in all panels (step, tokens), `label` is for the eye.

    Views of one panel usually share their lists of y, low and high; a page stores each list once.
    """

    key: str
    label: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Panel:
    """Curves that share two axes. `explanation` is a sentence or two for a reader who meets the quantity first here.

    With `views` a page lets its reader choose the x axis; `x_label` and `curves` are then those of the view that is
    shown first and that pictures show (`with_views` sees to it). `smooth`: the values are noisy enough that a moving
    average helps. `focus`: so large a part of x at the start does not count for the limits of y, since a loss falls
    from its first value so steeply that nothing else could be seen.
    """

    key: str
    title: str
    explanation: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    log_y: bool = False
    log_x: bool = False
    smooth: bool = False
    views: Sequence[View] = ()
    focus: float = 0.0

    def __post_init__(self) -> None:
        keys = [view.key for view in self.views]
        if len(set(keys)) < len(keys):
            raise ValueError(f"panel {self.key!r}: two views have the same key")
        if self.views and not any(v.label == self.x_label and v.curves is self.curves for v in self.views):
            raise ValueError(f"panel {self.key!r}: x_label and curves are none of its views'")


def with_views(
    key: str, title: str, explanation: str, y_label: str, views: Sequence[View], first: str = "", **look: Any
) -> Panel:
    """A panel that shows the view with the key `first` (else the first one); `look`: log_y, smooth, focus, ..."""
    shown = next((view for view in views if view.key == first), views[0])
    return Panel(key, title, explanation, shown.label, y_label, shown.curves, views=views, **look)


@dataclass(frozen=True)
class Style:
    """How a curve's line looks, wherever it is drawn."""

    colour: str
    dash: tuple[float, ...]
    width: float


def curves_of(panels: Sequence[Panel]) -> list[Curve]:
    """All curves, those of views that are not shown first too."""
    groups = [curves for panel in panels for curves in (panel.curves, *(view.curves for view in panel.views))]
    return [curve for curves in groups for curve in curves]


def styles_of(panels: Sequence[Panel]) -> dict[str, Style]:
    """A line style for each name among the panels' curves; curves of one colour are told apart by their dashes."""
    keys = {curve.name: curve.colour or curve.name for curve in curves_of(panels)}
    own = style_of([key for key in keys.values() if not key.startswith("#")])
    found: dict[str, Style] = {}
    for name, key in keys.items():
        if key.startswith("#"):
            found[name] = Style(key, (), 1.3)
            continue
        before = sum(keys[other] == key for other in found)
        dash = _DASHES[(_DASHES.index(own[key].dash) + before) % len(_DASHES)]
        found[name] = Style(own[key].colour, dash, own[key].width)
    return found


def style_of(names: Sequence[str]) -> dict[str, Style]:
    """A line style for each name, decided by the names' order alone: eight colours, then the same ones dashed."""
    names = list(dict.fromkeys(names))
    own = {name: (_KNOWN[name], _DASHES[0]) for name in names if name in _KNOWN}
    # Colours of well-known blocks that are not shown are lent to others, but last.
    free = sorted((colour for colour in PALETTE if (colour, ()) not in own.values()), key=[*_KNOWN.values()].count)
    looks = [(colour, ()) for colour in free] + [(colour, dash) for dash in _DASHES[1:] for colour in PALETTE]
    others = [name for name in names if name not in own]
    own |= {name: looks[i % len(looks)] for i, name in enumerate(others)}
    # Later lines are thinner, so that of lines that coincide each one can be seen.
    return {name: Style(*own[name], width=max(1.0, 1.9 - 0.2 * i)) for i, name in enumerate(names)}


def colour_of(names: Sequence[str]) -> dict[str, str]:
    """The colour of each name, decided by the names' order alone; well-known blocks keep their own."""
    return {name: style.colour for name, style in style_of(names).items()}


def number(value: float | None) -> float | None:
    """`value` as a plain float, or None where there is nothing to draw: None, NaN or infinite."""
    return None if value is None or not math.isfinite(value) else float(value)
