"""What this machine has to compute with, found without loading torch: GPUs, cores, a slot for each lane."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

CPU = "cpu"


@dataclass(frozen=True)
class Slot:
    """Where a lane computes: the device's name, and what its runs see in their environment."""

    device: str
    environment: dict[str, str | None]


def slots(lanes: int | None, use_gpus: bool = True) -> list[Slot]:
    """One slot a GPU, or one on a CPU; `lanes` of them, sharing the devices in turn, where it is given."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible_gpus() if use_gpus else []
    if gpus:
        count = lanes or len(gpus)
        return [
            Slot(f"gpu {gpu}", {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in (gpus[n % len(gpus)] for n in range(count))
        ]
    count = lanes or 1
    environment: dict[str, str | None] = {"CUDA_VISIBLE_DEVICES": visible}  # submitit has emptied it for the lane
    if count > 1 and "OMP_NUM_THREADS" not in os.environ:
        environment["OMP_NUM_THREADS"] = str(threads_of_a_lane(count))
    return [Slot(CPU, environment)] * count


def threads_of_a_lane(lanes: int) -> int:
    """Threads torch may use in each of `lanes` runs that share the CPU."""
    return max(1, cores() // lanes)


def visible_gpus() -> list[str]:
    """Numbers or UUIDs of the NVIDIA GPUs that CUDA would use here, in order."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [word.strip() for word in visible.split(",") if word.strip() and word.strip() != "-1"]
    return _ask(["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"])


def _ask(words: Sequence[str]) -> list[str]:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def cores() -> int:
    """CPU cores that this process may use: a Slurm job's share, not the node's."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
