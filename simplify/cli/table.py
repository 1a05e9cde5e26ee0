"""Runs as a table: only what tells them apart, how they stand, how far they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from simplify.cli.fit import (
    RUN,
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
from simplify.display import console, is_bounded, say, short_time, tell
from simplify.runs.settings import varied_words
from simplify.runs.store import RunView
from simplify.runs.words import rank

_STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "lost": "red",
    "stopped": "yellow",
    "queued": "dim",
    "unknown": "yellow",
}
# In this order, before any setting that tells runs apart.
_FIRST_TO_GO, _NEXT_TO_GO = ("device", "attempt", "tokens/s"), ("train loss", "note", "val loss")
_DETAILS, _LAST_TO_GO = "details of states", ("ETA", "step")
_PROGRESS = (*_FIRST_TO_GO, *_NEXT_TO_GO, *_LAST_TO_GO)
_NO_SETTINGS = (RUN, "id", "state", *_PROGRESS)
_FIRST = (False, float("-inf"), "")
RIGHT = ("step", "train loss", "val loss", "tokens/s", "ETA", "attempt")
PROSE = ("note",)


def counted(states: Sequence[str]) -> str:
    """How many runs stand how: `2 running, 3 queued`."""
    found = dict.fromkeys(states)
    return ", ".join(f"{list(states).count(state)} {state}" for state in found) or "no runs"


def cells(runs: Sequence[RunView]) -> list[dict[str, str]]:
    """One row a run, by column; a column that no run has anything to say in is left out."""
    settings = varied_words([run.config for run in runs])
    names = dict.fromkeys(key for row in settings for key in row)
    rows = [
        {
            "run": run.name,
            **{name: varied.get(name, "-") for name in names},
            **_progress(run),
        }
        for run, varied in zip(runs, settings, strict=True)
    ]
    used = [key for key in (rows[0] if rows else {}) if key in ("run", "state") or any(row[key] != "-" for row in rows)]
    return [{key: row[key] for key in used} for row in rows]


def in_order_of_settings(runs: Sequence[RunView]) -> list[RunView]:
    """Runs by what tells them apart, numbers by their size, a setting that a run has not first; those alike by name."""
    settings = varied_words([run.config for run in runs])
    keys = dict.fromkeys(key for row in settings for key in row)
    places = [[rank(row[key]) if key in row else _FIRST for key in keys] for row in settings]
    return [runs[number] for number in sorted(range(len(runs)), key=lambda number: (places[number], runs[number].name))]


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


def is_setting(name: str) -> bool:
    """Whether a column holds a setting, not who the run is and how it stands."""
    return name not in _NO_SETTINGS


def as_columns(rows: Sequence[dict[str, str]]) -> Columns:
    """The same by column."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def fitted(whole: Columns, width: int) -> Narrowed | None:
    """Columns that fit beside each other in a frame, and what had to go; None where not even the least of them fit.

    A setting goes last, and only while the others still tell the runs apart.
    """
    return first_that_fits(_narrower(whole), width, PROSE)


def _narrower(whole: Columns) -> Iterator[Narrowed]:
    """Ever fewer columns."""
    yield whole, []
    yield with_short_heads(whole), []
    left, gone = without_repeated(whole)
    yield with_short_heads(left), gone
    for name in (*_FIRST_TO_GO, RUN, *_NEXT_TO_GO, _DETAILS, *_LAST_TO_GO):
        if name == _DETAILS and any("," in state for state in left["state"]):
            left, gone = {**left, "state": [state.partition(",")[0] for state in left["state"]]}, [*gone, name]
        elif name in left:
            gone = [*gone, "names of runs" if name == RUN else name]
            left = by_id(left) if name == RUN else without(left, name)
        else:
            continue
        yield with_short_heads(left), gone
    for name in _needless(left):
        left, gone = without(left, name), [*gone, name]
        yield with_short_heads(left), gone


def _needless(columns: Columns) -> list[str]:
    """Settings without which the others tell as many runs apart, the widest first."""
    left = {name: cells for name, cells in columns.items() if is_setting(name)}
    found: list[str] = []
    for name in sorted(left, key=lambda name: -max(map(len, left[name]))):
        others = without(left, name)
        if others and _kinds(others) == _kinds(left):
            left, found = others, [*found, name]
    return found


def _kinds(columns: Columns) -> int:
    return len(set(zip(*columns.values(), strict=True)))


def framed_runs(runs: Sequence[RunView], columns: Columns, title: str) -> Table:
    """The table, for rich."""
    return framed(columns, title, RIGHT, PROSE, lambda head, n: _STYLES.get(runs[n].state) if head == "state" else None)


def print_runs(runs: Sequence[RunView], title: str, unbegun: Sequence[str] = ()) -> None:
    """The table on standard output, and the names of runs that are asked for and neither wait nor have begun.

    Where there is no width to fit, plain columns, which also a thousand rows do not slow down; where it is too
    narrow for any table, a list.
    """
    rows = cells(runs)
    screen = console()
    if not is_bounded():
        _print_plainly(rows, title)
    elif (found := fitted(as_columns(rows), screen.width)) is not None:
        columns, gone = found
        screen.print(framed_runs(runs, columns, title))
        say_gone(gone, "simplify status")
    else:
        say(title)
        tell("\n".join(_listed(rows, screen.width)))
    if unbegun:
        say(f"not begun, and in no queue: {', '.join(unbegun[:8])}{', ...' if len(unbegun) > 8 else ''}")


def _listed(rows: Sequence[dict[str, str]], width: int) -> list[str]:
    """Two lines a run or more: its name and how it stands, and below what varies and how far it is."""
    told: list[tuple[str, list[str]]] = []
    for row in rows:
        said = {head: text for head, text in row.items() if head not in (RUN, "state") and text != "-"}
        words = [f"{head} {text}" if head in _PROGRESS else f"{head}={text}" for head, text in said.items()]
        told.append((f"{row[RUN]}  {row['state']}", words))
    return listed(told, width)


def _print_plainly(rows: Sequence[dict[str, str]], title: str) -> None:
    tell(title)
    names = list(rows[0]) if rows else []
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    for row in [dict(zip(names, names, strict=True)), *rows] if rows else []:
        parts = (t.rjust(widths[n]) if n in RIGHT else t.ljust(widths[n]) for n, t in row.items())
        tell("  ".join(parts).rstrip())
