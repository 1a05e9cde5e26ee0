"""Whoever waits for a lock says for whom, hears Ctrl-C, and does not wait for a process that is stopped."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import TINY, Result

from simplify import locks
from simplify.compose import compose_run
from simplify.data.build import build_once
from simplify.data.folder import folder_source
from simplify.errors import RunFolderError
from simplify.runs.queue import Queue

Cli = Callable[..., Result]


@contextlib.contextmanager
def held(path: Path) -> Iterator[int]:
    """A process that holds a lock, and is stopped."""
    pid = os.fork()
    if not pid:
        fcntl.flock(os.open(path, os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    yield pid
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def holder(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A process that holds the queue's lock of the default run root, and is stopped."""
    monkeypatch.setattr(locks, "_SAY_AFTER", 0.1)
    folder = here / "runs" / ".locks"
    folder.mkdir(parents=True)
    with held(folder / "queue.lock") as pid:
        yield pid


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not say who holds a lock")
def test_a_stopped_holder_is_named_and_not_waited_for(cli: Cli, holder: int, here: Path) -> None:
    done = cli("sweep", *TINY)
    told = f"the queue is locked by process {holder}, which is stopped (kill -CONT {holder} lets it go on"
    assert done.code == 75 and done.err.count(told) == 2 and done.err.startswith("waiting: ")
    assert "nothing was changed, the same command goes on then" in done.err
    assert Queue(here / "runs").waiting() == {}


def test_a_lane_waits_and_goes_on(holder: int, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threading.Timer(0.5, os.kill, (holder, signal.SIGCONT)).start()  # it ends then
    with Queue(here / "runs", patience=math.inf).locked():
        assert capsys.readouterr().err.count("waiting: ") == 1


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not say who holds a lock")
def test_who_builds_a_corpus_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "meta.json").touch()  # there is nothing left to do once the lock is free
    data = compose_run(TINY).data
    with held(tmp_path / "corpus.lock") as pid:
        threading.Timer(0.5, os.kill, (pid, signal.SIGCONT)).start()
        build_once(data, folder_source(data), folder, masked=False)
        assert f"data: process {pid}, which is stopped (kill -CONT {pid} lets it go on" in capsys.readouterr().out


@pytest.mark.usefixtures("holder")
def test_ctrl_c_is_heard_while_waiting(here: Path) -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), Queue(here / "runs", patience=math.inf).locked():
        pass


@pytest.mark.usefixtures("holder")
def test_no_one_at_a_terminal_waits_for_ever(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_holder", lambda _: ("another process", False))  # as where nobody knows it
    with pytest.raises(locks.TryAgain, match="locked by another process"), Queue(here / "runs", patience=0.3).locked():
        pass


def refuse(number: int) -> Callable[..., None]:
    """A disk's answer to whoever wants a lock."""

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return flock


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_a_line(cli: Cli, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(number))
    for words in (["train", *TINY], ["sweep", *TINY, "seed=1,2"]):
        done = cli(*words)
        assert done.code == 2 and done.err.count("\n") == 1, done.err
        assert f"this disk gives no locks ({os.strerror(number)})" in done.err and ".lock: " in done.err


def test_a_disk_without_flock_goes_by_files(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a process that died are taken over; those that flock left are told."""
    path = here / "a.lock"
    with locks.acquire(path):
        pass
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOSYS))
    with pytest.raises(locks.Taken):
        locks.acquire(path)  # perhaps about to be written
    os.utime(path, (1e9, 1e9))
    with pytest.raises(RunFolderError, match=r"a.lock: was made on a machine that locks this disk"):
        locks.acquire(path)
    path.write_text(f"{2**22 + 1}\n{os.uname().nodename}\n")  # a number that no process has
    with locks.acquire(path), pytest.raises(locks.Taken):
        locks.acquire(path)


def test_what_lies_in_the_place_of_a_lock_is_named(cli: Cli, here: Path) -> None:
    root = here / "runs"
    root.mkdir()
    (root / ".locks").touch()
    for words in (["train", *TINY], ["sweep", *TINY]):
        done = cli(*words)
        told = f"simplify: {root / '.locks'}: is in the place of a lock; move it away, or remove it\n"
        assert (done.code, done.err) == (2, told)
    (here / "b.lock").mkdir()
    with pytest.raises(RunFolderError, match=r"b.lock: is in the place"):
        locks.acquire(here / "b.lock")
