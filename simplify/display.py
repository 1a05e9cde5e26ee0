"""What a person sees while something runs: a bar on a terminal, a plain line now and then elsewhere.

Decided by isatty() alone: FORCE_COLOR fools rich into drawing bars into log files.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LINE_EVERY = 5.0  # seconds between plain lines
_WIDTH = 200  # columns of a table where nobody says how wide it may be
REDRAW_HZ = 4  # a redraw of a few rows costs 7 ms


def is_terminal() -> bool:
    """Whether standard output is a terminal that can be redrawn."""
    return sys.stdout is not None and sys.stdout.isatty()


def console() -> Console:
    """A console on standard output; without a terminal it neither colours nor wraps, tables have $COLUMNS or 200."""
    if is_terminal():
        return Console()
    return Console(force_terminal=False, no_color=True, width=_wanted_width() or _WIDTH, soft_wrap=True)


def _wanted_width() -> int:
    """$COLUMNS; 0 where it says nothing."""
    wanted = os.environ.get("COLUMNS", "")
    return int(wanted) if wanted.isdigit() else 0


def is_bounded() -> bool:
    """Whether what is shown has to fit a width: a terminal's, or $COLUMNS."""
    return is_terminal() or bool(_wanted_width())


def say(text: str, indent: str = "") -> None:
    """A line for people: broken between words where there is a width to fit, elsewhere whole.

    `indent` stands before the lines after the first.
    """
    print("\n".join(wrapped(text, console().width, "", indent)) if is_bounded() else text, flush=True)


def wrapped(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    """Lines broken between words alone: a longer word, a path say, stays whole. `first` and `later` indent them."""
    form = textwrap.TextWrapper(
        width, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )
    return form.wrap(text)


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
            print(f"{self._label}  {share}{text}".rstrip(), flush=True)

    def note(self, text: str) -> None:
        """A line that stays above the bar."""
        if self._progress is not None:
            self._progress.console.print(text, highlight=False)
        else:
            print(text, flush=True)


@contextmanager
def meter(label: str, total: float | None) -> Iterator[Meter]:
    """A progress report for the length of the `with` block."""
    if not is_terminal():
        yield Meter(label, total, None, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.fields[text]}"),
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


def near(path: Path) -> str:
    """A path as it would be typed here: from the current folder on where it lies below, else whole."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def short_time(seconds: float) -> str:
    """A duration as people write it: 1:23, 2:03:04, 12 days."""
    whole = round(seconds)
    if whole >= 2 * 86400:
        return f"{whole / 86400:.1f} days"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
