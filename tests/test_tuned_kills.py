"""A tuned sweep on real lanes, killed in each phase, comes to what one comes to that is left alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

from conftest import TINY
from lanes_tools import Simplify, background, kill_all, lanes, simplify, until

from simplify.runs.files import read_json
from simplify.runs.store import RunStore
from simplify.runs.studies import decisions_path, study_names

assert simplify  # a fixture
TUNED = """
grid: {block: [pre_ln, sas], seed: [0]}
tune: {over: {optimiser.lr: [4.0e-3, 1.6e-2]}, seeds: [1000], edge: 0}
"""
WORDS = ["tuned.yaml", *TINY, "train.steps=5"]


def table(root: Path) -> dict[str, Any]:
    """What a root's tuned sweep came to: the loss of each run, and each block's last choice."""
    (name,) = study_names(root)
    lines = [json.loads(line) for line in decisions_path(root, name).read_text().splitlines() if line.endswith("}")]
    chosen = [line["choices"] for line in lines if line.get("phase")][-1]
    losses = {run.run_id: (run.facts.done or {})["val/loss"] for run in RunStore(root).runs()}
    attempts = [(read_json(path) or {})["attempts"] for path in root.glob("*/job.json")]
    assert len(attempts) == len(losses) == 6
    return {"losses": losses, "chosen": {one["arm"]: (one["chosen"], one["tried"]) for one in chosen}}


class Killer(threading.Thread):
    """Kills the first process that decides what comes next, as soon as a lane has called it."""

    def __init__(self, here: Path) -> None:
        super().__init__(daemon=True)
        self._here, self.killed = here, 0

    def run(self) -> None:
        """Until one is killed."""
        while not self.killed:
            for pid in background(self._here):
                with contextlib.suppress(OSError):
                    if b"\0advance\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, signal.SIGKILL)
                        self.killed = pid
            time.sleep(0.02)


def test_killed_in_each_phase(simplify: Simplify, spawn: Callable[..., Popen[str]], here: Path) -> None:
    (here / "tuned.yaml").write_text(TUNED)
    root, killer = here / "runs", Killer(here)
    asking = spawn("sweep", *WORDS)
    until(lambda: study_names(root) and decisions_path(root, study_names(root)[0]).exists(), 60)
    asking.kill()  # decided, and nothing begun or some of it
    asking.wait()
    kill_all(here)
    killer.start()
    simplify("sweep", *WORDS)
    with contextlib.suppress(ProcessLookupError):
        for lane in until(lambda: lanes(here)).values():
            os.kill(lane["pid"], signal.SIGKILL)
    simplify("retry")
    until(lambda: killer.killed)  # the lane calls it once more
    kill_all(here)
    simplify("retry")
    simplify("watch", "tuned.yaml")
    stormy = table(root)
    root.rename(here / "stormy")
    simplify("sweep", *WORDS, "--watch")
    assert table(here / "runs") == stormy
    shown = simplify("report", "tuned.yaml")
    assert "each block: 2 rates from 0.004 to 0.016, 1 seed, 2 runs; chosen on seed 1000; verdict on seed 0" in shown
    assert json.loads((here / "report" / "report.json").read_text())["tuning"]["phase"] == "done"
