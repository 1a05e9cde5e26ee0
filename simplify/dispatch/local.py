"""Runs onto the lanes of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simplify.config import RunConfig
from simplify.dispatch.asked import Asked, job_of
from simplify.dispatch.launch import Started, start_lanes
from simplify.machine import slots
from simplify.runs.files import check_space
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Queue, read_job


def dispatch(root: Path, runs: Sequence[tuple[RunFolder, RunConfig]], asked: Asked) -> tuple[int, Started]:
    """Queue runs, frozen, and see that lanes work on the queue; returns how many were added, and the lanes."""
    root.mkdir(parents=True, exist_ok=True)
    check_space(root)
    added = Queue(root).add([job_of(folder, config, root, asked) for folder, config in runs])
    return added, wake_lanes(root)


def wake_lanes(root: Path) -> Started:
    """See that lanes work on what is in the queue, as many as its configurations want at most."""
    check_space(root)  # else each lane would start, find out and end
    queue = Queue(root)
    jobs = [job for job in map(read_job, queue.waiting().values()) if job]
    lanes = max((job.config.get("cluster", {}).get("lanes") or 0 for job in jobs), default=0) or None
    use_gpus = any(job.config.get("train", {}).get("device", "auto") in ("auto", "cuda") for job in jobs)
    return start_lanes(queue, slots(lanes, use_gpus))
