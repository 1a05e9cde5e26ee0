"""Standard output and error: the one door through which words leave, and behind which none of them ends any work.

What a program computes is in its files. A terminal that was closed, a reader that left (`| head`), a log on a full
disk cost the words alone: a stream falls silent at its first failure. `parting` says at the end what that is worth as
an exit code.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

_NOWHERE = (errno.EPIPE, errno.EBADF)  # nobody listens, and that is on purpose: `| head`, `>&-`


# Sizes of a terminal: the libraries that draw on it read them as numbers whatever they are, such as `²`.
_SIZES = ("COLUMNS", "LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES", "TERMINAL_WIDTH")


class Stream:
    """A text stream that falls silent at its first failure instead of raising it; all else is that of `stream`."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: Any = open(os.devnull, "w", encoding="utf-8") if stream is None else stream  # noqa: SIM115
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        """Write, or do not."""
        self._do(self._write, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write them, or do not."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, or do not."""
        self._do(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:  # a C locale, or a path that is no UTF-8
            letters = self._stream.encoding or "ascii"
            self._stream.write(text.encode(letters, "backslashreplace").decode(letters))

    def _do(self, what: Any, *given: Any) -> None:
        if self.failure is not None:
            return
        try:
            what(*given)
        except (OSError, ValueError, AttributeError) as error:  # ValueError: it is closed
            self.failure = error
            self._into_nothing()
        except RuntimeError:  # a signal came in the middle of a write, and its handler has something to say
            pass

    def _into_nothing(self) -> None:
        """What lies in buffers must not fail again when the interpreter ends; libraries in C write there too."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            number = self._stream.fileno()
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, number)
            os.close(nothing)


def attach() -> None:
    """Put both standard streams behind the door. The first thing that each of our programs does."""
    _fill_closed()
    _wrap()
    for name in _SIZES:
        given = os.environ.get(name, "")
        if given and not (given.isascii() and given.isdigit() and len(given) < 6):
            del os.environ[name]
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    global _work_counts, _lacking
    _work_counts = _lacking = False


def _wrap() -> None:
    for name in ("stdout", "stderr"):
        now = getattr(sys, name)
        setattr(sys, name, Stream(now._stream if isinstance(now, Stream) else now))


def _fill_closed() -> None:
    """Where a standard stream was closed, the next file that is opened would take its number, and get its words."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def open_log(path: Path) -> TextIO:
    """A log to append to; where it cannot be had, what is written goes nowhere."""
    try:
        return open(path, "a", encoding="utf-8")
    except OSError:
        return open(os.devnull, "a", encoding="utf-8")


def print_into(log: Path) -> None:
    """From here on everything that this process prints, and what it starts, goes into a log."""
    with open_log(log) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    _wrap()


def _stream(name: str) -> Stream:
    """rich puts one of its own in place of ours for as long as it shows a bar."""
    now = getattr(sys, name)
    return now if isinstance(now, Stream) else Stream(now)


def tell(text: object = "", end: str = "\n") -> None:
    """Words on standard output, as they are."""
    out = _stream("stdout")
    out.write(f"{text}{end}")
    out.flush()


def tell_aside(text: object) -> None:
    """A line on standard error: of what is wrong, or where standard output is for an answer alone."""
    err = _stream("stderr")
    err.write(f"{text}\n")
    err.flush()


@contextlib.contextmanager
def answer_alone(wanted: bool = True) -> Iterator[None]:
    """What is said inside goes to standard error: standard output is for an answer that a program reads."""
    with contextlib.redirect_stdout(cast(TextIO, _stream("stderr"))) if wanted else contextlib.nullcontext():
        yield


def is_heard() -> bool:
    """Whether what is told still arrives; what only shows, and would go on showing, ends where it does not."""
    return _failure() is None


def reader_left() -> bool:
    """Whether nothing arrives because the reader of a pipe had enough (`| head`)."""
    return isinstance(_failure(), BrokenPipeError)


def _failure() -> Exception | None:
    now = getattr(sys.stdout, "rich_proxied_file", sys.stdout)
    return now.failure if isinstance(now, Stream) else None


_work_counts = False
_lacking = False


def tell_lacking(text: str) -> None:
    """A line on what an answer lacks, a picture say: the rest is there, and the exit code says that not all is."""
    global _lacking
    _lacking = True
    tell_aside(f"simplify: {text}")


def work_counts() -> None:
    """From here on this program's work is what it is for: words that get lost on the way change no exit code."""
    global _work_counts
    _work_counts = True


def parting() -> int:
    """The exit code of a program that has ended well: 1 where its answer lacks something, or could not be shown."""
    out = _stream("stdout")
    out.flush()
    _stream("stderr").flush()
    error = out.failure
    if not isinstance(error, OSError) or error.errno in _NOWHERE:
        return int(_lacking)
    tell_aside(f"simplify: standard output: {error.strerror or error}; not all could be shown")
    return 0 if _work_counts else 1
