"""Speeds as bars: one panel for each kind of work, one bar for each variant, the spread on top."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.compare.canvas import change, drawing, new_figure, save
from simplify.compare.look import Look, font_settings, text_of
from simplify.compare.speed import MODES, Speed
from simplify.compare.styles import colour_of

if TYPE_CHECKING:
    from simplify.compare.canvas import Axes

_PALE = 0.4  # opacity of a bar whose difference is not decided
_LETTER = 0.0088  # inches that a letter surely fits into, for each point of its size
_BAR, _BESIDE = 0.2, 0.55  # inches of a bar, and of what a panel has beside its bars
_HIGH = 2.3  # inches of a row of panels
_LONGEST = 1.3  # inches of a line of a bar's name
_HEAD, _NAME, _NOTE = 8.5, 8.0, 6.5  # points
_SIGNS = "bars: median of the rounds, lines: 10th to 90th percentile, pale: not decided, -: what the FLOPs alone give"


@dataclass(frozen=True)
class InReport:
    """How the picture looks beside a report's others: its letters, title and width, colours and labels by name."""

    look: Look
    colours: Mapping[str, str]
    labels: Mapping[str, str]


def draw_speed(speed: Speed, path: Path, within: InReport | None = None) -> None:
    """Write the picture; `path` says in which of canvas.FORMATS. What may not stand beside it is a footnote.

    `within`: the report that it is part of; a bench's own picture is as wide as its bars need.
    """
    modes, look = speed.modes, within.look if within else Look()
    needed = _BESIDE + _BAR * max(1, len(speed.entries))
    width = look.width if within else max(5.2, 0.4 + len(modes) * needed)
    columns = max(1, min(len(modes), int((width - 0.4) / needed)))
    rows = max(1, math.ceil(len(modes) / columns))
    lines = [line for note in (_SIGNS, *speed.footnotes) for line in _broken(note, width, _NOTE)]
    heading = _broken(f"Speed: {speed.told}", width, _HEAD) if look.title else []
    colours = {**colour_of([entry.name for entry in speed.entries]), **(within.colours if within else {})}
    labels = within.labels if within else {}
    with drawing():
        change(font_settings(look.font))
        figure = new_figure(width, _HIGH * rows + 0.9 + 0.15 * len(lines) + 0.16 * len(heading))
        if heading:
            figure.suptitle("\n".join(heading), fontsize=_HEAD, parse_math=False)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, mode in zip(panels, modes, strict=False):
            _draw(axes, speed, mode, colours, labels, width / columns - 0.3)
        for axes in panels[len(modes) :]:
            axes.remove()
        against = f"times as fast as {labels.get(speed.baseline, speed.baseline)}"
        for axes in panels[: len(modes) : columns]:
            axes.yaxis.label.set(**_in_lines(against, _HIGH - 0.5))
        figure.supxlabel("\n".join(lines), fontsize=_NOTE, x=0.01, ha="left", parse_math=False)
        save(figure, path)


def _broken(text: str, width: float, size: float) -> list[str]:
    """A text on as many lines as it takes in so many inches, by letters of `size` points."""
    return textwrap.wrap(text, max(8, int(width / (_LETTER * size))))


def _in_lines(label: str, width: float) -> dict[str, Any]:
    """A name as matplotlib takes it: broken where it is longer than that, unless there is a formula in it."""
    text = text_of(label)
    return text if text["parse_math"] else {**text, "text": "\n".join(_broken(label, width, _NAME))}


def _draw(
    axes: Axes, speed: Speed, mode: str, colours: Mapping[str, str], labels: Mapping[str, str], width: float
) -> None:
    shown = [entry for entry in speed.entries if mode in entry.modes]
    for place, entry in enumerate(shown):
        ratio, split = (entry.modes[mode][key] for key in ("ratio", "split"))
        if ratio is None:
            if entry.name == speed.baseline:
                axes.bar(place, 1.0, color=colours[entry.name])
            continue
        middle = ratio["median"]
        decided = ratio["verdict"] in ("faster", "slower")
        axes.bar(place, middle, color=colours[entry.name], alpha=1.0 if decided else _PALE)
        ends = [[middle - ratio["low"]], [ratio["high"] - middle]]
        axes.errorbar(place, middle, yerr=ends, color="0.35", linewidth=1, capsize=2.5)
        axes.hlines(split["flops"], place - 0.4, place + 0.4, color="0.6", linewidth=1.2)
    axes.axhline(1.0, color="0.5", linewidth=0.7, linestyle=":")
    axes.set_title("\n".join(_broken(MODES[mode], width, _HEAD)), fontsize=_HEAD, fontweight="bold")
    names = [_in_lines(labels.get(entry.name, entry.name), _LONGEST) for entry in shown]
    texts = [name["text"] for name in names]
    axes.set_xticks(range(len(shown)), texts, rotation=35, ha="right", rotation_mode="anchor")
    for tick, name in zip(axes.get_xticklabels(), names, strict=True):
        tick.set_parse_math(name["parse_math"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
