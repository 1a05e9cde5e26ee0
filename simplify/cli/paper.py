"""`simplify paper`: the paper's figures and tables, and how far this project is with each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from simplify.cli.table import counted
from simplify.display import answer, console, near, say, tell, wrapped
from simplify.runs.store import RunStore
from simplify.sweep.paper import Asked, asked_for, mark_of_view, paper_dir, states_of
from simplify.sweep.record import Record, records

_WIDE = 140  # columns from which the table is readable
_TITLE = "arXiv 2311.01906, its figures and tables"


def paper_command(run_root: Path | None, as_json: bool) -> None:
    """One row a sweep file; as JSON one object a figure or table."""
    asked, store = asked_for(), RunStore(run_root)
    runs = store.runs()
    marks = {run.run_id: mark_of_view(run) for run in runs}
    states, sweeps = states_of(runs, marks), records(store.root)
    rows = [row_of(one, states, _others(one, sweeps, marks)) for one in asked]
    if as_json:
        each = [{"shown": shown, **row} for one, row in zip(asked, rows, strict=True) for shown in one.shown]
        answer("paper", {"figures": each})
        return
    for one, row in zip(asked, rows, strict=True):
        row["shown"] = list(one.shown)
    screen = console()
    longest = max((len(row["file"]) for row in rows), default=0)
    if screen.width >= _WIDE and longest <= screen.width // 3:
        screen.print(_table(rows, max(longest, screen.width // 4)))
    else:
        tell("\n".join(_list(rows, screen.width)))
    scales = dict.fromkeys(scale for one in asked for scale in one.marks)
    say(f"runs: of the scales {', '.join(scales)}; a file's runs are started by simplify sweep FILE [scale=nano]")
    tell(f"status: of the runs in {store.root}")


def _others(asked: Asked, sweeps: Sequence[Record], marks: Mapping[str, str | None]) -> int:
    """How many runs there are of that file with other words, so that they are none of the figure's."""
    file = str((paper_dir() / asked.file).resolve())
    its = {run.run_id for record in sweeps if record.file == file for run in record.runs}
    own = {mark for each in asked.marks.values() for mark in each}
    return sum(mark not in own for run_id, mark in marks.items() if run_id in its)


def row_of(asked: Asked, states: Mapping[str, str], others: int) -> dict[str, Any]:
    """One sweep file as data."""
    scales = {scale: _standing(marks, states) for scale, marks in asked.marks.items()}
    return {
        "file": near(paper_dir() / asked.file),
        "question": asked.question,
        "scales": scales,
        "cost": asked.cost,
        "hours": asked.hours,
        "finding": asked.finding,
        "note": asked.note,
        "other_runs": others,
        "status": _status(scales, asked.wrong, others),
        "wrong": list(asked.wrong),
    }


def _standing(marks: tuple[str, ...], states: Mapping[str, str]) -> dict[str, Any]:
    """How many runs a scale has, and the states of those that are there."""
    there = [states[mark] for mark in marks if mark in states]
    return {"runs": len(marks), "states": {state: there.count(state) for state in dict.fromkeys(there)}}


def _status(scales: Mapping[str, Mapping[str, Any]], wrong: tuple[str, ...], others: int) -> str:
    """In words, at which scale."""
    told = [f"{scale}: {_in_words(**standing)}" for scale, standing in scales.items() if standing["states"]]
    told += [f"cannot be planned: {wrong[0]}"] if wrong else []
    return ("; ".join(told) or "no runs") + (f"; {others} with other settings" if others else "")


def _in_words(runs: int, states: Mapping[str, int]) -> str:
    done = states.get("done", 0)
    if done == runs:
        return "done"
    others = counted([state for state, number in states.items() for _ in range(number) if state != "done"])
    return f"{done} of {runs} done" + (f", {others}" if others != "no runs" else "")


def _runs(row: Mapping[str, Any]) -> str:
    return " / ".join(str(standing["runs"]) for standing in row["scales"].values())


def _table(rows: list[dict[str, Any]], wide: int) -> Table:
    """A row a sweep file; a column of `wide` holds the files' names, which are to be copied and so never broken."""
    scales = " / ".join(dict.fromkeys(scale for row in rows for scale in row["scales"]))
    table = Table(title=_TITLE, title_justify="left", show_lines=True, expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("question, sweep file", overflow="fold", width=wide)
    table.add_column(f"runs\n{scales}", justify="right", no_wrap=True)
    for name, ratio in (("cost", 4), ("GPU-hours a run\n(the paper)", 2), ("the paper's finding", 4), ("status", 2)):
        table.add_column(name, overflow="fold", ratio=ratio)
    for row in rows:
        note = f"Note: {row['note']}\n" if row["note"] else ""
        asks = f"{row['question']}\n{note}{row['file']}"
        cells = (row["cost"], row["hours"] or "-", row["finding"], row["status"])
        table.add_row("\n".join(row["shown"]), asks, _runs(row), *cells)
    return table


def _list(rows: list[dict[str, Any]], width: int) -> list[str]:
    """The same for a narrow screen, as lines of text. What the paper says of hours is part of the cost already."""
    lines = [_TITLE]
    for row in rows:
        lines += ["", f"{', '.join(row['shown'])}  {row['file']}"]
        scales = " / ".join(row["scales"])
        told = {
            "question": row["question"],
            **({"runs": f"{_runs(row)} ({scales})"} if scales else {}),
            "cost": row["cost"],
            "finding": row["finding"],
            "note": row["note"],
            "status": row["status"],
        }
        for word, text in told.items():
            lines += wrapped(f"{word}: {text}", width, "  ", "  ") if text else []
    return [*lines, ""]
