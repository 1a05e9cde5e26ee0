"""The runs of a plan as a table that fits the screen, and as a list where no table does. No cell is ever broken."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from simplify.config import DepthGain, RunConfig, Settings, gain_at, show
from simplify.display import console, short_time
from simplify.sweep.plan import Plan

Columns = dict[str, list[str]]
_BESIDE = ("run", "parameters", "time", "state")  # what is no setting


def print_runs_of(plan: Plan, seconds: Sequence[float | None], title: str) -> None:
    """Every run: its name, what varies, parameters, time ahead, how it stands."""
    screen, whole = console(), _columns(plan, seconds)
    found = fitted(whole, screen.width)
    if found is None:
        print("\n".join([title, *_listed(_with_short_heads(whole), screen.width)]))
        return
    columns, gone = found
    table = Table(title=escape(title), title_justify="left")
    for head in columns:
        table.add_column(escape(head), justify="right" if head in ("parameters", "time") else "left", no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(escape, row))
    screen.print(table)
    if gone:
        said = f"not shown on so narrow a screen: {', '.join(gone)} (--json has all)"
        screen.print(said, markup=False, highlight=False)


def _columns(plan: Plan, seconds: Sequence[float | None]) -> Columns:
    runs, layers = plan.runs, [run.config.model.n_layers for run in plan.runs]
    times = (
        "-" if r.state == "done" else "?" if s is None else short_time(s) for r, s in zip(runs, seconds, strict=True)
    )
    settings = {name: [_value(run.point, run.config, name) for run in runs] for name in plan.axes}
    return {
        "run": [run.name for run in runs],
        **{name: told_apart(values, layers) for name, values in settings.items()},
        "parameters": [f"{run.parameters:,}" for run in runs],
        "time": [*times],
        "state": [run.state for run in runs],
    }


def _value(point: Any, config: RunConfig, name: str) -> Any:
    """A setting as it was given, or as it came to; a gain always as it came to."""
    found: Any = config
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, DepthGain) or name not in point:
        return getattr(found, "name", found) if isinstance(found, Settings) else found
    return point[name]


def told_apart(values: Sequence[Any], layers: Sequence[int]) -> list[str]:
    """Settings of runs of so many layers as texts, as short as still tells them apart.

    A gain by a rule of depth is the number that it comes to in the run, else 0.2@18, else the whole rule; a group of
    settings is its kind, else all of it.
    """
    plain = [value.model_dump(mode="json") if isinstance(value, Settings) else value for value in values]
    whole = list(map(show, plain))
    for form in (_as_number, _as_word):
        texts = [form(value, n) or text for value, n, text in zip(values, layers, whole, strict=True)]
        if len(set(zip(layers, texts, strict=True))) == len(set(zip(layers, whole, strict=True))):
            return texts
    return whole


def _as_number(value: Any, n_layers: int) -> str:
    if isinstance(value, DepthGain) and value.of == "depth":
        return f"{gain_at(value, n_layers):.4g}"
    return _as_word(value, n_layers)


def _as_word(value: Any, _: int) -> str:
    if isinstance(value, DepthGain):
        return f"{value.value:g}@{value.at_depth}"
    return str(value["kind"]) if isinstance(value, dict) and "kind" in value else ""


def fitted(whole: Columns, width: int) -> tuple[Columns, list[str]] | None:
    """The columns as they fit beside each other, and what had to go; None where not even the least of them fit."""
    once, same = _without_repeated(whole)
    short = _with_short_heads(once)
    ids = [name.rpartition("-")[2] for name in short["run"]]
    by_id = {"id": ids, **_without(short, "run")}
    for columns, gone in (
        (whole, []),
        (_with_short_heads(whole), []),
        (short, same),
        (by_id, ["names of runs", *same]),
        (_without(by_id, "parameters"), ["names of runs", "parameters", *same]),
        (_without(by_id, "parameters", "id"), ["runs", "parameters", *same]),
    ):
        if 1 + sum(3 + max(map(len, [head, *cells])) for head, cells in columns.items()) <= width:
            return columns, gone
    return None


def _without(columns: Columns, *heads: str) -> Columns:
    return {head: cells for head, cells in columns.items() if head not in heads}


def _without_repeated(whole: Columns) -> tuple[Columns, list[str]]:
    """Without settings that are in all runs what another of that name is: W_P's where W_V's say it; and their names."""
    first: dict[str, str] = {}
    for head, cells in whole.items():
        first.setdefault(f"{head.rpartition('.')[2]} {cells}", head)
    same = [
        f"{head} (as {first[key]})"
        for head, cells in whole.items()
        if first[key := f"{head.rpartition('.')[2]} {cells}"] != head
    ]
    return {head: cells for head, cells in whole.items() if head in first.values()}, same


def _with_short_heads(whole: Columns) -> Columns:
    """Keys by their last part where no other column is called that."""
    lasts = [head.rpartition(".")[2] for head in whole]
    return {
        last if lasts.count(last) == 1 else head: cells
        for last, (head, cells) in zip(lasts, whole.items(), strict=True)
    }


def _listed(columns: Columns, width: int) -> list[str]:
    """Two lines a run or more: its name and how it stands, and below what varies."""
    lines: list[str] = []
    for row in zip(*columns.values(), strict=True):
        cells = dict(zip(columns, row, strict=True))
        lines.append(f"{cells['run']}  {cells['state']}")
        words = [f"{head}={cell}" for head, cell in cells.items() if head not in _BESIDE]
        words += [f"{cells['parameters']} parameters", *([f"time {cells['time']}"] if cells["time"] != "-" else [])]
        told = "  ".join(words)
        lines += [
            f"  {line}" for line in textwrap.wrap(told, width - 2, break_long_words=False, break_on_hyphens=False)
        ]
    return lines
