"""The line a person watches while a run trains."""

from __future__ import annotations

import time
from collections.abc import Mapping

from simplify.display import short_time
from simplify.display.progress import Meter
from simplify.training.schedules import Budget


class LiveLine:
    """Step, losses, speed and the time that is left, from what this attempt has measured."""

    def __init__(self, meter: Meter, budget: Budget, first_step: int) -> None:
        self._meter, self._budget, self._first = meter, budget, first_step
        self._start = time.perf_counter()
        self._shown: dict[str, float] = {}

    def micro_batch(self, step: int, number: int, of: int, seconds: float) -> None:
        """`number` of the `of` micro-batches of `step` are done; steps count from 0."""
        part = f" (micro-batch {number + 1}/{of})" if of > 1 else ""
        self._show(step + number / of, step, part, seconds, force=False)

    def stepped(self, done: int, row: Mapping[str, float], seconds: float) -> None:
        """`done` steps are done; `row` is what was logged of the last one, if anything was."""
        self._shown.update(row)
        self._show(done, done, "", seconds, force="val/loss" in row)

    def _show(self, done: float, step: int, part: str, seconds: float, force: bool) -> None:
        budget, shown = self._budget, self._shown
        of = f"/{budget.total_steps}" if budget.total_steps else ""
        words = [f"step {step}{of}{part}"]
        for name, key in (("train", "train/loss"), ("val", "val/loss")):
            if key in shown:
                words.append(f"{name} {shown[key]:.3f}")
        if "tokens_per_sec" in shown:
            words.append(f"{shown['tokens_per_sec']:,.0f} tokens/s")
        left = self._seconds_left(done, seconds)
        words.append("ETA --:--" if left is None else f"ETA {short_time(left)}")
        self._meter.update(self._share(done, seconds), "  ".join(words), force=force)

    def _share(self, done: float, seconds: float) -> float:
        total = self._budget.total_steps
        return done / total if total else min(seconds / (self._budget.total_seconds or 1.0), 1.0)

    def _seconds_left(self, done: float, seconds: float) -> float | None:
        if self._budget.total_seconds is not None:
            return max(self._budget.total_seconds - seconds, 0.0)
        if done <= self._first or self._budget.total_steps is None:
            return None
        rate = (time.perf_counter() - self._start) / (done - self._first)
        return rate * (self._budget.total_steps - done)
