"""Which process does something, and whether it still lives.

A pid alone proves nothing: it is used again, soon after a reboot. With the boot and the moment at
which the process was born it names one process for ever. Of another machine only a heartbeat is
known: a file that its process touches while it lives.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BEAT_EVERY = 10.0  # seconds between two touches of a heartbeat
SILENT_AFTER = 120.0  # seconds; a shared disk may show another machine's times half a minute late


def this_process() -> dict[str, Any]:
    """What names this process: host, pid, and when it was born."""
    return {"host": socket.gethostname(), **process(os.getpid())}


def process(pid: int) -> dict[str, Any]:
    """What names a process of this host."""
    return {"pid": pid, "born": _born(pid)}


def is_local(record: Mapping[str, Any]) -> bool:
    """Whether a process is, or was, of this host."""
    return record.get("host") == socket.gethostname()


def is_alive(record: Mapping[str, Any], heartbeat: Path | None = None) -> bool:
    """Whether the process in `record` (see `this_process`) lives.

    On another host it counts as alive while its heartbeat was touched within SILENT_AFTER seconds.
    """
    if is_local(record):
        born = _born(int(record["pid"]))
        return born is not None and born == record.get("born")
    silence = silent_for(heartbeat) if heartbeat else None
    return silence is not None and silence < SILENT_AFTER


def silent_for(heartbeat: Path) -> float | None:
    """Seconds since the last heartbeat; None if there never was one."""
    try:
        with open(heartbeat, "rb") as file:  # opened: NFS looks anew at what it has cached
            return max(time.time() - os.fstat(file.fileno()).st_mtime, 0.0)
    except OSError:
        return None


@contextmanager
def beating(heartbeat: Path) -> Iterator[None]:
    """Touch `heartbeat` every BEAT_EVERY seconds for the length of the `with` block, from a thread."""
    over = threading.Event()
    with contextlib.suppress(OSError):  # a full disk is the training's to report
        heartbeat.touch()

    def beat() -> None:
        while not over.wait(BEAT_EVERY):
            with contextlib.suppress(OSError):
                os.utime(heartbeat)  # unlike touch it does not bring back a file that was taken away

    thread = threading.Thread(target=beat, daemon=True, name="heartbeat")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _born(pid: int) -> str | None:
    """The boot and the moment at which a process of this host was born; None if there is no such process.

    A zombie has ended; only its parent has not looked yet.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _born_without_proc(pid) if not Path("/proc/self/stat").exists() else None
    state, *fields = stat.rpartition(b")")[2].split()  # the name before may hold spaces and brackets
    return None if state in (b"Z", b"X") else f"{boot[:8]}-{int(fields[18])}"


def _born_without_proc(pid: int) -> str | None:
    words = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    state, _, born = done.stdout.strip().partition(" ")
    return born.strip() if born and not state.startswith("Z") else None
