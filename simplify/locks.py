"""Locks of the kernel, shared by processes, freed where one dies: whoever waits says for whom, and hears Ctrl-C.

Where a disk has no flock at all the library goes by files that name their process, which end with it on one host.
"""

from __future__ import annotations

import errno
import math
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from simplify.disk import file_of, named
from simplify.display import tell_aside
from simplify.errors import RunFolderError, TryAgain

_SAY_AFTER = 3.0  # seconds
PATIENCE = 60.0  # seconds, of somebody at a terminal
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_LEFT_AFTER = 10.0  # seconds: a file of this age without a process' name is nobody's who is about to write it


class Taken(Exception):
    """Another process holds a lock."""


def acquire(path: Path, patience: float = 0.0) -> AbstractContextManager[Any]:
    """The lock `path`, held from here to the end of the `with` block of what is returned.

    Raises Taken where another process holds it for `patience` seconds; RunFolderError on a disk that has no locks,
    and where something else lies in its place; OSError, which names the file, where it cannot be written.
    """
    lock: BaseFileLock = FileLock(path)
    try:
        with named(path), warnings.catch_warnings():
            path.parent.mkdir(exist_ok=True)  # no parents: a run root that was moved is not to come back empty
            warnings.simplefilter("ignore")  # that it goes by files: what that means is said where it matters
            return lock.acquire(timeout=-1 if patience == math.inf else patience)
    except Timeout:
        if isinstance(lock, SoftFileLock) and _is_of_others(path):
            raise RunFolderError(
                f"{path}: was made on a machine that locks this disk, which this one cannot (no flock); work from "
                "machines of one kind, or remove that file where nothing runs"
            ) from None
        raise Taken from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise RunFolderError(f"{file_of(error)}: is in the place of a lock; move it away, or remove it") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise RunFolderError(
            f"{path}: this disk gives no locks ({error.strerror}); valid: a folder on one that does, or start the "
            "service that locks it"
        ) from None


def _is_of_others(path: Path) -> bool:
    """Whether a lock file names no process and is not about to: those of flock are empty, and stay."""
    try:
        about = path.stat()
    except OSError:
        return False
    return about.st_size == 0 and time.time() - about.st_mtime > _LEFT_AFTER


@contextmanager
def held(path: Path, what: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock `path`, which guards `what`.

    A holder that is stopped is not waited for, and no other one longer than `patience` seconds: TryAgain. With
    math.inf any is waited for. Raises RunFolderError on a disk that has no locks, OSError where it is no file.
    """
    with _awaited(path, what, patience):
        yield


def holder(path: Path) -> str:
    """Who holds the lock `path`, in words."""
    return _holder(path)[0]


def _awaited(path: Path, what: str, patience: float) -> AbstractContextManager[Any]:
    start, said = time.monotonic(), False
    while True:
        try:
            return acquire(path, _SAY_AFTER)
        except Taken:
            by, stopped = _holder(path)
        if (stopped and said and patience < math.inf) or time.monotonic() - start > patience:
            raise TryAgain(f"{what} is locked by {by}; nothing was changed, the same command goes on then")
        if not said:
            said = True
            tell_aside(f"waiting: {what} is locked by {by}")


def _holder(path: Path) -> tuple[str, bool]:
    """Who holds a lock, in words, and whether that process is stopped; of Linux alone is it known."""
    try:
        inode = str(path.stat().st_ino)
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        pids = [int(row[4]) for row in rows if row[1] != "->" and row[5].rpartition(":")[2] == inode]
        pid = next(pid for pid in pids if pid != os.getpid())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, IndexError, StopIteration):
        return "another process", False
    if state in "Tt":
        return f"process {pid}, which is stopped (kill -CONT {pid} lets it go on, kill -9 {pid} ends it)", True
    return f"process {pid}", False
