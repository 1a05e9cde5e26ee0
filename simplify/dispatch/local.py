"""Runs onto the lanes of this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simplify.config import RunConfig
from simplify.data.corpus import cache_dir
from simplify.dispatch.launch import Started, start_lanes
from simplify.machine import slots
from simplify.program import code_folder
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Job, Queue, read_job


@dataclass(frozen=True)
class Asked:
    """Who asks for runs, and how they are to be treated."""

    command: list[str]
    sweep: str | None = None  # the name of its record
    fail_fast: bool = False
    code: Path | None = None  # folder of a snapshot; None: the code as it is when a run starts


def dispatch(root: Path, runs: Sequence[tuple[RunFolder, RunConfig]], asked: Asked) -> tuple[int, Started]:
    """Queue runs, frozen, and see that lanes work on the queue; returns how many were added, and the lanes."""
    root.mkdir(parents=True, exist_ok=True)
    added = Queue(root).add([_job(folder, config, root, asked) for folder, config in runs])
    return added, wake_lanes(root)


def wake_lanes(root: Path) -> Started:
    """See that lanes work on what is in the queue, as many as its configurations want at most."""
    queue = Queue(root)
    jobs = [job for job in map(read_job, queue.waiting().values()) if job]
    lanes = max((job.config["cluster"].get("lanes") or 0 for job in jobs), default=0) or None
    use_gpus = any(job.config["train"]["device"] in ("auto", "cuda") for job in jobs)
    return start_lanes(queue, slots(lanes, use_gpus))


def _job(folder: RunFolder, config: RunConfig, root: Path, asked: Asked) -> Job:
    data = config.model_dump(mode="json")
    data["run_root"] = str(root)
    if asked.sweep and data["wandb"]["group"] is None:
        data["wandb"]["group"] = asked.sweep
    return Job(
        run_id=folder.run_id,
        name=folder.path.name,
        config=data,
        command=asked.command,
        cwd=os.getcwd(),
        code=str(asked.code or code_folder()),
        cache=str(cache_dir()),
        sweep=asked.sweep,
        fail_fast=asked.fail_fast,
    )
