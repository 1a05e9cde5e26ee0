"""One run from its folder to its end marker: restore, train, and say how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from simplify.display import tell
from simplify.display.progress import Meter, meter, quiet_meter
from simplify.errors import Interrupted, TrainingFailed, TryAgain
from simplify.runs.precision import Answer
from simplify.runs.process import Pulse, beating
from simplify.runs.result import result_of
from simplify.runs.silence import forget_ranks, rank_heartbeat
from simplify.runs.tracker import Tracker
from simplify.training import checkpoint
from simplify.training.device import Device, choose_device
from simplify.training.failure import ErrorMarker
from simplify.training.loop import Loop, Spent
from simplify.training.report import LiveLine
from simplify.training.schedules import BatchSize, Budget
from simplify.training.signals import StopRequest
from simplify.training.task import Task
from simplify.training.trainer import Trainer


def train_run(task: Task, stop: StopRequest) -> dict[str, Any]:
    """Train `task` from its newest checkpoint to the end; returns what done.json says.

    The caller holds the run's lock. Raises Interrupted (state saved), TrainingFailed (error.json
    written) or a UserError (nothing changed).
    """
    config, folder, world, pulse = task.config, task.folder, task.world, Pulse()
    recorded = folder.about().get("device", {}).get("precision")
    device = choose_device(config, world.share(recorded), world.local_rank, keep=True)
    device = device.in_precision(world.share(device.precision))  # process 0's, wherever the others are
    saved = checkpoint.newest(folder.checkpoints, folder.run_id, tell)
    first = saved.step if saved else 0
    if world.leads:
        forget_ranks(folder.path)  # before the others are told where to begin, and show themselves
    if world.share(first) != first:
        raise TrainingFailed(
            "storage", f"{folder.checkpoints}: process {world.rank} sees another checkpoint than 0 does"
        )
    if not world.leads:
        with ErrorMarker(task, device), beating(rank_heartbeat(folder.path, world.rank), pulse):
            _train(task, device, saved, stop, pulse)
        return {}
    with _attempt(task), ErrorMarker(task, device):  # all of it: what the disk refuses has one name wherever it does
        folder.create(config, {**task.facts, **device.facts()})
        folder.keep_tokeniser(task.tokeniser)
        with beating(folder.heartbeat, pulse):
            folder.begin_attempt(first, task.origin)
            folder.metrics.rewind(first)
            folder.gains.rewind(first)
            folder.gradients.rewind(first)
            _refuse_stalled(task, first)
            compiled = _train(task, device, saved, stop, pulse)
            result = {**result_of(folder.rows(), config, task.corpus), "compiled": compiled or False}
            folder.end("done", result)
    return result


def _refuse_stalled(task: Task, first: int) -> None:
    """A run that a cluster starts again and again has to get on."""
    stalled = 0
    for attempt in reversed(task.folder.attempts()[:-1]):
        if attempt.get("from_step") != first or any(
            attempt.get(k) != v for k, v in task.origin.items() if k == "array"
        ):
            break
        stalled += 1
    if task.max_stalled is not None and stalled >= task.max_stalled:
        raise TrainingFailed(
            "stalled",
            f"{stalled} attempts in a row began at step {first} and came no further (cluster.max_stalled); give it "
            "more time, memory or quieter nodes, or lower train.checkpoint_every, then simplify retry",
        )


@contextlib.contextmanager
def _attempt(task: Task) -> Iterator[None]:
    """Note how the attempt has ended, once all else is written."""
    how = "failed"
    try:
        yield
        how = "done"
    except TryAgain:
        how = "stopped"
        raise
    finally:
        with contextlib.suppress(OSError):  # the disk may be full; the end marker matters more
            task.folder.end_attempt(how)


def _train(
    task: Task, device: Device, saved: checkpoint.Checkpoint | None, stop: StopRequest, pulse: Pulse
) -> str | None:
    """Train to the end; returns how the model was compiled, if it was."""
    config, folder = task.config, task.folder
    trainer = Trainer(config, task.batches, device, world=task.world, pulse=pulse)
    if saved:
        trainer.restore(saved.state)
    spent = Spent.of(saved, config)
    with meter(config.block.name, 1.0) if task.world.leads else quiet_meter() as shown:
        _announce(shown, task, trainer, device, spent.steps)
        tracker = Tracker(shown.note)
        if task.world.leads:
            tracker.start(config, folder, task.facts)
        ended, problem = 1, ""
        try:
            stop.defer()
            if not (saved and saved.state["finished"]):  # else only the end marker is missing
                line = LiveLine(shown, Budget.of(config), spent.steps)
                Loop(config, folder, trainer, device, task.corpus, tracker, task.world).run(spent, line, stop)
            ended = 0
        except Interrupted as error:
            ended = error.exit_code
            raise
        except Exception as error:
            problem = f"{error}" if isinstance(error, TrainingFailed) else f"{type(error).__name__}: {error}"
            raise
        finally:
            tracker.finish(_summary(task, ended), ended, problem)
    return trainer.compiled


def _summary(task: Task, ended: int) -> dict[str, Any]:
    """What the tracker is to show of a run: its result, or its last row where it has none yet."""
    rows = task.folder.rows()
    if ended == 0 and task.world.leads:
        return result_of(rows, task.config, task.corpus)
    return dict(rows[-1]) if rows else {}


def _announce(shown: Meter, task: Task, trainer: Trainer, device: Device, first: int) -> None:
    config = task.config
    size = BatchSize.of(config)
    passes = size.full // trainer.together
    accum = f" in {passes} micro-batches" if passes > 1 else ""
    accum += f" on {task.world.size} processes" if task.world.size > 1 else ""
    begin = "" if size.ramp is None else f"{size.micro_batch * config.model.seq_len:,} to "
    shown.note(f"run {task.folder.path}" + (f", continuing from step {first}" if first else ""))
    shown.note(
        f"{config.block.name} {config.model.name} on {device.kind} in {device.precision}: "
        f"{begin}{config.train.batch_tokens:,} tokens a step{accum}"
    )
    if device.why:
        shown.note(Answer(device.precision, device.why).line)
