"""What a person sees while something runs: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from simplify.display.screen import console, is_terminal
from simplify.display.streams import tell

LINE_EVERY = 5.0  # seconds between plain lines
REDRAW_HZ = 4  # a redraw of a few rows costs 7 ms


class Meter:
    """One progress report: `update` as often as you like, it is shown at a bearable rate."""

    def __init__(self, label: str, total: float | None, progress: Progress | None, task: TaskID | None) -> None:
        self._label, self._total = label, total
        self._progress, self._task = progress, task
        self._last = time.monotonic()

    def update(self, done: float, text: str = "", force: bool = False) -> None:
        """`done` of the total; `text` says the rest. `force` prints a plain line at once."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, text=text)
        elif force or time.monotonic() - self._last >= LINE_EVERY:
            self._last = time.monotonic()
            share = f"{done / self._total:4.0%}  " if self._total else ""
            tell(f"{self._label}  {share}{text}".rstrip())

    def note(self, text: str) -> None:
        """A line that stays above the bar."""
        if self._progress is not None:
            self._progress.console.print(text)
        else:
            tell(text)


@contextmanager
def meter(label: str, total: float | None) -> Iterator[Meter]:
    """A progress report for the length of the `with` block."""
    if not is_terminal():
        yield Meter(label, total, None, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        TextColumn("{task.fields[text]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(), refresh_per_second=REDRAW_HZ) as progress:
        task = progress.add_task(label, total=total, text="")
        yield Meter(label, total, progress, task)
        progress.update(task, completed=total)


@contextmanager
def quiet_meter() -> Iterator[Meter]:
    """A progress report that nobody sees."""
    yield _Quiet("", None, None, None)


class _Quiet(Meter):
    """Says nothing."""

    def update(self, done: float, text: str = "", force: bool = False) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
