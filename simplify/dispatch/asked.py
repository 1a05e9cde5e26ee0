"""Who asks for runs, and a run as it is frozen for a queue."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simplify.config import RunConfig
from simplify.data.cache import cache_dir
from simplify.program import code_folder
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Job


@dataclass(frozen=True)
class Asked:
    """Who asks for runs, and how they are to be treated."""

    command: list[str]
    sweep: str | None = None  # the name of its record
    fail_fast: bool = False
    code: Path | None = None  # folder of a snapshot; None: the code as it is when a run starts
    corpora: Mapping[str, str] = field(default_factory=dict)  # fingerprints, as far as they are known, by run
    cwd: str | None = None  # where relative paths start; None: the current folder
    cache: str | None = None  # None: this process' own


def job_of(folder: RunFolder, config: RunConfig, root: Path, asked: Asked) -> Job:
    """A run with all it needs: what is edited later does not reach it."""
    data = config.model_dump(mode="json")
    data["run_root"] = str(root)
    if asked.sweep and data["wandb"]["group"] is None:
        data["wandb"]["group"] = asked.sweep
    return Job(
        run_id=folder.run_id,
        name=folder.path.name,
        config=data,
        command=asked.command,
        cwd=asked.cwd or os.getcwd(),
        code=str(asked.code or code_folder()),
        cache=asked.cache or str(cache_dir()),
        sweep=asked.sweep,
        fail_fast=asked.fail_fast,
        corpus=asked.corpora.get(folder.run_id),
    )
