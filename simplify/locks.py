"""Locks of the kernel, shared by processes: whoever waits says for whom, and hears Ctrl-C meanwhile."""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from simplify.display import tell_aside
from simplify.errors import RunFolderError, TryAgain

_SAY_AFTER = 3.0  # seconds
PATIENCE = 60.0  # seconds, of somebody at a terminal
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def held(path: Path, what: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock `path`, which guards `what`.

    A holder that is stopped is not waited for, and no other one longer than `patience` seconds: TryAgain. With
    math.inf any is waited for. Raises RunFolderError on a disk that has no locks, OSError where it is no file.
    """
    lock = FileLock(path)
    _wait(lock, path, what, patience)
    try:
        yield
    finally:
        lock.release()


def _wait(lock: FileLock, path: Path, what: str, patience: float) -> None:
    start, said = time.monotonic(), False
    while True:
        try:
            lock.acquire(timeout=_SAY_AFTER)
            return
        except Timeout:
            holder, stopped = _holder(path)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise RunFolderError(f"{path}: this disk has no locks ({error.strerror}); use another one") from None
        if (stopped and said and patience < math.inf) or time.monotonic() - start > patience:
            raise TryAgain(f"{what} is locked by {holder}; nothing was changed, the same command goes on then")
        if not said:
            said = True
            tell_aside(f"waiting: {what} is locked by {holder}")


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
