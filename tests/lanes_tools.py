"""What the tests of lanes share: sweeps in the background, and the certainty that nothing outlives a test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from forks import start

from simplify.runs.process import process

Simplify = Callable[..., str]


@pytest.fixture
def simplify(here: Path) -> Iterator[Simplify]:
    """Run the command line to its end in a process of its own; at the end kill what was left in the background."""

    yield command_line(here, {**os.environ, "PYTHONPATH": str(ROOT)})
    for pid in background(here):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def command_line(here: Path, base: dict[str, str]) -> Simplify:
    """The command line in processes of their own, run to their ends with the variables `base`."""

    def run(*words: str, code: int = 0, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
        whole = {**base, **(env or {})}
        null, pipe, both = subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT
        with start(words, cwd or here, whole, stdin=null, stdout=pipe, stderr=both) as process:
            try:
                out, _ = process.communicate(timeout=180)
            except BaseException:
                process.kill()
                raise
        assert process.returncode == code, out
        assert words[0] in ("why", "logs") or "Traceback" not in out, out
        return out

    return run


def background(here: Path) -> list[int]:
    """Processes whose command line names this test's own folder: lanes, their controllers, their runs."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(here).encode() in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def kill_all(here: Path) -> None:
    """kill -9 of everything in the background at one moment: held first, so that nothing starts another meanwhile."""
    held: set[int] = set()
    looks = 0  # one that was just being started has no command line for a moment
    while looks < 2:
        new = set(background(here)) - held
        for pid in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        held |= new
        looks = 0 if new else looks + 1
        time.sleep(0.05)
    for pid in held:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: all(process(pid)["born"] is None for pid in held))  # a busy machine takes its time


def states(simplify: Simplify, *words: str) -> dict[str, str]:
    """The state of each run by its folder's name."""
    return {run["name"]: run["state"] for run in status(simplify, *words)}


def status(simplify: Simplify, *words: str) -> list[dict[str, Any]]:
    """What `status --json` says."""
    return json.loads(simplify("status", "--json", *words))["runs"]


def until(what: Callable[[], Any], seconds: float = 180) -> Any:
    """The first true answer; fails if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain")


def job(folder: Path) -> dict[str, Any]:
    """A run's job.json."""
    return json.loads((folder / "job.json").read_text())


def lanes(here: Path) -> dict[str, dict[str, Any]]:
    """The lanes that say they live, by name."""
    return {path.stem: json.loads(path.read_text()) for path in (here / "runs" / ".lanes").glob("*.json")}


def folders(here: Path) -> list[Path]:
    """All run folders."""
    return sorted(path for path in (here / "runs").glob("*-*") if not path.name.startswith("."))
