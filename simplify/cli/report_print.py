"""A report on the terminal: its short table, its notes, and what was written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simplify.cli.fit import first_that_fits, framed, listed, parts, plain, plain_width
from simplify.display import console, is_bounded, say, tell

if TYPE_CHECKING:
    from simplify.compare.comparison import Comparison
    from simplify.compare.options import ReportOptions

_WORDS = ("variant", "verdict", "in words")  # columns of the table that hold no numbers
_PARTS = 3  # that a table is split in at most; then a list is easier to read


def print_report(found: Comparison, options: ReportOptions, problems: Sequence[str]) -> None:
    """The short table, the notes, and what is not in it."""
    from simplify.compare.notes import notes_of
    from simplify.compare.shared import said_first
    from simplify.compare.tables import columns_of, rows_of

    shown = [column.key for column in columns_of(found, options.paper) if column.short]
    _print_table(rows_of(found, options.paper, short=True), options.title)
    for note in (*said_first(found, options.asked), *notes_of(found, keys=shown), *problems):
        say(f"- {note}", indent="  ")
    _print_unfinished(found, options.unstarted)


def _print_table(rows: Sequence[Sequence[str]], title: str) -> None:
    """The rows, the first of them the head: whole on any screen, if need be in parts or as a list."""
    from simplify.compare.forms import aligned
    from simplify.compare.tables import NONE

    screen, heads = console(), rows[0]
    if not is_bounded():
        tell("\n".join([title, *aligned(rows)]))
        return
    columns = {head: [row[i] for row in rows[1:]] for i, head in enumerate(heads)}
    if first_that_fits([(columns, [])], screen.width) is not None:
        screen.print(framed(columns, title, right=[head for head in heads if head not in _WORDS]))
        return
    say(title)
    split = parts(rows, screen.width)
    if len(split) <= _PARTS and max(map(plain_width, split)) <= screen.width:
        for part in split:
            screen.print(plain(part, left=_WORDS))
        return
    told = [
        (row[0], [f"{head}: {text}" for head, text in zip(heads[1:], row[1:], strict=True) if text != NONE])
        for row in rows[1:]
    ]
    tell("\n".join(listed(told, screen.width)))


def print_checklist(options: ReportOptions) -> None:
    for answer in options.checklist:
        say(f"{answer.item}: {answer.asks}")
        for line in answer.says:
            say(f"- {line}", indent="  ")


def _print_unfinished(found: Comparison, unstarted: Sequence[str]) -> None:
    """How many runs have no result, by state; the page has them one by one."""
    states = [run.state for run in found.unfinished]
    told = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    told += [f"{len(unstarted)} not begun"] if unstarted else []
    diverged = sum(len(variant.diverged) for variant in found.variants)
    if told:
        say(f"without a result: {', '.join(told)}" + (f" ({diverged} diverged, censored)" if diverged else ""))


def print_files(files: Sequence[Path], out: Path) -> None:
    pictures = sorted({path.stem for path in files if path.suffix == ".svg"})
    tell(f"page:    {out / 'index.html'}")
    if pictures:
        say(f"figures: {', '.join(pictures)} in {out}, each as .png, .svg and .pdf")
    say(f"table:   {out / 'table.md'}, {out / 'table.tex'}; numbers: {out / 'report.json'}")
