"""Planning a large sweep and asking how a large run root stands.

    .venv/bin/python benchmarks/sweeps.py [RUNS] [HYDRA_COMPOSITIONS]

Planning: `simplify sweep ... --plan` as a process, and `make_plan` in this process beside the same points composed
one by one with Hydra's compose, which is what its --multirun does for each job. Status: `simplify status` as a process
over run folders copied from one real run. Medians of ROUNDS; peak memory of the process.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hydra import compose, initialize_config_dir

from simplify.choices import conf_dir
from simplify.sweep.plan import make_plan

ROUNDS = 5
PEAKS: dict[str, float] = {}  # MiB, by verb
MODEL = ["model.n_layers=2", "model.d_model=32", "model.n_heads=2", "train.steps=2", "wandb.mode=disabled"]
BLOCKS = ["pre_ln", "sas", "sas_p", "v_skipinit"]


def main() -> None:
    """Print all figures."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    compositions = int(sys.argv[2]) if len(sys.argv) > 2 else runs
    seeds = -(-runs // len(BLOCKS))
    points = [{"block": block, "seed": seed, "train.steps": 2} for seed in range(seeds) for block in BLOCKS][:runs]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        words = ["sweep", f"block={','.join(BLOCKS)}", f"seed=range(0,{seeds})", *MODEL, "--plan"]
        _simplify(*words)  # the corpus and the measured step, by a process with torch, are there from now on
        PEAKS.clear()
        print(f"{runs} runs, {compositions} compositions, medians of {ROUNDS} (lowest to highest)")
        _say("simplify sweep --plan, a process", _repeated(lambda: _simplify(*words)))
        ours = _repeated(lambda: _timed(lambda: make_plan(points)))
        _say("make_plan in this process", ours)
        theirs = _timed(lambda: _compose_with_hydra(points[:compositions])) / compositions * runs
        print(f"{'the same points by Hydra, one by one':42} {theirs:8.2f} s")
        print(f"{'ratio':42} {theirs / statistics.median(ours):8.0f}")
        _many_folders(runs)
        _say(f"simplify status, {runs} run folders", _repeated(lambda: _simplify("status")))
        _say(f"simplify status --json, {runs} run folders", _repeated(lambda: _simplify("status", "--json")))
        _say("python -c pass", _repeated(lambda: _timed(lambda: subprocess.run([sys.executable, "-c", "pass"]))))
        print("peak memory: " + ", ".join(f"{verb} {mib:.0f} MiB" for verb, mib in PEAKS.items() if verb != "train"))


def _many_folders(runs: int) -> None:
    """A real run, and copies of what `status` reads of it under other ids."""
    _simplify("train", *MODEL, "train.steps=20", "train.log_every=1")
    (real,) = Path("runs").glob("*-*")
    for number in range(runs - 1):
        run_id = f"{number:010x}"
        copy = real.with_name(f"{real.name.rpartition('-')[0]}-{run_id}")
        copy.mkdir()
        for name in ("done.json", "job.json", "metrics.jsonl", "heartbeat"):
            (copy / name).write_bytes((real / name).read_bytes())
        about = json.loads((real / "run.json").read_text())
        about["id"], about["config"]["seed"] = run_id, number
        (copy / "run.json").write_text(json.dumps(about))


def _compose_with_hydra(points: list[dict[str, object]]) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for point in points:
            compose("config", [f"block={point['block']}", f"++seed={point['seed']}", "++train.steps=2"])


def _simplify(*words: str) -> float:
    """Seconds of a command; its memory goes into PEAKS."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "simplify", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, words
    PEAKS[words[0]] = max(PEAKS.get(words[0], 0.0), usage.ru_maxrss / 1024)
    return time.perf_counter() - start


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _repeated(work: Callable[[], float]) -> list[float]:
    return [work() for _ in range(ROUNDS)]


def _say(what: str, seconds: list[float]) -> None:
    print(f"{what:42} {statistics.median(seconds):8.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
