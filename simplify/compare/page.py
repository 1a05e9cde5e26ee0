"""Tables and panels of curves as one interactive HTML page that needs no network and no second file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from simplify.compare.names import without_maths
from simplify.compare.panels import Curve, Panel, Values, View, number, styles_of
from simplify.runs.files import write_whole

_ASSETS = Path(__file__).parent / "assets"
_STYLES = ("uPlot.min.css", "page.css")
_SCRIPTS = ("scales.js", "curves.js", "looks.js", "state.js", "chart.js", "panel.js", "controls.js", "page.js")
_TOO_MANY = 3  # more sections than this, and the page begins with a list of them


@dataclass(frozen=True)
class Table:
    """Rows of texts, the first of them the head. A first cell that is a curve's name gets that curve's colour."""

    title: str
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    folded: bool = False  # shows its title alone until it is clicked


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading of its own; none where `title` is empty. Empty lines part its text."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    panels: Sequence[Panel] = ()


def write_page(sections: Sequence[Section], title: str, subtitle: str, path: Path) -> None:
    """Write a page of sections. Panels are told apart by their keys: ValueError where two have the same."""
    twice = [key for key, n in Counter(panel.key for part in sections for panel in part.panels).items() if n > 1]
    if twice:
        raise ValueError(f"two panels have the key {twice[0]!r}")
    parts = {
        "title": escape(title),
        "subtitle": escape(subtitle),
        "contents": _contents(sections),
        "sections": "\n".join(_section(i, part) for i, part in enumerate(sections)),
        "data": _Data(sections).text(),
        "styles": "\n".join(_asset(name) for name in _STYLES),
        # The licence asks that its text goes along with every copy.
        "library": f"/*\nuPlot\n\n{_asset('uPlot.LICENSE')}\n*/\n{_asset('uPlot.iife.min.js')}",
        "script": "\n".join(_asset(name) for name in _SCRIPTS),
    }
    # What is put in is not searched for `$` again.
    write_whole(path, Template(_asset("page.html")).substitute(parts))


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _contents(sections: Sequence[Section]) -> str:
    """Links to the sections, where these are many."""
    named = [(i, part.title) for i, part in enumerate(sections) if part.title]
    if len(named) <= _TOO_MANY:
        return ""
    links = "\n".join(f'<li><a href="#section-{i}">{escape(title)}</a></li>' for i, title in named)
    return f'<nav id="contents" aria-label="Contents"><ol>\n{links}\n</ol></nav>'


def _section(place: int, section: Section) -> str:
    """A section's heading, text, tables, and the place where page.js draws its panels."""
    parts = [f'<section class="part" id="section-{place}">']
    parts += [f"<h2>{escape(section.title)}</h2>"] * bool(section.title)
    parts += [f"<p>{escape(text)}</p>" for text in section.text.split("\n\n") if text]
    parts += [_table(table) for table in section.tables if table.rows]
    parts += [f'<div class="charts" data-section="{place}"></div>'] * bool(section.panels)
    return "\n".join([*parts, "</section>"])


def _table(table: Table) -> str:
    """A table that scrolls alone where it is wider than the page, with its notes below."""
    texts = [' class="text"' if _is_text(column) else "" for column in zip(*table.rows[1:], strict=False)]
    texts += [""] * len(table.rows[0])
    head = "".join(f'<th scope="col"{texts[i]}>{escape(cell)}</th>' for i, cell in enumerate(table.rows[0]))
    rows = ("".join(f"<td{texts[i]}>{escape(cell)}</td>" for i, cell in enumerate(row)) for row in table.rows[1:])
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    title = f"<h3>{escape(table.title)}</h3>\n" if table.title else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    shown = (
        f'<div class="wide" tabindex="0"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>" + (f'\n<ul class="notes">{notes}</ul>' if notes else "")
    )
    if table.folded:
        return f"<details><summary>{escape(table.title)}</summary>\n{shown}</details>"
    return title + shown


def _is_text(cells: Sequence[str]) -> bool:
    """Whether most of a column are words, which stand on the left, and not numbers, which stand on the right."""
    return 2 * sum(bool(re.match(r"\W*[^\W\d]", cell)) for cell in cells) > len(cells)


class _Data:
    """What page.js reads. A column of numbers that several curves share is stored once, and named by its place."""

    def __init__(self, sections: Sequence[Section]) -> None:
        panels = [panel for section in sections for panel in section.panels]
        self._columns: dict[tuple[float | None, ...], int] = {}
        self._styles = [{"name": name, **asdict(style)} for name, style in styles_of(panels).items()]
        self._panels = [self._panel(panel) | {"section": i} for i, s in enumerate(sections) for panel in s.panels]

    def text(self) -> str:
        """JSON. No `<` is left, so that no text can end the element that holds it."""
        data = {"styles": self._styles, "columns": [*self._columns], "panels": self._panels}
        text = json.dumps(data, separators=(",", ":"), allow_nan=False)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

    def _panel(self, panel: Panel) -> dict[str, Any]:
        views = panel.views or [View("", panel.x_label, panel.curves)]
        first = next(view.key for view in views if view.curves is panel.curves and view.label == panel.x_label)
        plain = ("key", "explanation", "log_x", "log_y", "smooth", "focus")
        texts = {name: without_maths(getattr(panel, name)) for name in ("title", "y_label")}
        return {name: getattr(panel, name) for name in plain} | {
            **texts,
            "first": first,
            "views": [
                {
                    "key": view.key,
                    "label": without_maths(view.label),
                    "curves": [self._curve(curve) for curve in view.curves],
                }
                for view in views
            ],
        }

    def _curve(self, curve: Curve) -> dict[str, Any]:
        """A curve's points in the order of x, which the chart needs; points without an x are left out."""
        places = [number(x) for x in curve.x]
        order = sorted((i for i, x in enumerate(places) if x is not None), key=lambda i: float(curve.x[i]))

        def column(values: Values | None) -> int | None:
            if values is None:
                return None
            return self._columns.setdefault(tuple(_short(values[i]) for i in order), len(self._columns))

        return {
            "name": curve.name,
            "x": column(curve.x),
            "y": column(curve.y),
            "low": column(curve.low),
            "high": column(curve.high),
            **({"partial": True} if curve.partial else {}),
            **({"mark": curve.mark} if curve.mark else {}),
            **({"runs": [self._points(x, y) for x, y in curve.runs]} if curve.runs else {}),
        }

    def _points(self, x: Sequence[float], y: Values) -> list[int | None]:
        """The columns of a single run."""
        one = self._curve(Curve("", x, y))
        return [one["x"], one["y"]]


def _short(value: float | None) -> float | None:
    """A number as the page stores it: ten digits, which is more than a chart can show and half the bytes."""
    plain = number(value)
    return None if plain is None else int(plain) if plain.is_integer() and abs(plain) < 1e15 else float(f"{plain:.10g}")
