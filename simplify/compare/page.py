"""Panels of curves as one interactive HTML page that needs nothing but itself: no network, no second file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from simplify.compare.panels import Curve, Panel, Values, names_of, number, style_of
from simplify.runs.files import write_whole

_ASSETS = Path(__file__).parent / "assets"


def write_page(panels: Sequence[Panel], title: str, subtitle: str, rows: Sequence[Sequence[str]], path: Path) -> None:
    """Write a page with a table, whose head is the first of `rows`, and a chart for each panel."""
    parts = {
        "title": escape(title),
        "subtitle": escape(subtitle),
        "table": _table(rows),
        "data": _json(panels),
        "styles": _asset("uPlot.min.css") + "\n" + _asset("page.css"),
        # The licence asks that its text goes along with every copy.
        "library": f"/*\nuPlot\n\n{_asset('uPlot.LICENSE')}\n*/\n{_asset('uPlot.iife.min.js')}",
        "script": _asset("scales.js") + "\n" + _asset("page.js"),
    }
    # What is put in is not searched for `$` again.
    write_whole(path, Template(_asset("page.html")).substitute(parts))


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _table(rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; nothing where there are no rows."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _json(panels: Sequence[Panel]) -> str:
    """What page.js reads. No `<` is left, so that no text can end the element that holds it."""
    styles = [{"name": name, **asdict(style)} for name, style in style_of(names_of(panels)).items()]
    data = {"styles": styles, "panels": [_panel(panel) for panel in panels]}
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "key": panel.key,
        "title": panel.title,
        "explanation": panel.explanation,
        "x_label": panel.x_label,
        "y_label": panel.y_label,
        "log_y": panel.log_y,
        "curves": [_curve(curve) for curve in panel.curves],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    """A curve's points in the order of x, which the chart needs; points without an x are left out."""
    places = [number(x) for x in curve.x]
    order = sorted((i for i, x in enumerate(places) if x is not None), key=lambda i: float(curve.x[i]))

    def column(values: Values | None) -> list[float | None] | None:
        return None if values is None else [number(values[i]) for i in order]

    return {"name": curve.name, "x": column(places), "y": column(curve.y)} | {
        "low": column(curve.low),
        "high": column(curve.high),
    }
