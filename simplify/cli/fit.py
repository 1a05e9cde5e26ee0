"""Tables that fit the screen: by shorter heads, fewer columns, or several parts, and lists where no table does.

No cell is ever broken, but for prose. What is left out is always said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.table import Table
from rich.text import Text

from simplify.display import console, wrapped

Columns = dict[str, list[str]]  # cells by head, from left to right
Narrowed = tuple[Columns, list[str]]  # and what had to go
RUN = "run"  # the column of runs' names
_GAP = 2  # characters between columns without a frame
_NO_BREAK = "\N{NO-BREAK SPACE}"
_PROSE = 16  # characters that prose needs at least


def first_that_fits(tries: Iterable[Narrowed], width: int, prose: Sequence[str] = ()) -> Narrowed | None:
    """The first whose columns fit beside each other in a frame; None where not even the least of them do."""
    return next((each for each in tries if _framed_width(each[0], prose) <= width), None)


def _framed_width(columns: Columns, prose: Sequence[str]) -> int:
    wide = {head: max(map(len, [head, *cells])) for head, cells in columns.items()}
    return 1 + sum(3 + (min(n, _PROSE) if head in prose else n) for head, n in wide.items())


def framed(
    columns: Columns,
    title: str,
    right: Sequence[str] = (),
    prose: Sequence[str] = (),
    style: Callable[[str, int], str | None] = lambda head, row: None,  # noqa: ARG005
) -> Table:
    """A table in a frame; the columns `right` hold numbers; `style` says one for a head and a row's number."""
    table = Table(title=title, title_justify="left")
    for head in columns:
        table.add_column(head, justify="right" if head in right else "left", no_wrap=head not in prose)
    for number, row in enumerate(zip(*columns.values(), strict=True)):
        styles = (style(head, number) for head in columns)
        table.add_row(*(Text(text, style=said or "") for said, text in zip(styles, row, strict=True)))
    return table


def say_gone(gone: Sequence[str], command: str = "") -> None:
    """Which columns are not shown, if any; `command` has all with --json, where it is not the one that was typed."""
    if gone:
        said = f"not shown on so narrow a screen: {', '.join(gone)} ({f'{command} --json'.strip()} has all)"
        console().print(said)


def without(columns: Columns, *heads: str) -> Columns:
    """Without some columns."""
    return {head: cells for head, cells in columns.items() if head not in heads}


def without_repeated(whole: Columns) -> Narrowed:
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


def with_short_heads(whole: Columns) -> Columns:
    """Keys by their last part where no other column is called that."""
    lasts = [head.rpartition(".")[2] for head in whole]
    return {
        last if lasts.count(last) == 1 else head: cells
        for last, (head, cells) in zip(lasts, whole.items(), strict=True)
    }


def by_id(columns: Columns) -> Columns:
    """Runs by their ids, which are enough to name them by."""
    return {"id": [name.rpartition("-")[2] for name in columns[RUN]], **without(columns, RUN)}


def listed(rows: Iterable[tuple[str, Sequence[str]]], width: int) -> list[str]:
    """Two lines a row or more: what it is, and below what there is to say of it, each thing whole where it can be."""
    lines: list[str] = []
    for name, told in rows:
        whole = [text.replace(" ", _NO_BREAK) if len(text) <= width - 2 else text for text in told]
        lines += wrapped(name, width, later="  ")
        lines += [line.replace(_NO_BREAK, " ") for line in wrapped("  ".join(whole), width, "  ", "  ")]
    return lines


def plain_width(lines: Sequence[Sequence[str]]) -> int:
    """Characters of a table without a frame, the head its first line."""
    widths = _widths(lines)
    return sum(widths) + _GAP * (len(widths) - 1)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def parts(lines: Sequence[Sequence[str]], width: int) -> list[list[list[str]]]:
    """A table in as many as it takes for each to fit: the first column again in each, of the others at least one."""
    first, *others = _widths(lines)
    groups: list[list[int]] = []
    left = 0
    for place, wide in enumerate(others, start=1):
        left -= wide + _GAP
        if left < 0 or not groups:
            groups.append([])
            left = width - first - wide - _GAP
        groups[-1].append(place)
    return [[[line[0], *(line[place] for place in group)] for line in lines] for group in groups]


def plain(lines: Sequence[Sequence[str]], left: Sequence[str] = ()) -> Table:
    """A table without a frame; all columns but the first and those named hold numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, head in enumerate(lines[0]):
        table.add_column(head, justify="left" if not place or head in left else "right", overflow="fold")
    for line in lines[1:]:
        table.add_row(*line)
    return table
