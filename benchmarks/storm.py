"""Sweeps under a storm of kills: every run has to be done once, its rows whole, whatever dies at whatever moment.

    OMP_NUM_THREADS=1 python benchmarks/storm.py [--storms 20] [--runs 200] [--seconds 120] [--seed 0]

A storm is a sweep of tiny runs on two lanes. At random moments something is killed with SIGKILL: a lane, a lane
with its run, the process that runs are forked from, or everything; after each kill, `simplify retry`. When its time
is over, and ten kills are done, the rest is trained in peace. A line a storm, with a hash of all final losses, which
is the same for each; the exit code is 1 where a run is missing, was trained beside another one on its lane, was done
twice, has a row twice or not at all, or another loss than in the storm before.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from simplify.program import program
from simplify.runs.facts import is_training, read_facts
from simplify.runs.folders import read_folders
from simplify.runs.process import process
from simplify.runs.queue import Queue

ASYNCIO = Path(os.__file__).parent / "asyncio"
STEPS = 20
SETTINGS = (
    *("data=text", f"data.path={ASYNCIO}", "data.pattern=*.py", "data.vocab_size=384", "data.val_fraction=0.3"),
    *("model.n_layers=2", "model.d_model=32", "model.n_heads=2", "model.d_ff=64", "model.seq_len=16"),
    *("train.batch_tokens=128", f"train.steps={STEPS}", "train.val_sequences=16", "train.log_every=1"),
    *("train.checkpoint_every=7", "wandb.mode=disabled", "cluster.cpu_threads=1"),
)
LEAST = 10  # kills, however slow the machine
KINDS = ("lane", "lane and run", "nursery", "all")


@dataclass
class Storm:
    """One sweep in its own run root, and what was seen of it."""

    root: Path
    dice: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    together: set[str] = field(default_factory=set)  # runs that were trained beside another one on their lane
    over: threading.Event = field(default_factory=threading.Event)

    def simplify(self, *words: str) -> str:
        """The command line, to its end."""
        env = {**os.environ, "SIMPLIFY_RUNS": str(self.root), "SIMPLIFY_CACHE": str(self.root.parent / "cache")}
        done = subprocess.run(program(*words), env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode not in (0, 75):
            print(f"simplify {words[0]} ended with code {done.returncode}: {done.stdout}{done.stderr}", flush=True)
        return done.stdout

    def processes(self, module: str = "") -> list[int]:
        """What lives in the background of this run root and has loaded `module`: lanes, nurseries, runs."""
        found: list[int] = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
                if str(self.root) in words and module in words and process(int(entry.name))["born"]:
                    found.append(int(entry.name))
        return found

    def strike(self, kind: str) -> None:
        """Kill what `kind` says, as it is at this moment."""
        queue = Queue(self.root)
        lanes, claims = list(queue.lanes().values()), list(queue.claims().values())
        runs = {claim["child"]["pid"] for claim in claims if claim.get("child")}
        if kind == "all":
            targets = self.processes()
        elif kind == "nursery":
            forks = [pid for pid in self.processes("simplify.cli.nursery") if pid not in runs]
            targets = [self.dice.choice(forks)] if forks else []
        else:
            lane = self.dice.choice(lanes) if lanes else None
            targets = [lane["pid"]] if lane else []
            if lane and kind == "lane and run":
                targets += [c["child"]["pid"] for c in claims if c.get("child") and c.get("lane") == lane["lane"]]
        self.kills[kind] += bool(targets)
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def look(self) -> None:
        """Until the storm is over: which runs are trained at the same time on one lane."""
        while not self.over.wait(0.1):
            begun: dict[str, list[str]] = {}
            for folder in read_folders(self.root).runs.values():
                if not (folder / "done.json").exists() and is_training(facts := read_facts(folder), folder):
                    begun.setdefault(str((facts.attempt or {}).get("lane")), []).append(folder.name)
            self.together.update(name for names in begun.values() if len(names) > 1 for name in names)

    def rage(self, runs: int, seconds: float) -> None:
        """The sweep, the kills, and the rest in peace."""
        self.simplify("sweep", *SETTINGS, f"seed=range(0,{runs})", "cluster.lanes=2", "--yes")
        end = time.monotonic() + seconds
        while (time.monotonic() < end or self.kills.total() < LEAST) and Queue(self.root).waiting():
            time.sleep(self.dice.choice((self.dice.uniform(0, 2), self.dice.uniform(2, 12))))
            self.strike(self.dice.choice(KINDS))
            self.simplify("retry")
        for _ in range(10):
            while self.processes():
                time.sleep(0.5)
            if len(list(self.root.glob("*/done.json"))) == runs:
                return
            self.simplify("retry")

    def wrong(self, runs: int, results: dict[str, float]) -> list[str]:
        """What is not as it should be; `results` are the losses of earlier storms."""
        found = [f"{name}: trained beside another run of its lane" for name in sorted(self.together)]
        folders = read_folders(self.root).runs
        if len(folders) != runs:
            found.append(f"{len(folders)} folders in place of {runs}")
        for run_id, folder in folders.items():
            facts = read_facts(folder)
            if facts.done is None:
                found.append(f"{folder.name}: not done")
                continue
            steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
            if steps != list(range(1, STEPS + 1)):
                found.append(f"{folder.name}: rows {steps}")
            ends = [attempt.get("how") for attempt in (facts.job or {}).get("attempts", [])]
            if ends.count("done") > 1:
                found.append(f"{folder.name}: done {ends.count('done')} times")
            if results.setdefault(run_id, facts.done["val/loss"]) != facts.done["val/loss"]:
                found.append(f"{folder.name}: another loss than in an earlier storm")
        return found


def main() -> None:
    """Storm after storm."""
    parser = argparse.ArgumentParser(description="sweeps under a storm of kills")
    for name, value in (("storms", 20), ("runs", 200), ("seconds", 120), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    results: dict[str, float] = {}
    bad = 0
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        for number in range(given.seed, given.seed + given.storms):
            storm = Storm(Path(folder) / f"storm-{number}", random.Random(number))
            start = time.monotonic()
            watcher = threading.Thread(target=storm.look)
            watcher.start()
            storm.rage(given.runs, given.seconds)
            storm.over.set()
            watcher.join()
            wrong = storm.wrong(given.runs, results)
            bad += bool(wrong)
            kills = ", ".join(f"{kind} {storm.kills[kind]}" for kind in KINDS)
            again = sum(
                len((read_facts(f).job or {}).get("attempts", [])) - 1 for f in read_folders(storm.root).runs.values()
            )
            done = sum((f / "done.json").exists() for f in read_folders(storm.root).runs.values())
            losses = hashlib.sha256(json.dumps(sorted(results.items())).encode()).hexdigest()[:8]
            print(
                f"storm {number}: {done} of {given.runs} done, {again} begun again, {storm.kills.total()} kills "
                f"({kills}), losses {losses}, {time.monotonic() - start:.0f} s: "
                f"{'; '.join(wrong[:5]) if wrong else 'right'}",
                flush=True,
            )
    print(f"{given.storms - bad} of {given.storms} storms right")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
