"""Panels of curves: what they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from simplify.compare.styles import Style, style_of

Values = Sequence["float | None"]
Mark = Literal["", "hollow", "filled", "cross"]


@dataclass(frozen=True)
class Curve:
    """One line, with a band from `low` to `high` around it if both are given. None is a gap.

    `partial`: of runs that have not ended, so that where it ends says nothing: it does not limit a common range.
    `style`: how its line looks, the same for one name in all panels; None: as its name's place among the others has it.
    `label`: its name where formulas can be set, these between dollars; empty: the name.
    `runs`: x and y of each run behind a mean, which the page draws as thin lines on demand.
    `mark`: how its points are drawn, however many these are; empty: filled where they are few or stand alone. Curves
    of one name in a panel are drawn alike but for their marks, and read as one.
    """

    name: str
    x: Sequence[float]
    y: Values
    low: Values | None = None
    high: Values | None = None
    style: Style | None = None
    partial: bool = False
    label: str = ""
    runs: Sequence[tuple[Sequence[float], Values]] = ()
    mark: Mark = ""

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
    from its first value so steeply that nothing else could be seen. `band`: what the bands stand for, in a legend.
    Title, labels and `band` may hold formulas between dollars.
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
    band: str = ""

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


def curves_of(panels: Sequence[Panel]) -> list[Curve]:
    """All curves, those of views that are not shown first too."""
    groups = [curves for panel in panels for curves in (panel.curves, *(view.curves for view in panel.views))]
    return [curve for curves in groups for curve in curves]


def styles_of(panels: Sequence[Panel]) -> dict[str, Style]:
    """A line style for each name among the panels' curves: its own, or one that is dealt among those without any."""
    given = {curve.name: curve.style for curve in curves_of(panels)}
    own = style_of([name for name, style in given.items() if style is None])
    return {name: own[name] if style is None else style for name, style in given.items()}


def number(value: float | None) -> float | None:
    """`value` as a plain float, or None where there is nothing to draw: None, NaN or infinite."""
    return None if value is None or not math.isfinite(value) else float(value)
