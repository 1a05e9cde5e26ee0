"""Tuned sweeps under a storm of kills: the same runs, losses and choices as one that was left alone.

    OMP_NUM_THREADS=1 python benchmarks/tuned_storm.py [--storms 10] [--seconds 60] [--seed 0]

First a tuned sweep of two blocks on two lanes in peace; then storms: at random moments something is killed with
SIGKILL: a lane, a lane with its run, the process that runs are forked from, the process that decides what comes next,
or everything; after each kill `simplify retry`. When its time is over, and six kills are done, the rest goes on in
peace. A line a storm; the exit code is 1 where a run is missing or one too many, a loss or a choice is another one, or
a run was done twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from storm import SETTINGS, Storm

from simplify.runs.facts import read_facts
from simplify.runs.folders import read_folders
from simplify.runs.studies import decisions_path, study_names

TUNED = """
grid: {block: [pre_ln, sas], seed: [0, 1]}
tune: {over: {optimiser.lr: [4.0e-3, 1.6e-2]}, seeds: [1000, 1001, 1002], edge: 1, gap: 0.2}
"""
LEAST = 6  # kills, however slow the machine
KINDS = ("lane", "lane and run", "nursery", "next", "all")


class TunedStorm(Storm):
    """One tuned sweep in its own run root."""

    def begin(self) -> None:
        """Ask for it."""
        file = self.root.parent / "tuned.yaml"
        file.write_text(TUNED)
        self.simplify("sweep", str(file), *SETTINGS, "cluster.lanes=2", "--yes")

    def strike(self, kind: str) -> None:
        """Kill what `kind` says; `next`: who decides what comes next, waited for a while."""
        if kind != "next":
            super().strike(kind)
            return
        end = time.monotonic() + 10
        while time.monotonic() < end and not self.is_over():
            for pid in self.processes("\0advance\0"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills[kind] += 1
                    return
            time.sleep(0.02)

    def phase(self) -> str:
        """How far it is, by its newest decision."""
        lines = [line for line in self.decisions() if line.get("phase")]
        return lines[-1]["phase"] if lines else ""

    def decisions(self) -> list[dict[str, Any]]:
        """The decisions, without torn lines."""
        found: list[dict[str, Any]] = []
        for name in study_names(self.root):
            with contextlib.suppress(OSError):
                for line in decisions_path(self.root, name).read_text().splitlines():
                    with contextlib.suppress(ValueError):
                        found.append(json.loads(line))
        return found

    def is_over(self) -> bool:
        """Whether the final runs are asked for and every run is done."""
        asked = {run["run_id"] for line in self.decisions() for run in line.get("added", [])}
        return self.phase() == "final" and len(list(self.root.glob("*/done.json"))) == len(asked)

    def rage(self, runs: int, seconds: float) -> None:
        """The kills, and the rest in peace; `runs` is not asked for: a tuned sweep says itself how many."""
        del runs
        self.begin()
        end = time.monotonic() + seconds
        while (time.monotonic() < end or self.kills.total() < LEAST) and not self.is_over():
            time.sleep(self.dice.uniform(0, 6))
            self.strike(self.dice.choice(KINDS))
            self.simplify("retry")
        for _ in range(10):
            while self.processes():
                time.sleep(0.5)
            if self.is_over():
                return
            self.simplify("retry")

    def table(self) -> dict[str, Any]:
        """What it came to: losses by run, and what each block has tried and chosen."""
        losses = {
            run_id: (read_facts(path).done or {}).get("val/loss")
            for run_id, path in read_folders(self.root).runs.items()
        }
        last = [line for line in self.decisions() if line.get("phase")][-1]
        return {"losses": losses, "chosen": last["choices"], "phase": last["phase"]}

    def twice(self) -> list[str]:
        """Runs that were done twice."""
        jobs = {path.name: (read_facts(path).job or {}) for path in read_folders(self.root).runs.values()}
        return [name for name, job in jobs.items() if [a.get("how") for a in job.get("attempts", [])].count("done") > 1]


def main() -> None:
    """Storm after storm."""
    parser = argparse.ArgumentParser(description="tuned sweeps under a storm of kills")
    for name, value in (("storms", 10), ("seconds", 60), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tuned-storm-") as folder:
        calm = TunedStorm(Path(folder) / "calm", random.Random(0))
        calm.begin()
        while calm.processes():
            time.sleep(0.5)
        wanted = calm.table()
        print(f"in peace: {len(wanted['losses'])} runs, {wanted['phase']}", flush=True)
        for number in range(given.seed, given.seed + given.storms):
            storm, start = TunedStorm(Path(folder) / f"storm-{number}", random.Random(number)), time.monotonic()
            storm.rage(0, given.seconds)
            wrong = [f"{name}: done twice" for name in storm.twice()]
            wrong += [f"{key}: not as in peace" for key, value in storm.table().items() if value != wanted[key]]
            bad += bool(wrong)
            kills = ", ".join(f"{kind} {storm.kills[kind]}" for kind in KINDS)
            print(
                f"storm {number}: {storm.kills.total()} kills ({kills}), {time.monotonic() - start:.0f} s: "
                f"{'; '.join(wrong[:5]) or 'right'}",
                flush=True,
            )
    print(f"{given.storms - bad} of {given.storms} storms right")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
