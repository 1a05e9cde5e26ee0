"""Train runs that a command needs for its answer, and stay until they have ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from simplify.cli.manage import dispatch_all, say_started
from simplify.cli.status import cause
from simplify.compare.variants import DIVERGED
from simplify.config import RunConfig
from simplify.dispatch.asked import Asked
from simplify.dispatch.local import wake_lanes
from simplify.display import tell
from simplify.errors import TrainingFailed, TryAgain
from simplify.runs.code import git_silence, save_patch
from simplify.runs.files import left_out, writing
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Queue
from simplify.runs.store import RunStore, RunView

_LOOK_EVERY = 0.5  # seconds
_LOOK_AT_SLURM_EVERY = 10.0
_WAKE_AFTER = 10.0  # seconds that runs may wait with no lane
_TO_TRAIN = ("new", "stopped", "cancelled", "lost")


def train_awaited(
    root: Path, runs: Sequence[tuple[RunFolder, RunConfig]], asked: Asked, again: str, wait: bool | None
) -> list[RunView]:
    """Train what is not done, and return all runs once they have ended: done, or diverged.

    `again`: what goes on, for a person. `wait` None: on lanes, not for Slurm. Raises TryAgain where it does not wait,
    or a run was stopped; TrainingFailed where one failed for another reason than its loss.
    """
    ids = [folder.run_id for folder, _ in runs]
    views = _dispatch(root, runs, asked)
    slurm = any(config.cluster.kind == "slurm" for _, config in runs)
    if any(map(_goes_on, views)) and not (wait if wait is not None else not slurm):
        raise TryAgain(f"{sum(map(_goes_on, views))} runs wait or are being trained; {again}")
    try:
        views = _until_ended(root, ids, _LOOK_AT_SLURM_EVERY if slurm else _LOOK_EVERY)
    except KeyboardInterrupt:
        tell(f"\nno longer waiting; the runs go on (simplify status shows them); {again}")
        raise SystemExit(130) from None
    _check(root, views, ids, again)
    return views


def diverged(run: RunView) -> bool:
    """Whether its loss became no number."""
    return run.state == "failed" and (run.facts.error or {}).get("cause") == DIVERGED


def _dispatch(root: Path, runs: Sequence[tuple[RunFolder, RunConfig]], asked: Asked) -> list[RunView]:
    store, ids = RunStore(root), [folder.run_id for folder, _ in runs]
    states = {run.run_id: run.state for run in store.runs(ids)}
    todo = [(folder, config) for folder, config in runs if states.get(folder.run_id, "new") in _TO_TRAIN]
    if todo:
        with writing(root):
            save_patch(root)
            if silence := git_silence():
                tell(silence)
            _, started = dispatch_all(root, todo, asked)
        if started is not None:
            say_started(started)
    return store.runs(ids)


def _goes_on(run: RunView) -> bool:
    return run.is_active


def _until_ended(root: Path, ids: Sequence[str], every: float) -> list[RunView]:
    """The runs once none waits or is being trained; lanes that died are started again."""
    idle = time.monotonic()
    while True:
        left_out()  # a claim that is just being written is no damaged file
        views = RunStore(root).runs(ids)
        if not any(map(_goes_on, views)):
            return views
        if not any(run.waits_for_lane for run in views) or Queue(root).lanes():
            idle = time.monotonic()
        elif time.monotonic() - idle > _WAKE_AFTER:
            with writing(root):
                say_started(wake_lanes(root))
            idle = time.monotonic()
        time.sleep(every)


def _check(root: Path, views: Sequence[RunView], ids: Sequence[str], again: str) -> None:
    failed = [run for run in views if run.state == "failed" and not diverged(run)]
    if failed:
        raise TrainingFailed(
            "exception",
            f"{failed[0].name}: failed: {cause(failed[0])}; simplify retry {failed[0].run_id} --run-root {root} trains "
            f"it again, then {again}",
        )
    left = [run.name for run in views if run.state != "done" and not diverged(run)]
    if left or len(views) < len(ids):
        raise TryAgain(f"{left[0] if left else 'a run'}: was stopped, or its process is gone; {again}")
