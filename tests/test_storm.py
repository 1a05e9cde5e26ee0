"""A small storm: lanes, runs and the processes that runs are forked from are killed at random moments.

The real lanes, queue and forks; only the training is a sleep. benchmarks/storm.py has the
large form, of real runs.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
from conftest import ROOT
from lanes_tools import background, until

from simplify.dispatch.lane import lane_name, work
from simplify.runs.facts import read_facts
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Job, Queue
from simplify.runs.state import Board

RUNS, SECONDS = 12, 4.0
IDS = [f"{number:010x}" for number in range(RUNS)]
# A package of our name that runs come from: it steps aside for the real one, and trains nothing.
STUB = f"""
import math, os, random, sys, time
from pathlib import Path

def real():
    sys.path[0] = {str(ROOT)!r}
    for name in [name for name in sys.modules if name.split(".")[0] == "simplify"]:
        del sys.modules[name]

def train(words):
    from simplify.errors import AlreadyRunning
    from simplify.runs.facts import is_training, read_facts
    from simplify.runs.folder import RunFolder
    from simplify.runs.queue import LANE, Queue
    time.sleep(0.1 * random.random())  # a lane may die before it begins
    path, lane = Path(words[1]), words[2]
    queue = Queue(path.parents[1], math.inf)
    job = queue.begin(path, os.environ.pop(LANE))
    if job is None:
        sys.exit(75)
    folder = RunFolder(queue.root / job.name, job.run_id)
    try:
        with folder.lock():
            if folder.done() is not None:
                return
            folder.begin_attempt(0, {{"lane": lane}})
            for other in queue.root.glob("sas-*"):
                facts = read_facts(other)
                beside = other != folder.path and is_training(facts, other) and facts.attempt["lane"] == lane
                if beside:
                    (folder.path / f"beside {{other.name}}").touch()
            time.sleep(0.4)
            folder.end("done", {{"step": 1}})
            folder.end_attempt("done")
    except AlreadyRunning:
        sys.exit(75)
"""
COMMAND_LINE = "import stub, sys\ndef main():\n    stub.real()\n    stub.train(sys.argv[1:])\n"
NURSERY = """
import stub
def main():
    stub.time.sleep(0.4 * stub.random.random())  # and while the modules are loaded
    stub.real()
    import simplify.cli.nursery as nursery
    nursery._NEEDED = ()
    stub.train(nursery._in_a_run())
"""


def retry(queue: Queue, jobs: dict[str, Job]) -> None:
    """What `simplify retry` does: failed and lost runs into the queue, and lanes that are not there."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    board = Board(queue.root)
    queue.add([job for i, job in jobs.items() if board.state(i, queue.root / job.name) in ("failed", "lost")])
    for number in range(2):
        if lane_name(number) not in queue.lanes() and not os.fork():
            with contextlib.suppress(BaseException):
                work(str(queue.root), number, "cpu", {})
            os._exit(0)


def targets(queue: Queue, kind: str, dice: random.Random) -> list[int]:
    """The processes to kill."""
    lanes = list(queue.lanes().values())
    runs = {c["child"]["pid"]: c["lane"] for c in queue.claims().values() if c.get("child")}
    if kind == "nursery":
        return [pid for pid in background(queue.root) if pid not in runs][:1]
    if kind == "all":
        return [*(lane["pid"] for lane in lanes), *background(queue.root)]
    if not lanes:
        return []
    lane = dice.choice(lanes)
    with_it = [pid for pid, name in runs.items() if name == lane["lane"]] if kind == "lane and run" else []
    return [lane["pid"], *with_it]


@pytest.mark.parametrize("seed", [int(os.environ.get("STORM", 0))])
def test_every_run_is_done_once(here: Path, seed: int) -> None:
    code, root, dice = here / "code", here / "runs", random.Random(seed)
    (code / "simplify" / "cli").mkdir(parents=True)
    root.mkdir()
    files = {"stub": STUB, "simplify/__init__": "", "simplify/cli/__init__": COMMAND_LINE}
    for name, text in {**files, "simplify/cli/nursery": NURSERY}.items():
        (code / f"{name}.py").write_text(text)
    frozen = {"config": {}, "command": [], "cwd": str(here), "code": str(code), "cache": str(here)}
    jobs = {run_id: Job(run_id=run_id, name=f"sas-nano-{run_id}", **frozen) for run_id in IDS}
    queue = Queue(root)
    queue.add(list(jobs.values()))
    retry(queue, jobs)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and queue.waiting():
        time.sleep(dice.uniform(0, 0.4))
        for pid in targets(queue, dice.choice(("lane", "lane", "lane and run", "nursery", "all")), dice):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        retry(queue, jobs)

    def over() -> bool:
        if not queue.lanes():
            retry(queue, jobs)
        return not queue.waiting() and not queue.lanes() and not background(root)

    until(over, 120)
    for job in jobs.values():
        folder = RunFolder(root / job.name, job.run_id)
        assert folder.done() == {"ended": (folder.done() or {})["ended"], "step": 1}, job
        ends = [attempt.get("how") for attempt in folder.attempts()]
        assert ends.count("done") <= 1 and not list(folder.path.glob("beside*")), (job.name, folder.attempts())
        assert read_facts(folder.path).error is None
