"""The training loop."""

from __future__ import annotations

import functools
import itertools
import math
import signal
import time
from dataclasses import dataclass
from typing import Any

from simplify.config import RunConfig
from simplify.data.account import CorpusFacts
from simplify.errors import Interrupted, TrainingFailed
from simplify.runs.folder import RunFolder
from simplify.runs.history import with_reading
from simplify.runs.tracker import Tracker
from simplify.training import checkpoint
from simplify.training.clock import Pace, RunClock, StepTimer
from simplify.training.device import Device
from simplify.training.report import LiveLine
from simplify.training.schedules import BatchSize, Budget, learning_rate
from simplify.training.signals import StopRequest
from simplify.training.trainer import Trainer
from simplify.training.world import World
from simplify.zoo.readings import gradient_histograms, trained_gains


@dataclass(frozen=True)
class Spent:
    """What a run has spent so far: all that says which batch, which size and which rate come next."""

    steps: int = 0
    seconds: float = 0.0
    sequences: int = 0

    @classmethod
    def of(cls, saved: checkpoint.Checkpoint | None, config: RunConfig) -> Spent:
        """By a checkpoint; one from before batches could grow counts steps alone."""
        if saved is None:
            return cls()
        sequences = saved.state.get("sequences", saved.step * config.batch_sequences)
        return cls(saved.step, float(saved.state["seconds"]), int(sequences))


class Loop:
    """Trains from one step boundary to the end of the budget, or to a request to stop."""

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        trainer: Trainer,
        device: Device,
        corpus: CorpusFacts,
        tracker: Tracker,
        world: World,
    ) -> None:
        self._config, self._folder, self._trainer, self._device = config, folder, trainer, device
        self._tracker, self._world = tracker, world
        self._tokens_a_byte = corpus.val_tokens / corpus.val_bytes
        self._last_save = time.monotonic()
        self._gradients: dict[str, Any] = {}

    def run(self, spent: Spent, line: LiveLine, stop: StopRequest) -> None:
        """From what is spent to the end of the budget, at least one step.

        Raises Interrupted after saving, or TrainingFailed.
        """
        config, trainer, budget, size = self._config, self._trainer, Budget.of(self._config), BatchSize.of(self._config)
        clock, timer = RunClock(spent.seconds), StepTimer(self._device.synchronise)
        seconds, sequences = spent.seconds, spent.sequences
        self._begin(spent.steps)
        for step in itertools.count(spent.steps):
            progress = budget.progress(step, seconds)
            rate, part = learning_rate(config.optimiser, progress), range(sequences, sequences + size.at(progress))
            passes = len(part) // trainer.together
            done, validates = step + 1, self._due(step + 1, config.train.val_every)
            look = functools.partial(self._look, timer) if config.wandb.gradients and validates else None
            loss, norm = trainer.step(step, rate, functools.partial(self._show, line, clock, step, passes), part, look)
            sequences = part.stop
            timer.stepped(len(part) * config.model.seq_len)
            # All processes look at the same clock and know of the same signal, or they would part here.
            stopped_by, seconds = self._world.agree(stop.requested, clock.seconds())
            last = budget.spent(done, seconds)
            row: dict[str, Any] = {}
            if last or self._due(done, config.train.log_every) or validates:
                trainer.check()
                row = {"step": done, "train/loss": trainer.mean_loss(loss), "lr": rate, "grad_norm": float(norm)}
                row |= self._speed(sequences, timer.read(), clock.seconds())
                gains = {}
                if last or validates:
                    with timer.paused():
                        row |= self._validation(done)
                        gains = self._gains(done)
                self._write(row, gains)
            line.stepped(done, row, seconds)
            if last or stopped_by or self._save_due(done):
                with timer.paused():
                    self._save(Spent(done, clock.seconds(), sequences), last)
            if last:
                return
            if stopped_by:
                name = signal.Signals(stopped_by).name
                raise Interrupted(f"{name}: saved at step {done}; the same command continues from there", stopped_by)

    def _begin(self, first: int) -> None:
        """Of step 0 there are only the gains."""
        if first == 0:
            self._folder.gains.rewind(-1)
            self._folder.gradients.rewind(-1)
            self._write({"step": 0}, self._gains(0))

    @staticmethod
    def _show(line: LiveLine, clock: RunClock, step: int, passes: int, number: int) -> None:
        line.micro_batch(step, number, passes, clock.seconds())

    def _write(self, row: dict[str, Any], gains: dict[str, Any]) -> None:
        """Keep what was measured after a step, gains in a file of their own; of step 0 there are only gains."""
        if not self._world.leads:
            return
        self._folder.check_owner()
        if gains:
            self._folder.gains.append(gains)
        if self._gradients:
            self._folder.gradients.append({"step": row["step"], **self._gradients})
        if row["step"]:
            self._folder.metrics.append(row)
        if gains or row["step"]:
            self._tracker.log(with_reading(with_reading(row, "gains", gains), "gradients", self._gradients))
        self._gradients = {}

    def _look(self, timer: StepTimer) -> None:
        """Keep the gradients' histograms for the row of this step."""
        with timer.paused():
            self._gradients = gradient_histograms(self._trainer.model) if self._world.leads else {}

    def _gains(self, done: int) -> dict[str, Any]:
        """The trained gains of each layer; nothing in a block that has none."""
        found = trained_gains(self._trainer.model) if self._world.leads else {}
        return {"step": done, **found} if found else {}

    @staticmethod
    def _due(done: int, every: int) -> bool:
        return done % every == 0

    def _speed(self, sequences: int, pace: Pace | None, seconds: float) -> dict[str, float]:
        row = {"tokens": sequences * self._config.model.seq_len, "seconds": round(seconds, 3)}
        if pace is not None:
            row["step_time"] = round(pace.step_time, 6)
            row["tokens_per_sec"] = round(pace.tokens_per_sec, 1)
        row["peak_mem_gib"] = round(self._device.peak_memory_gib(), 3)
        return row

    def _validation(self, done: int) -> dict[str, float]:
        loss = self._trainer.validate()
        if not math.isfinite(loss):
            raise TrainingFailed(
                "non_finite", f"step {done}: validation loss is {loss:g}; lower optimiser.lr", step=done
            )
        if self._config.model.kind == "encoder":  # hidden tokens given the others: no code length of a text
            return {"val/loss": loss}
        return {"val/loss": loss, "val/bits_per_byte": loss / math.log(2) * self._tokens_a_byte}

    def _save_due(self, done: int) -> bool:
        train = self._config.train
        waited = time.monotonic() - self._last_save
        return self._due(done, train.checkpoint_every) or waited >= train.checkpoint_minutes * 60

    def _save(self, spent: Spent, finished: bool) -> None:
        self._trainer.check()
        if not self._world.leads:
            return
        self._folder.check_owner()
        counts = {"step": spent.steps, "seconds": spent.seconds, "sequences": spent.sequences}
        state = {**counts, "finished": finished, **self._trainer.state()}
        checkpoint.save(self._folder.checkpoints, self._folder.run_id, spent.steps, state)
        self._last_save = time.monotonic()
