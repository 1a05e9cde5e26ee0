"""`simplify train`, and what a lane runs."""

from __future__ import annotations

from pathlib import Path

from simplify.compose import compose_run
from simplify.config import RunConfig, validate
from simplify.errors import Interrupted


def train_command(
    overrides: list[str], conf: Path | None, config: Path | None, force: bool, command: list[str]
) -> None:
    """Train, then show the table and where the picture is."""
    _train(compose_run(overrides, conf, config), command, force)


def job_command(path: Path, lane: str) -> None:
    """Train a run as it lies in a queue."""
    from simplify.runs.queue import read_job

    job = read_job(path)
    if job is None:
        raise Interrupted(f"{path}: is no longer in the queue; nothing to do")
    _train(validate(RunConfig, job.config), job.command, force=False, lane=lane)


def _train(run: RunConfig, command: list[str], force: bool, lane: str | None = None) -> None:
    # what is typed wrong has been said before anything else is loaded
    from simplify.compare.picture import draw_loss
    from simplify.compare.summary import show_result, show_siblings
    from simplify.dispatch.here import train_here

    outcome = train_here(run, command, force, lane)
    if outcome.already_done:
        print(f"already done: {outcome.folder.path} (--force runs it again)", flush=True)
    show_result(outcome.folder, outcome.result)
    show_siblings(outcome.folder, outcome.result)
    picture = outcome.folder.path / "loss.png"
    if not picture.exists():
        try:
            draw_loss(outcome.folder, outcome.result)
        except OSError as error:  # the run is done and safe; only the picture is missing
            print(f"loss.png: not drawn: {error.strerror or error}", flush=True)
            return
    print(f"loss curve: {picture}", flush=True)
