"""Runs to where they are to be trained, and what that came to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simplify.config import RunConfig
from simplify.dispatch.asked import Asked
from simplify.dispatch.launch import Started
from simplify.dispatch.local import dispatch
from simplify.display import tell
from simplify.errors import UserError
from simplify.runs.folder import RunFolder

Runs = Sequence[tuple[RunFolder, RunConfig]]


def dispatch_all(root: Path, runs: Runs, asked: Asked) -> tuple[int, Started | None]:
    """Runs to the lanes or to Slurm, as each one's cluster says; how many were added, and the lanes if any were."""
    local = [(folder, config) for folder, config in runs if config.cluster.kind == "local"]
    others = [(folder, config) for folder, config in runs if config.cluster.kind == "slurm"]
    added, started = dispatch(root, local, asked) if local or not others else (0, None)
    if others:
        from simplify.cli.slurm import submit_all

        added += submit_all(root, others, asked)
    return added, started


def say_started(started: Started) -> None:
    """How many lanes work now; raises UserError if none could be started."""
    if started.problem:
        raise UserError(f"lanes: {started.problem}; what is queued stays queued")
    if started.alive:
        plural = "lane works" if started.alive == 1 else "lanes work"
        tell(f"{started.alive} {plural} in the background; this shell may be closed")
