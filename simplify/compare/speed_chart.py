"""Speeds as bars: one panel for each kind of work, one bar for each variant, the spread on top."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from simplify.compare.canvas import drawing, new_figure, save
from simplify.compare.speed import MODES, Speed
from simplify.compare.styles import colour_of

if TYPE_CHECKING:
    from simplify.compare.canvas import Axes

_PALE = 0.4  # opacity of a bar whose difference is not decided
_LETTER = 0.062  # inches that a letter of the footnotes takes


def draw_speed(speed: Speed, path: Path, title: str = "Speed", colours: Mapping[str, str] | None = None) -> None:
    """Write the picture; `path` says in which of canvas.FORMATS. What may not stand beside it is a footnote.

    `colours`: those that some of the variants have in other figures.
    """
    modes = speed.modes
    width = max(5.2, 1.0 + len(modes) * (0.7 + 0.34 * len(speed.entries)))
    letters = int(width / _LETTER)
    notes = [
        "bars: median of the rounds, lines: 10th to 90th percentile, pale: not decided, -: what the FLOPs alone give"
    ]
    lines = [line for note in (*notes, *speed.footnotes) for line in textwrap.wrap(note, letters)]
    with drawing():
        figure = new_figure(width, 3.4 + 0.15 * len(lines))
        heading = "\n".join(textwrap.wrap(f"{title}: {speed.told}", letters))
        figure.suptitle(heading, fontsize=8.5, parse_math=False)
        panels = figure.subplots(1, max(1, len(modes)), squeeze=False)[0]
        for axes, mode in zip(panels, modes, strict=False):
            _draw(axes, speed, mode, {**colour_of([entry.name for entry in speed.entries]), **(colours or {})})
        panels[0].set_ylabel(f"times as fast as {speed.baseline}", parse_math=False)
        figure.supxlabel("\n".join(lines), fontsize=6.5, x=0.01, ha="left", parse_math=False)
        save(figure, path)


def _draw(axes: Axes, speed: Speed, mode: str, colours: Mapping[str, str]) -> None:
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
    axes.set_title(MODES[mode], fontsize=8.5, fontweight="bold")
    names = [entry.name for entry in shown]
    axes.set_xticks(range(len(shown)), names, rotation=35, ha="right", rotation_mode="anchor", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
