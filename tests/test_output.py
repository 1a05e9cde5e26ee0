"""Words are not work: no stream that fails, and no letter in a path, ends what a command is for."""

from __future__ import annotations

import errno
import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest
from conftest import ROOT, TINY, rows, run_folder
from test_life import LONG, wait_for_step

from simplify.display import attach, parting, tell, work_counts
from simplify.display.progress import meter
from simplify.display.streams import Stream

Cli = Callable[..., Any]


class Failing(io.StringIO):
    """A stream on which nothing can be shown after its first line."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        if "\n" in self.getvalue():
            raise self.error
        return super().write(text)


FAILURES = {
    "EIO": OSError(errno.EIO, "Input/output error"),
    "EPIPE": BrokenPipeError(errno.EPIPE, "Broken pipe"),
    "ENOSPC": OSError(errno.ENOSPC, "No space left on device"),
    "closed": ValueError("I/O operation on closed file"),
    "none": AttributeError("'NoneType' object has no attribute 'write'"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_stream_that_fails_is_silent_from_then_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = Failing(FAILURES[name]), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    attach()
    for number in range(3):
        tell(f"line {number}")
    assert out.getvalue() == "line 0\n"
    shown_else_said = {"ENOSPC", "EIO"}
    assert parting() == (name in shown_else_said)
    assert err.getvalue().count("\n") == (name in shown_else_said)
    work_counts()
    assert parting() == 0


def test_letters_that_a_locale_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    attach()
    tell("mean ± deviation, and a path that is no text: \udcff")
    assert raw.getvalue() == rb"mean \xb1 deviation, and a path that is no text: \udcff" + b"\n"


def test_a_line_out_of_a_signal_while_another_is_written() -> None:
    stream = Stream(Failing(RuntimeError("reentrant call inside <_io.BufferedWriter>")))
    for text in ("first\n", "second\n"):
        stream.write(text)
    assert stream.failure is None


def full_disk() -> TextIO:
    return open("/dev/full", "w")


def left_pipe() -> TextIO:
    """A pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def closed_file() -> TextIO:
    with open(os.devnull, "w") as file:
        return file


def broken_terminal() -> TextIO:
    return Failing(FAILURES["EIO"])


def nothing() -> None:
    """Closed before Python began."""


@pytest.mark.parametrize("made", [full_disk, left_pipe, closed_file, broken_terminal, nothing])
def test_a_run_goes_on_to_its_end_where_nothing_can_be_shown(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[], TextIO | None]
) -> None:
    monkeypatch.setattr(sys, "stdout", made())
    found = cli("train", *TINY, "train.steps=5", "train.val_every=1")
    assert found.code == 0, found.err
    assert (run_folder(here) / "done.json").exists() and len(rows(run_folder(here))) == 5


def test_what_only_shows_says_that_it_could_not(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("status",), ("--help",), ("config",), ("blocks", "sas")):
        with open("/dev/full", "w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            found = cli(*words)
        assert (found.code, found.err) == (
            1,
            "simplify: standard output: No space left on device; not all could be shown\n",
        )
        monkeypatch.setattr(sys, "stdout", None)
        assert cli(*words).code == 0


def test_a_terminal_of_a_size_that_is_no_number(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        for size in ("²", "9" * 5000, "80x"):
            monkeypatch.setenv(name, size)
            assert cli("--help").code == cli("status").code == 0


def test_brackets_are_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        with meter("runs[old]", 1.0) as shown:
            shown.note("run [/bold] x [type=int]")
            shown.update(0.5, "[red]text[/red]", force=True)
        seen = b""
        while b"[red]text" not in seen:  # a terminal gives it in pieces
            seen += os.read(ours, 100_000)
    os.close(ours)
    assert b"run [/bold] x [type=int]" in seen and b"runs[old]" in seen and b"[red]text[/red]" in seen


def on_terminal(*words: str, ignored: bool = False) -> tuple[subprocess.Popen[bytes], int]:
    """The command line on a terminal of its own, the leader of its session; returns the terminal's other end."""
    ours, theirs = pty.openpty()

    def own_terminal() -> None:
        os.setsid()
        os.close(os.open(os.ttyname(0), os.O_RDWR))  # the first terminal that a session opens is its own
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)

    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    command = [sys.executable, "-m", "simplify", *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, preexec_fn=own_terminal, close_fds=True
    )
    os.close(theirs)
    return process, ours


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_is_closed(here: Path, ignored: bool) -> None:
    """The run saves and stops; where SIGHUP is ignored (nohup, disown) it goes on, and heeds the other signals."""
    words = [*LONG, "train.steps=100000", "train.checkpoint_every=100000"]
    process, terminal = on_terminal("train", "block=sas", *words, ignored=ignored)
    try:
        wait_for_step(here, 5, process)  # type: ignore[arg-type]
        os.close(terminal)
        if ignored:
            wait_for_step(here, rows(run_folder(here))[-1]["step"] + 20, process)  # type: ignore[arg-type]
            process.terminate()
        code = process.wait(timeout=120)
    finally:
        process.kill()
        process.wait()
    folder = run_folder(here)
    assert not (folder / "error.json").exists()
    saved = [path.name for path in (folder / "checkpoint").glob("*.pt")]
    assert code == 75 and saved == [f"step-{rows(folder)[-1]['step']:08d}.pt"]
