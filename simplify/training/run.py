"""One run from its folder to its end marker: restore, train, and say how it ended."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simplify.config import RunConfig
from simplify.data.batches import Batches
from simplify.data.build import CorpusFacts
from simplify.display import Meter, meter
from simplify.errors import Interrupted, TrainingFailed
from simplify.runs.files import read_json, storage_failure
from simplify.runs.folder import RunFolder
from simplify.runs.process import beating
from simplify.runs.result import result_of
from simplify.runs.tracker import Tracker
from simplify.training import checkpoint
from simplify.training.device import Device, choose_device, out_of_memory
from simplify.training.loop import Loop
from simplify.training.report import LiveLine
from simplify.training.schedules import Budget
from simplify.training.signals import StopRequest
from simplify.training.trainer import Trainer


@dataclass(frozen=True)
class Task:
    """What a run is trained from."""

    config: RunConfig
    folder: RunFolder
    corpus: CorpusFacts
    batches: Batches
    facts: dict[str, Any]  # provenance, for run.json
    lane: str | None = None  # the name of the lane that has it


def train_run(task: Task, stop: StopRequest) -> dict[str, Any]:
    """Train `task` from its newest checkpoint to the end; returns what done.json says.

    The caller holds the run's lock. Raises Interrupted (state saved), TrainingFailed (error.json
    written) or a UserError (nothing changed).
    """
    config, folder = task.config, task.folder
    recorded = (read_json(folder.path / "run.json") or {}).get("device", {}).get("precision")
    device = choose_device(config, recorded)
    saved = checkpoint.newest(folder.checkpoints, folder.run_id, print)
    try:
        folder.create(config, {**task.facts, **device.facts()})
        with beating(folder.heartbeat), _attempt(task, saved.step if saved else 0):
            folder.metrics.rewind(saved.step if saved else 0)
            with _ErrorMarker(task, device):
                compiled = _train(task, device, saved, stop)
            result = {**result_of(folder.rows(), config, task.corpus), "compiled": compiled}
            folder.end("done", result)
    except OSError as error:
        raise storage_failure(error, folder.path) or error from None
    return result


@contextlib.contextmanager
def _attempt(task: Task, first: int) -> Iterator[None]:
    """An entry in job.json for the length of the `with` block."""
    task.folder.begin_attempt(first, task.lane)
    how = "failed"
    try:
        yield
        how = "done"
    except Interrupted:
        how = "stopped"
        raise
    finally:
        with contextlib.suppress(OSError):  # the disk may be full; the end marker matters more
            task.folder.end_attempt(how)


def _train(task: Task, device: Device, saved: checkpoint.Checkpoint | None, stop: StopRequest) -> bool:
    """Train to the end; returns whether the model was compiled."""
    config, folder = task.config, task.folder
    trainer = Trainer(config, task.batches, device)
    if saved:
        trainer.restore(saved.state)
    first, seconds = (saved.step, float(saved.state["seconds"])) if saved else (0, 0.0)
    with meter(config.block.name, 1.0) as shown:
        _announce(shown, task, device, first)
        tracker = Tracker(shown.note)
        tracker.start(config, folder, task.facts)
        ended = 1
        try:
            stop.defer()
            if not (saved and saved.state["finished"]):  # else only the end marker is missing
                line = LiveLine(shown, config, Budget.of(config), first)
                Loop(config, folder, trainer, device, task.corpus, tracker).run(first, seconds, line, stop)
            ended = 0
        except Interrupted as error:
            ended = error.exit_code
            raise
        finally:
            tracker.finish(dict(folder.rows()[-1]) if folder.rows() else {}, ended)
    return trainer.compiled


def _announce(shown: Meter, task: Task, device: Device, first: int) -> None:
    config = task.config
    accum = f" in {config.grad_accum} micro-batches" if config.grad_accum > 1 else ""
    shown.note(f"run {task.folder.path}" + (f", continuing from step {first}" if first else ""))
    shown.note(
        f"{config.block.name} {config.model.name} on {device.kind} in {device.precision}: "
        f"{config.train.batch_tokens:,} tokens a step{accum}"
    )


class _ErrorMarker(contextlib.AbstractContextManager[None]):
    """Turns what ends the training badly into error.json and the error the user sees."""

    def __init__(self, task: Task, device: Device) -> None:
        self._task, self._device = task, device

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, Interrupted) or not isinstance(error, Exception):
            return
        known = self._known(error)
        lines = "".join(traceback.format_exception(error)).strip().splitlines()[-20:]
        facts = {"cause": "exception", "message": f"{type(error).__name__}: {error}", "traceback": lines}
        if known is not None:
            facts = {"cause": known.cause, "message": str(known), **known.facts, "traceback": lines}
        with contextlib.suppress(OSError):  # the disk may be full; then the message is all there is
            self._task.folder.end("error", facts)
        if known is not None and known is not error:
            raise known from None

    def _known(self, error: Exception) -> TrainingFailed | None:
        if isinstance(error, TrainingFailed):
            return error
        if out_of_memory(error):
            return self._out_of_memory()
        return storage_failure(error, self._task.folder.path) if isinstance(error, OSError) else None

    def _out_of_memory(self) -> TrainingFailed:
        config = self._task.config
        return TrainingFailed(
            "out_of_memory",
            f"out of memory on {self._device.kind} with train.micro_batch={config.micro_batch} sequences of "
            f"{config.model.seq_len} tokens; lower train.micro_batch (the batch and the result stay the same), then "
            "run the same command again",
            micro_batch=config.micro_batch,
        )
