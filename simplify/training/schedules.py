"""Budgets, learning-rate schedules and growing batches, all by the share of the budget that is spent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from simplify.config import OptimiserConfig, RunConfig

_FIRST = 0.25  # where a triangle begins, as a share of its peak (Cramming, arXiv 2212.14034: its code's triangle)

# After warm-up: share of the rest that is spent, 0 to 1, and optimiser.peak -> factor on the peak learning rate.
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "linear": lambda spent, _: 1.0 - spent,
    "cosine": lambda spent, _: 0.5 * (1.0 + math.cos(math.pi * spent)),
    "constant": lambda *_: 1.0,
    "triangle": lambda spent, peak: min(_FIRST + (1.0 - _FIRST) * spent / peak, (1.0 - spent) / (1.0 - peak)),
}


def learning_rate(config: OptimiserConfig, progress: float) -> float:
    """The rate at `progress`, the share of the budget spent (0 to 1)."""
    if progress < config.warmup:
        return config.lr * progress / config.warmup
    spent = (progress - config.warmup) / (1.0 - config.warmup)
    return config.lr * SCHEDULES[config.schedule](spent, config.peak)


@dataclass(frozen=True)
class Budget:
    """When a run ends: after a number of steps, or of seconds of its own running time."""

    total_steps: int | None
    total_seconds: float | None

    @classmethod
    def of(cls, config: RunConfig) -> Budget:
        """The budget of a run; exactly one of the two is set."""
        hours = config.train.hours
        return cls(config.total_steps, None if hours is None else hours * 3600)

    def progress(self, step: int, seconds: float) -> float:
        """Share of the budget spent in the middle of `step` (counted from 0).

        The middle, so that neither the first step nor the last has a learning rate of 0.
        """
        if self.total_steps is not None:
            return (step + 0.5) / self.total_steps
        assert self.total_seconds is not None
        return min(seconds / self.total_seconds, 1.0)

    def spent(self, steps_done: int, seconds: float) -> bool:
        """Whether nothing is left after `steps_done` steps and `seconds`."""
        if self.total_steps is not None:
            return steps_done >= self.total_steps
        assert self.total_seconds is not None
        return seconds >= self.total_seconds


@dataclass(frozen=True)
class BatchSize:
    """How many sequences a step learns from: always a whole number of micro-batches."""

    micro_batch: int
    full: int
    ramp: float | None  # share of the budget over which it grows; None: it does not

    @classmethod
    def of(cls, config: RunConfig) -> BatchSize:
        """The batches of a run."""
        return cls(config.micro_batch, config.batch_sequences, config.train.batch_ramp)

    def at(self, progress: float) -> int:
        """Sequences at `progress`: from one micro-batch at 0 linearly to the full batch at `ramp`, rounded down."""
        if self.ramp is None or progress >= self.ramp:
            return self.full
        return self.micro_batch * (1 + int((self.full // self.micro_batch - 1) * progress / self.ramp))
