"""Starts lanes through submitit, from a process of their own session: no shell's end reaches them.

The only module that knows submitit. `start_lanes` is for the command line; `main` is the program
that it starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from simplify.display import tell
from simplify.machine import VISIBLE, Slot
from simplify.program import environment_of_a_child, heed_signals, import_path, program
from simplify.runs.process import process, this_process
from simplify.runs.queue import Queue

_WAIT = 60.0  # seconds for the first lane to show itself: Python's start on a loaded machine with a slow disk
_WAIT_FOR_ALL = 5.0  # seconds: a lane that finds nothing to do is gone before we look
_ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")  # a traceback's last line
_WELL = "completed successfully"  # submitit's word
_YEARS = 60 * 24 * 365 * 5  # minutes: a lane ends by itself; submitit's own limit would be two


@dataclass(frozen=True)
class Started:
    """How many lanes were started, how many live now, and what went wrong."""

    started: int
    alive: int
    problem: str | None = None


def start_lanes(queue: Queue, slots: list[Slot]) -> Started:
    """See that as many lanes live as there are slots and runs for them; returns once they do.

    A lane that two sweeps start at the same moment leaves again: each has its number for itself.
    """
    host = this_process()["host"]
    alive, waiting = queue.lanes(), len(queue.waiting())
    missing = [number for number in range(len(slots)) if f"{host}-{number}" not in alive]
    missing = missing[: max(min(len(slots), waiting) - (len(slots) - len(missing)), 0)]
    if not missing:
        return Started(0, len(alive))
    folder = _log_folder(queue.root)
    folder.mkdir(parents=True, exist_ok=True)
    words = [json.dumps({"number": number, **asdict(slots[number])}) for number in missing]
    with open(folder / "launch.txt", "w", encoding="utf-8") as log:
        done = subprocess.run(
            program(str(queue.root), str(folder), *words, module="simplify.dispatch.launch"),
            cwd=queue.root,
            env={**environment_of_a_child(), "PYTHONPATH": import_path()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        )
    if done.returncode:
        return Started(0, len(alive), f"lanes could not be started; {folder / 'launch.txt'} has the reason")
    pids = [int(word) for word in (folder / "launch.txt").read_text(errors="replace").split() if word.isdecimal()]
    return _wait_for(queue, len(alive) + len(missing), pids, folder)


def _wait_for(queue: Queue, wanted: int, pids: list[int], folder: Path) -> Started:
    """Return once the lanes live whose controllers are `pids`, or have ended, with why they did."""
    start, processes = time.monotonic(), [process(pid) for pid in pids]
    while (waited := time.monotonic() - start) < _WAIT:
        over = not any(process(known["pid"])["born"] == known["born"] is not None for known in processes)
        alive = len(queue.lanes())
        if alive >= wanted or not queue.waiting() or (alive and (over or waited > _WAIT_FOR_ALL)):
            return Started(len(pids), alive)
        if over:
            return Started(len(pids), 0, _why_they_ended(queue, pids, folder))
        time.sleep(0.05)
    return Started(len(pids), 0, f"no lane shows itself after {_WAIT:.0f} s; their output is in {folder}")


def _why_they_ended(queue: Queue, pids: list[int], folder: Path) -> str | None:
    """By their own word, or by what they printed last; None: they found nothing that nobody trains already."""
    for said in queue.last_words().values():
        return f"ended at once: {said}"
    for path in (folder / f"{pid}_0_log.out" for pid in pids):
        with contextlib.suppress(OSError):
            lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
            errors = [line for line in lines if _ERROR.match(line)] or lines
            if errors and _WELL not in lines[-1]:
                return f"ended at once: {errors[-1][:300]}; {path} has the rest"
    return None


def _log_folder(root: Path) -> Path:
    """Where submitit keeps its files. It reads %j in a path as a job's number, so such a root cannot hold them."""
    if "%" not in str(root):
        return root / ".lanes" / "submitit"
    return Path(tempfile.gettempdir()) / f"simplify-lanes-{os.getuid()}"


def main() -> None:
    """Start the lanes that the command line names, and leave."""
    heed_signals()
    import submitit

    from simplify.dispatch.lane import work

    root, folder, *words = sys.argv[1:]
    for word in words:
        slot = json.loads(word)
        executor = submitit.LocalExecutor(folder)
        executor.update_parameters(timeout_min=_YEARS, tasks_per_node=1, stderr_to_stdout=True)
        # submitit empties the variable for the lane, which is to start other lanes with what the shell said
        shell = {VISIBLE: os.environ.get(VISIBLE)}
        job = executor.submit(work, root, slot["number"], slot["device"], slot["environment"], shell)
        tell(job.job_id)  # the pid of its controller
