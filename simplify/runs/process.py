"""Which process does something, and whether it still lives.

A pid alone proves nothing: it is used again, soon after a reboot. With the boot and the moment at
which the process was born it names one process for ever. Of another machine only a heartbeat is
known: a file that its process touches while it lives, and in which it says where its work stands still.
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
_STILL_AFTER, _STILL_TIMES = 600.0, 10.0  # seconds, and times the longest part of the work so far


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


def still_since(heartbeat: Path) -> float | None:
    """When the work of a living process got on last, in seconds of the epoch; None: it gets on, or nobody knows."""
    try:
        return float(heartbeat.read_text())
    except (OSError, ValueError):  # as a rule nothing is written there
        return None


class Pulse:
    """Whether work gets on. A process that waits for a device, or for itself, lives and does nothing."""

    def __init__(self) -> None:
        self._last, self._longest, self._said = time.monotonic(), 0.0, ""

    def on(self) -> None:
        """A part of the work begins."""
        now = time.monotonic()
        self._last, self._longest = now, max(self._longest, now - self._last)

    def tell(self, heartbeat: Path) -> None:
        """Write into `heartbeat` since when nothing has got on, or that it does again. Raises OSError."""
        still = time.monotonic() - self._last
        patience = max(_STILL_AFTER, _STILL_TIMES * self._longest)
        said = (self._said or f"{time.time() - still:.0f}") if still > patience else ""
        if said != self._said:
            with open(heartbeat, "r+", encoding="ascii") as file:  # it brings back no file that was taken away
                file.truncate()
                file.write(said)
            self._said = said


@contextmanager
def beating(heartbeat: Path, pulse: Pulse | None = None) -> Iterator[None]:
    """Touch `heartbeat` every BEAT_EVERY seconds for the length of the `with` block, from a thread.

    With a `pulse` the file is empty, or says since when there was none.
    """
    over = threading.Event()
    with contextlib.suppress(OSError):  # a full disk is the training's to report
        heartbeat.touch()
        if pulse is not None:
            os.truncate(heartbeat, 0)  # an earlier attempt's word

    def beat() -> None:
        while not over.wait(BEAT_EVERY):
            with contextlib.suppress(OSError):
                os.utime(heartbeat)  # unlike touch it does not bring back a file that was taken away
                if pulse is not None:
                    pulse.tell(heartbeat)

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
