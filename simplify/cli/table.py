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
_FIRST_TO_GO = ("device", "attempt", "tokens/s", "train loss", "ETA", "note", "val loss")
_FOLDED = 6  # characters that a setting's column needs at least
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


def fitted(rows: Sequence[dict[str, str]], width: int) -> tuple[list[dict[str, str]], list[str]]:
    """Rows without the columns that do not fit beside the others, and the names of those."""
    left, gone = [dict(row) for row in rows], []
    for name in _FIRST_TO_GO:
        if _width(left) <= width:
            break
        if left and name in left[0]:
            gone.append(name)
            left = [{key: text for key, text in row.items() if key != name} for row in left]
    return left, gone


def _width(rows: Sequence[dict[str, str]]) -> int:
    """Characters of a table with frames. Settings fold, but not below _FOLDED characters."""
    widest = {name: max(len(name), *(len(row[name]) for row in rows)) for name in (rows[0] if rows else ())}
    return 1 + sum(3 + (wide if _is_whole(name) else min(wide, _FOLDED)) for name, wide in widest.items())


def _is_whole(name: str) -> bool:
    return name in ("run", "state", *RIGHT)


def run_table(runs: Sequence[RunView], rows: Sequence[dict[str, str]], title: str) -> Table:
    """The table, for rich."""
    table = Table(title=escape(title), title_justify="left")
    for name in rows[0] if rows else ():
        right = "right" if name in RIGHT else "left"
        table.add_column(escape(name), justify=right, no_wrap=_is_whole(name), overflow="fold")
    for run, row in zip(runs, rows, strict=True):
        style = _STYLES.get(run.state)
        table.add_row(*(f"[{style}]{escape(t)}[/]" if style and n == "state" else escape(t) for n, t in row.items()))
    return table


def print_runs(runs: Sequence[RunView], title: str, unbegun: Sequence[str] = ()) -> None:
    """The table on standard output, and the names of runs that are asked for and neither wait nor have begun.

    Without a terminal, and where the screen is too narrow for whole numbers, plain columns, which also a
    thousand rows do not slow down.
    """
    rows = cells(runs)
    screen = console()
    fit, gone = fitted(rows, screen.width)
    if is_terminal() and _width(fit) <= screen.width:
        screen.print(run_table(runs, fit, title))
        if gone:
            print(f"not shown on so narrow a screen: {', '.join(gone)}")
    else:
        _print_plainly(rows, title)
    if unbegun:
        print(f"not begun, and in no queue: {', '.join(unbegun[:8])}{', ...' if len(unbegun) > 8 else ''}")


def _print_plainly(rows: Sequence[dict[str, str]], title: str) -> None:
    print(title)
    names = list(rows[0]) if rows else []
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    for row in [dict(zip(names, names, strict=True)), *rows] if rows else []:
        parts = (t.rjust(widths[n]) if n in RIGHT else t.ljust(widths[n]) for n, t in row.items())
        print("  ".join(parts).rstrip())
