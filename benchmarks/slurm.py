"""Submitting and looking at many runs on a real Slurm cluster: one brought up for this on loopback, as the tests do.

    sudo .venv/bin/python benchmarks/slurm.py [RUNS]

Prints the seconds from the command to all ids recorded, how often sbatch was called, the seconds of `status`
while all runs wait, and how often Slurm was asked for it. Nothing is trained: the queue is held.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "slurm"))

from cluster import Cluster  # noqa: E402

TEXT = Path(sysconfig.get_paths()["stdlib"]) / "asyncio"
WORDS = ["data=text", f"data.path={TEXT}", "data.pattern=*.py", "data.vocab_size=384", "data.val_fraction=0.3"]
LOOKS = 7


def main() -> None:
    """Measure, and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder:
        here = Path(folder) / "here"
        here.mkdir()
        cluster = Cluster(Path(folder) / "c", accounting=True)
        cluster.start()
        try:
            cluster.run("scontrol", "update", "partitionname=main", "state=down")
            env = {**cluster.env, "PYTHONPATH": str(ROOT), **_counting(here, cluster.env["PATH"])}
            measure(here, env, runs)
        finally:
            cluster.stop()


def measure(here: Path, env: dict[str, str], runs: int) -> None:
    """Submit, then look."""
    _simplify(here, env, "data", "prepare", "text", *WORDS[1:])
    start = time.perf_counter()
    _simplify(here, env, "sweep", *WORDS, "cluster=slurm", f"seed=range(0,{runs})", "--yes")
    took, calls = time.perf_counter() - start, _calls(here)
    ids = len(list((here / "runs" / ".slurm").glob("*/job_id")))
    print(f"{runs} runs submitted in {took:.2f} s, {calls['sbatch']} sbatch, {ids} ids recorded")
    looks = []
    for _ in range(LOOKS):
        _calls(here)
        start = time.perf_counter()
        out = _simplify(here, env, "status")
        looks.append(time.perf_counter() - start)
        asked = _calls(here)
    assert f"{runs} queued" in out, out[:300]
    spread = f"{min(looks):.2f} to {max(looks):.2f}"
    print(f"status: {statistics.median(looks):.2f} s (median of {LOOKS}, {spread}); asked Slurm: {asked}")


def _simplify(here: Path, env: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "simplify", *words], cwd=here, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _counting(here: Path, path: str) -> dict[str, str]:
    """A PATH on which Slurm's commands note that they were called."""
    (here / "bin").mkdir()
    for name in ("sbatch", "squeue", "sacct", "scontrol"):
        wrapper = here / "bin" / name
        wrapper.write_text(f'#!/bin/sh\necho {name} >> "{here}/calls"\nexec {shutil.which(name, path=path)} "$@"\n')
        wrapper.chmod(0o755)
    return {"PATH": f"{here / 'bin'}{os.pathsep}{path}", "SIMPLIFY_CACHE": str(here / "cache")}


def _calls(here: Path) -> dict[str, int]:
    """How often each was called since the last look."""
    lines = (here / "calls").read_text().split() if (here / "calls").exists() else []
    (here / "calls").unlink(missing_ok=True)
    return {name: lines.count(name) for name in ("sbatch", "squeue", "sacct", "scontrol") if name in lines}


if __name__ == "__main__":
    main()
