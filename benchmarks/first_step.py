"""How long `simplify train` takes to its first step, and a lane from one run's last step to the next one's first.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/first_step.py [ROUNDS] [--runs N] [--against DIR]

With --against another checkout is measured in turn with this one, A B A B, and each ratio is of two neighbours.
A step is known by its line in metrics.jsonl, seen from outside; CPU time is that of the whole command, or of a
lane with all that it started. The second table is of runs that carry marks; they are not among the first's.
Read ratios, and CPU rather than wall time: machines are shared and noisy.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
WORDS = ["model=gpt_nano", "train.val_sequences=8", "train.log_every=1", "train.precision=fp32", "wandb.mode=disabled"]
STEPS = 8  # of each run in the lane
# So small that a run in the lane costs what is around its steps.
SMALL = ["model.n_layers=2", "model.d_model=32", "model.n_heads=2", "model.d_ff=64", "model.seq_len=16"]
Figures = dict[str, list[float]]

# Run in the measured checkout: the words of a sweep into a queue, then a lane here until it is empty.
LANE = """
import json, sys
from pathlib import Path
from simplify.compose import compose_run
from simplify.dispatch.asked import Asked, job_of
from simplify.dispatch.here import find_folder, identity, label, open_corpus, run_id
from simplify.dispatch.lane import work
from simplify.runs.queue import Queue

root, runs, words = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
jobs = []
for seed in range(runs):
    config = compose_run([*words, f"seed={seed}"])
    fingerprint = open_corpus(config.data).facts.fingerprint
    folder = find_folder(root, run_id(config, fingerprint), label(config))
    jobs.append(job_of(folder, config, root, Asked(["benchmark"])))
Queue(root).add(jobs)
work(str(root), 0, "cpu", {})
"""

# Run in the measured checkout: a command with marks, as seconds from the start of the process that asked for it.
MARKS = """
import builtins, json, sys, time

start, out = float(sys.argv[1]), sys.argv[2]
spent, depth, kind = {}, 0, None
spent["interpreter"] = time.time() - start
real = builtins.__import__
PLACES = [("simplify.cli.train", "compose_run"), ("simplify.dispatch.here", "open_corpus"),
    ("simplify.compose", "compose_run"), ("simplify.dispatch.here", "provenance"),
    ("simplify.training.trainer", "build_model"), ("simplify.training.trainer", "make_optimiser"),
    ("simplify.training.trainer", "Trainer.step")]
done = set()
stack = []

def timed(label, work):
    def wrapper(*args, **kwargs):
        begin, inner = time.perf_counter(), sum(spent.values())
        try:
            return work(*args, **kwargs)
        finally:  # what is imported in it is counted there
            took = time.perf_counter() - begin - (sum(spent.values()) - inner)
            spent[label] = spent.get(label, 0.0) + took
            if label == "Trainer.step" and "first step" not in done:
                done.add("first step")
                spent["the rest"] = time.time() - start - sum(spent.values())
                json.dump(spent, open(out, "w"))
    return wrapper

def look():
    for module, name in PLACES:
        at = sys.modules.get(module)
        owner, _, last = name.rpartition(".")
        if at is None or (module, name) in done or not hasattr(at, owner or last):
            continue
        place = getattr(at, owner) if owner else at
        if getattr(getattr(place, last), "__name__", "") != "wrapper":
            setattr(place, last, timed(name, getattr(place, last)))
        done.add((module, name))

def marked(name, globals=None, locals=None, fromlist=(), level=0):
    global kind
    outer, top = kind, name.split(".")[0] if not level else ""
    if top == "torch" and name in sys.modules or outer == "import torch" and top != "torch":
        return real(name, globals, locals, fromlist, level)
    want = "import torch._dynamo" if name.startswith("torch._dynamo") else "import torch" if top == "torch" else (
        outer or "import the rest")
    if outer == want or (outer or "").startswith("import torch"):
        return real(name, globals, locals, fromlist, level)
    begin, inner, kind = time.perf_counter(), sum(spent.values()), want
    try:
        return real(name, globals, locals, fromlist, level)
    finally:
        kind = outer
        spent[want] = spent.get(want, 0.0) + time.perf_counter() - begin - (sum(spent.values()) - inner)
        look()

