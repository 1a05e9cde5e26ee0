"""The runs of a plan as a table that fits the screen, and as a list where no table does. No cell is ever broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simplify.cli.duration import is_sure, rough
from simplify.cli.fit import (
    Columns,
    Narrowed,
    by_id,
    first_that_fits,
    framed,
    listed,
    say_gone,
    with_short_heads,
    without,
    without_repeated,
)
from simplify.config import DepthGain, RunConfig, Settings
from simplify.display import console, short_time, tell
from simplify.runs.words import words_of
from simplify.sweep.plan import Plan
from simplify.sweep.steps import Time

_BESIDE = ("run", "parameters", "time", "state")  # what is no setting


def print_runs_of(plan: Plan, ahead: Sequence[Time | None], title: str) -> None:
    """Every run: its name, what varies, parameters, time ahead, how it stands."""
    screen, whole = console(), _columns(plan, ahead)
    found = fitted(whole, screen.width)
    if found is None:
        tell("\n".join([title, *_listed(with_short_heads(whole), screen.width)]))
        return
    columns, gone = found
    screen.print(framed(columns, title, right=("parameters", "time")))
    say_gone(gone)


def _columns(plan: Plan, ahead: Sequence[Time | None]) -> Columns:
    runs, layers = plan.runs, [run.config.model.n_layers for run in plan.runs]
    times = ("-" if run.state == "done" else _time(time) for run, time in zip(runs, ahead, strict=True))
    settings = {name: [_value(run.point, run.config, name) for run in runs] for name in plan.axes}
    return {
        "run": [run.name for run in runs],
        **{name: words_of(values, layers) for name, values in settings.items()},
        "parameters": [f"{run.parameters:,}" for run in runs],
        "time": [*times],
        "state": [run.state for run in runs],
    }


def _time(time: Time | None) -> str:
    """How long a run takes: `2:30`, `~3 hours` where that is not sure."""
    if time is None:
        return "?"
    return short_time(time.seconds) if is_sure([time]) else f"~{rough(time.seconds)}"


def _value(point: Any, config: RunConfig, name: str) -> Any:
    """A setting as it was given, or as it came to; a gain always as it came to."""
    found: Any = config
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, DepthGain) or name not in point:
        return getattr(found, "name", found) if isinstance(found, Settings) else found
    return point[name]


def fitted(whole: Columns, width: int) -> Narrowed | None:
    """The columns as they fit beside each other, and what had to go; None where not even the least of them fit."""
    once, same = without_repeated(whole)
    short = with_short_heads(once)
    ids = by_id(short)
    tries = (
        (whole, []),
        (with_short_heads(whole), []),
        (short, same),
        (ids, ["names of runs", *same]),
        (without(ids, "parameters"), ["names of runs", "parameters", *same]),
        (without(ids, "parameters", "id"), ["runs", "parameters", *same]),
    )
    return first_that_fits(tries, width)


def _listed(columns: Columns, width: int) -> list[str]:
    """Two lines a run or more: its name and how it stands, and below what varies."""
    rows: list[tuple[str, list[str]]] = []
    for row in zip(*columns.values(), strict=True):
        cells = dict(zip(columns, row, strict=True))
        words = [f"{head}={cell}" for head, cell in cells.items() if head not in _BESIDE]
        words += [f"{cells['parameters']} parameters", *([f"time {cells['time']}"] if cells["time"] != "-" else [])]
        rows.append((f"{cells['run']}  {cells['state']}", words))
    return listed(rows, width)
