"""The most memory that a run of a million parameters holds, and at which stage, without and with W&B (offline).

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/resident.py [key=value ...]

Thirty steps of `block=sas model=gpt_nano` with validations, as `simplify train` in a process of its own, which is
looked at from outside (VmHWM of Linux, MiB) until each stage is over, as the run's files tell. wandb's own process
comes on top.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = ["block=sas", "model=gpt_nano", "train.steps=30", "train.val_every=10", "train.log_every=10"]
WORDS += ["train.precision=fp32"]
STAGES = {"loaded": "job.json", "trained": "metrics.jsonl", "done": "done.json"}  # over when the file is there


def main() -> None:
    """Print a line a mode: the peak up to the end of each stage."""
    print(f"{'':9} {' '.join(f'{stage:>8}' for stage in (*STAGES, 'ended'))}   of these in files")
    for mode in ("disabled", "offline"):
        with tempfile.TemporaryDirectory() as folder:
            peaks, in_files = measure(Path(folder), [*WORDS, f"wandb.mode={mode}", *sys.argv[1:]])
        print(f"{mode:9} {' '.join(f'{peaks[stage]:>8}' for stage in (*STAGES, 'ended'))}   {in_files}", flush=True)


def measure(root: Path, words: list[str]) -> tuple[dict[str, int], int]:
    """MiB at most until each stage was over, and how many of the last are pages of files."""
    env = {**os.environ, "SIMPLIFY_RUNS": str(root)}
    command = [sys.executable, "-m", "simplify", "train", *words]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    peaks: dict[str, int] = {}
    last = {"VmHWM": 0, "RssFile": 0}
    while process.poll() is None:
        last = _status(process.pid) or last
        there = {path.name for path in root.glob("*/*")}
        for stage, file in STAGES.items():
            if stage not in peaks and file in there:
                peaks[stage] = last["VmHWM"]
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(process.returncode)
    return {**dict.fromkeys(STAGES, 0), **peaks, "ended": last["VmHWM"]}, last["RssFile"]


def _status(pid: int) -> dict[str, int] | None:
    """MiB by name; None where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith(("VmHWM", "RssFile"))}
    return {name: int(kib) >> 10 for name, kib in found.items()} or None


if __name__ == "__main__":
    main()
