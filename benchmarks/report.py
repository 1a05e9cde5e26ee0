"""`simplify report` over many runs with many logged steps each.

    .venv/bin/python benchmarks/report.py [RUNS] [ROWS]

Two run roots: a few blocks with many seeds (bands over 200 seeds), and as many learning rates with a few seeds each
(more curves than a picture holds). Each run folder is that of a real run, with curves drawn at random in its place.
Median of ROUNDS whole commands, their peak memory, and the size of the page.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 3
BLOCKS = ["pre_ln", "parallel", "sas", "sas_p", "sas_p_no_norm"]
TINY = ["model.n_layers=2", "model.d_model=32", "model.n_heads=2", "train.steps=2", "wandb.mode=disabled"]


def main() -> None:
    """Print all figures."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    print(f"{runs} runs of {rows} logged steps, medians of {ROUNDS} (lowest to highest)")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for block in BLOCKS:
            _simplify("train", f"block={block}", *TINY)
        real = [json.loads(path.read_text()) for path in sorted(Path("runs").glob("*/run.json"))]
        done = json.loads(next(Path("runs").glob("*/done.json")).read_text())
        wide, deep = Path("rates"), Path("seeds")
        for number in range(runs):
            _make(deep, real[number % len(real)], done, number, rows, seed=number // len(real), lr=1e-3)
            _make(wide, real[0], done, number, rows, seed=number % 2, lr=1e-3 * 1.01 ** (number // 2))
        for root in (deep, wide):
            found = [_simplify("report", "--run-root", str(root), "--out", f"out-{root}") for _ in range(ROUNDS)]
            times, peaks = zip(*found, strict=True)
            size = Path(f"out-{root}/index.html").stat().st_size / 1e6
            print(
                f"{root.name:6} {statistics.median(times):6.2f} s ({min(times):.2f} to {max(times):.2f}), peak "
                f"{max(peaks):.0f} MiB, page {size:.2f} MB"
            )


def _make(
    root: Path, about: dict[str, Any], done: dict[str, Any], number: int, rows: int, seed: int, lr: float
) -> None:
    """A finished run's folder."""
    run_id = f"{number:010x}"
    folder = root / f"{about['config']['block']['name']}-gpt_nano-{run_id}"
    folder.mkdir(parents=True)
    config = {**about["config"], "seed": seed, "optimiser": {**about["config"]["optimiser"], "lr": lr}}
    identity = {**about["identity"], "seeds": {"init": seed, "data": seed}}
    identity["optimiser"] = {"lr": lr} if lr != 1e-3 else {}
    (folder / "run.json").write_text(json.dumps({**about, "id": run_id, "config": config, "identity": identity}))
    noise = np.random.default_rng(number).standard_normal(rows)
    lines: list[str] = []
    for i in range(rows):
        step, loss = 10 * (i + 1), 2.0 + 5.0 / (i + 2) ** 0.3 + 0.05 * noise[i]
        row = {"step": step, "train/loss": loss, "lr": lr, "grad_norm": 1.0 + 0.1 * noise[i], "tokens": 2048 * step}
        row |= {"seconds": 0.1 * step, "step_time": 0.01, "tokens_per_sec": 20480.0, "peak_mem_gib": 0.5}
        lines.append(json.dumps({**row, "val/loss": loss} if i % 10 == 9 else row))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    last = json.loads(lines[-1])
    (folder / "done.json").write_text(json.dumps({**done, **{k: v for k, v in last.items() if k in done}}))


def _simplify(*words: str) -> tuple[float, float]:
    """Seconds of a command, and the peak of its memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "simplify", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, words
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
