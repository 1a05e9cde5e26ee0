"""Lines and tables for people: how wide they may be, and how long a duration or a path is when it is written out."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from simplify.display.streams import tell

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 200  # columns of a table where nobody says how wide it may be


def is_terminal() -> bool:
    """Whether standard output is a terminal that can be redrawn.

    Decided by isatty() alone: FORCE_COLOR fools rich into drawing bars into log files.
    """
    try:
        return sys.stdout is not None and sys.stdout.isatty()
    except ValueError:  # closed
        return False


def can_ask() -> bool:
    """Whether somebody sits at both ends and can answer."""
    try:
        return is_terminal() and sys.stdin is not None and sys.stdin.isatty()
    except ValueError:
        return False


def agreed(question: str) -> bool:
    """Whether the answer is yes."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, OSError):  # Ctrl-D, or the terminal was closed
        return False


def console() -> Console:
    """A console on standard output; without a terminal it neither colours nor wraps, tables have $COLUMNS or 200.

    Text is never markup: what stands in brackets is a path, a setting's type or a list. Styles are named beside it.
    """
    from rich.console import Console

    if is_terminal():
        return Console(markup=False, emoji=False, highlight=False)
    width = _wanted_width() or _WIDTH
    return Console(
        force_terminal=False, no_color=True, width=width, soft_wrap=True, markup=False, emoji=False, highlight=False
    )


def _wanted_width() -> int:
    """$COLUMNS; 0 where it says nothing."""
    wanted = os.environ.get("COLUMNS", "")
    return int(wanted) if wanted.isascii() and wanted.isdigit() else 0


def is_bounded() -> bool:
    """Whether what is shown has to fit a width: a terminal's, or $COLUMNS."""
    return is_terminal() or bool(_wanted_width())


def say(text: str, indent: str = "") -> None:
    """A line for people: broken between words where there is a width to fit, elsewhere whole.

    `indent` stands before the lines after the first.
    """
    tell("\n".join(wrapped(text, console().width, "", indent)) if is_bounded() else text)


def wrapped(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    """Lines broken between words alone: a longer word, a path say, stays whole. `first` and `later` indent them."""
    form = textwrap.TextWrapper(
        width, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )
    return form.wrap(text)


def near(path: Path) -> str:
    """A path as it would be typed here: from the current folder on where it lies below, else whole."""
    try:
        relative = os.path.relpath(path)
    except FileNotFoundError:  # the current folder was removed
        return str(path)
    return str(path) if relative.startswith("..") else relative


def short_time(seconds: float) -> str:
    """A duration as people write it: 1:23, 2:03:04, 12 days."""
    whole = round(seconds)
    if whole >= 2 * 86400:
        return f"{whole / 86400:.1f} days"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
