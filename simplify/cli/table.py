"""Runs as a table: only what tells them apart, how they stand, how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from simplify.config import show
from simplify.display import console, is_terminal, short_time
from simplify.runs.settings import differing_settings
from simplify.runs.store import RunView

_STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "lost": "red",
    "stopped": "yellow",
    "queued": "dim",
    "unknown": "yellow",
}
RIGHT = ("step", "train loss", "val loss", "tokens/s", "ETA", "attempt")


def counted(states: Sequence[str]) -> str:
    """How many runs stand how: `2 running, 3 queued`."""
    found = dict.fromkeys(states)
    return ", ".join(f"{list(states).count(state)} {state}" for state in found) or "no runs"


def cells(runs: Sequence[RunView]) -> list[dict[str, str]]:
    """One row a run, by column; a column that no run has anything to say in is left out."""
    settings = differing_settings([run.config for run in runs])
    names = dict.fromkeys(key for row in settings for key in row)
    rows = [
        {
            "run": run.name,
            **{name: show(varied[name]) if name in varied else "-" for name in names},
            **_progress(run),
        }
        for run, varied in zip(runs, settings, strict=True)
    ]
    used = [key for key in (rows[0] if rows else {}) if key in ("run", "state") or any(row[key] != "-" for row in rows)]
    return [{key: row[key] for key in used} for row in rows]


def _progress(run: RunView) -> dict[str, str]:
    last, total = run.last, run.total_steps
    step = f"{last['step']}" if "step" in last else "-"
    silent = f", silent {short_time(run.silence)}" if run.silence else ""
    left = run.seconds_left
    return {
        "state": run.state + silent,
        "step": f"{step}/{total}" if total and step != "-" else step,
        "train loss": _number(last.get("train/loss"), ".4f"),
        "val loss": _number(last.get("val/loss"), ".4f"),
        "tokens/s": _number(last.get("tokens_per_sec"), ",.0f"),
        "ETA": short_time(left) if left is not None else "-",
        "device": run.device or run.about.get("device", {}).get("kind") or "-",
        "attempt": str(run.attempts) if run.attempts else "-",
        "note": run.note or "-",
    }


def _number(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)


def run_table(runs: Sequence[RunView], title: str) -> Table:
    """The table, for rich."""
    rows = cells(runs)
    table = Table(title=escape(title), title_justify="left")
    for name in rows[0] if rows else ():
        whole = name == "run" or name in RIGHT
        table.add_column(escape(name), justify="right" if name in RIGHT else "left", no_wrap=whole, overflow="fold")
    for run, row in zip(runs, rows, strict=True):
        style = _STYLES.get(run.state)
        table.add_row(*(f"[{style}]{escape(t)}[/]" if style and n == "state" else escape(t) for n, t in row.items()))
    return table


def print_runs(runs: Sequence[RunView], title: str) -> None:
    """The table on standard output; without a terminal, plain columns, which also a thousand rows do not slow down."""
    if is_terminal():
        console().print(run_table(runs, title))
        return
    rows = cells(runs)
    print(title)
    names = list(rows[0]) if rows else []
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    for row in [dict(zip(names, names, strict=True)), *rows] if rows else []:
        parts = (t.rjust(widths[n]) if n in RIGHT else t.ljust(widths[n]) for n, t in row.items())
        print("  ".join(parts).rstrip())