builtins.__import__ = marked
sys.argv = ["simplify", *sys.argv[3:]]
from simplify.cli import main
main()
"""


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", nargs="?", type=int, default=7)
    parser.add_argument("--runs", type=int, default=6, help="runs of a lane")
    parser.add_argument("--against", type=Path, help="another checkout")
    asked = parser.parse_args()
    codes = {"this": HERE, **({"against": asked.against.resolve()} if asked.against else {})}
    figures: dict[str, Figures] = {name: {} for name in codes}
    shares: dict[str, Figures] = {name: {} for name in codes}
    with tempfile.TemporaryDirectory() as folder:
        for name, code in codes.items():  # the corpus, and Python's compiled files
            measure_train(code, Path(folder) / f"warm-{name}")
        for number in range(asked.rounds):
            for name, code in codes.items():
                place = Path(folder) / f"{number}-{name}"
                add(figures[name], measure_train(code, place / "one"))
                add(figures[name], measure_lane(code, place / "lane", asked.runs))
                add(shares[name], measure_shares(code, place / "marks"))
    say("", figures)
    say("where the time to the first step goes", shares)


def measure_train(code: Path, folder: Path) -> dict[str, float]:
    """A run of one step, in its own process."""
    folder.mkdir(parents=True)
    start = time.perf_counter()
    process = begin(code, folder, "-m", "simplify", "train", *WORDS, "train.steps=1")
    seen = Watcher(folder / "runs")
    cpu = ended(process)
    (lines,) = seen.stop().values()
    return {"train: first step": lines[0] - start, "train: CPU": cpu, "train: all": time.perf_counter() - start}


def measure_lane(code: Path, folder: Path, runs: int) -> dict[str, float]:
    """A lane of `runs` short runs of a tiny model: the median time between two of them, and the CPU time of each."""
    folder.mkdir(parents=True)
    root = folder / "runs"
    process = begin(
        code, folder, "-c", LANE, str(root), str(runs), *WORDS, *SMALL, "train.batch_tokens=128", f"train.steps={STEPS}"
    )
    seen = Watcher(root)
    cpu = ended(process)
    trained = sorted(seen.stop().values())
    gaps = [after[0] - before[-1] for before, after in itertools.pairwise(trained)]
    return {"lane: between two runs": statistics.median(gaps), "lane: CPU a run": cpu / runs}


def measure_shares(code: Path, folder: Path) -> dict[str, float]:
    """Seconds of the parts of the way to the first step."""
    folder.mkdir(parents=True)
    words = [str(time.time()), str(folder / "marks.json"), "train", *WORDS, "train.steps=1"]
    ended(begin(code, folder, "-c", MARKS, *words))
    return json.loads((folder / "marks.json").read_text())


class Watcher:
    """Notes when each line of each metrics.jsonl below a run root was first seen, to 2 ms."""

    def __init__(self, root: Path) -> None:
        self._root, self._over = root, threading.Event()
        self._seen: dict[Path, list[float]] = {}
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.002):
            self._read()

    def _read(self) -> None:
        for path in self._root.glob("*-*/metrics.jsonl"):
            now, lines = time.perf_counter(), path.read_bytes().count(b"\n")
            known = self._seen.setdefault(path, [])
            known.extend([now] * (lines - len(known)))

    def stop(self) -> dict[Path, list[float]]:
        """The times of the lines."""
        self._over.set()
        self._thread.join()
        self._read()
        return self._seen


def begin(code: Path, folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Python with these words, in that folder and on that checkout."""
    env = {**os.environ, "PYTHONPATH": str(code)}
    return subprocess.Popen([sys.executable, *words], cwd=folder, env=env, stdout=subprocess.DEVNULL)


def ended(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process and of what it has waited for."""
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, process.args
    return usage.ru_utime + usage.ru_stime


def add(figures: Figures, more: dict[str, float]) -> None:
    for name, value in more.items():
        figures.setdefault(name, []).append(value)


def middle(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):7.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def say(title: str, figures: dict[str, Figures]) -> None:
    """A table of medians; with two checkouts the ratio of this one to the other, round by round."""
    print(f"{title or 'seconds, median (lowest to highest)':40}" + "".join(f"{name:>24}" for name in figures))
    for name in dict.fromkeys(name for one in figures.values() for name in one):
        columns = [one.get(name, []) for one in figures.values()]
        line = f"{name:40}" + "".join(f"{middle(c) if c else '-':>24}" for c in columns)
        if len(columns) == 2 and all(columns) and not title:
            line += f"   ratio {middle([a / b for a, b in zip(*columns, strict=True)]).strip()}"
        print(line)


if __name__ == "__main__":
    main()
