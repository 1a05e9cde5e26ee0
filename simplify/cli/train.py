"""`simplify train`, and what a lane runs."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from simplify.config import RunConfig, validate
from simplify.display import answer, answer_alone, say, tell, work_counts
from simplify.errors import ConfigError, Interrupted

if TYPE_CHECKING:
    from simplify.dispatch.here import Outcome
    from simplify.runs.queue import Job


def train_command(
    overrides: list[str],
    conf: Path | None,
    config: Path | None,
    force: bool,
    here: bool,
    command: list[str],
    as_json: bool,
) -> None:
    """Train, then show the table and where the picture is; or submit the run to Slurm and return."""
    with answer_alone(as_json):
        outcome = _trained(overrides, conf, config, force, here, command)
    if as_json and outcome is None:
        answer("train", {"submitted": True})
    elif as_json and outcome is not None and outcome.result:  # of several processes the first one
        told = {"id": outcome.folder.run_id, "folder": str(outcome.folder.path), "already_done": outcome.already_done}
        answer("train", {"submitted": False, **told, "result": outcome.result})


def _trained(
    overrides: list[str], conf: Path | None, config: Path | None, force: bool, here: bool, command: list[str]
) -> Outcome | None:
    """The same without the answer; None where Slurm has the run now."""
    # Hydra, of which a run that lies composed has no need
    from simplify.compose import compose_run, shell_lines

    run = compose_run(overrides, conf, config)
    for line in shell_lines(run.wandb):
        say(line)
    if run.cluster.kind == "slurm" and not here:
        from simplify.cli.slurm import submit_one

        submit_one(run, command, force)
        return None
    other = any(word.startswith("data.") for word in overrides)  # another text is what is asked for
    return train_and_show(run, command, force, repeated=config.parent if config and not other else None)


def point_to_sweep(overrides: list[str], conf: Path | None) -> NoReturn:
    """Say what Hydra's --multirun is called here."""
    words = [*overrides, *(["--conf", str(conf)] if conf else [])]
    raise ConfigError(f"--multirun: train trains one run; a run of each: {shlex.join(['simplify', 'sweep', *words])}")


def job_command(path: Path, lane: str) -> None:
    """Train a run as it lies in a queue."""
    from simplify.runs.queue import LANE, Queue, read_job

    mark = os.environ.pop(LANE, None)
    try:
        job = Queue(path.parents[1], patience=math.inf).begin(path, mark) if mark is not None else read_job(path)
    except OSError as error:
        raise Interrupted(f"{path.parents[1]}: cannot be written: {error.strerror or error}; not begun") from None
    if job is None:
        raise Interrupted(f"{path}: is no longer in the queue, or another lane's by now; nothing to do")
    train_and_show(validate(RunConfig, job.config), job.command, origin={"lane": lane}, asked=job)


def task_command(folder: Path) -> None:
    """Train a run as it lies in a Slurm array's folder."""
    from simplify.dispatch.task import run_task

    def train(run: RunConfig, job: Job, origin: Mapping[str, Any], max_stalled: int) -> None:
        train_and_show(run, job.command, origin=origin, max_stalled=max_stalled, asked=job)

    run_task(folder, train)


def train_and_show(
    run: RunConfig,
    command: list[str],
    force: bool = False,
    origin: Mapping[str, Any] | None = None,
    max_stalled: int | None = None,
    asked: Job | None = None,
    repeated: Path | None = None,
) -> Outcome:
    """Train here, and show what it came to; of several processes the first one shows it."""
    # what is typed wrong has been said before anything else is loaded
    from simplify.compare.picture import draw_loss
    from simplify.compare.summary import show_result, show_siblings
    from simplify.dispatch.here import Terms, train_here

    work_counts()
    outcome = train_here(run, Terms(command, force, origin, max_stalled, asked, repeated))
    if not outcome.result:
        return outcome
    if outcome.already_done:
        tell(f"already done: {outcome.folder.path} (--force runs it again)")
    show_result(outcome.folder, outcome.result)
    show_siblings(outcome.folder, outcome.result)
    picture = outcome.folder.path / "loss.png"
    if not picture.exists():
        try:
            draw_loss(outcome.folder, outcome.result)
        except Exception as error:  # the run is done and safe; only the picture is missing
            tell(f"loss.png: not drawn: {getattr(error, 'strerror', None) or error}")
            return outcome
    tell(f"loss curve: {picture}")
    return outcome
