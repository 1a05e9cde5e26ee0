"""Time: the run's own seconds over all its attempts, and the speed of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

_WARM_UP_STEPS = 2  # the first steps of an attempt allocate and compile; they are not timed


class RunClock:
    """Seconds that this run has been running, counting on from earlier attempts."""

    def __init__(self, seconds_before: float) -> None:
        self._before, self._start = seconds_before, time.perf_counter()

    def seconds(self) -> float:
        """Seconds so far."""
        return self._before + time.perf_counter() - self._start


class Pace(NamedTuple):
    """How fast steps were, on average."""

    step_time: float  # seconds
    tokens_per_sec: float


class StepTimer:
    """Pace of the steps since the last reading, without validation, checkpoints and warm-up.

    The device is synchronised only when the timer is read or paused.
    """

    def __init__(self, synchronise: Callable[[], None]) -> None:
        self._synchronise = synchronise
        self._warm_up, self._steps, self._tokens, self._spent = _WARM_UP_STEPS, 0, 0, 0.0
        self._mark = time.perf_counter()

    def stepped(self, tokens: int) -> None:
        """A step on so many tokens has been issued."""
        if self._warm_up:
            self._warm_up -= 1
            if not self._warm_up:
                self._synchronise()
                self._mark = time.perf_counter()
            return
        self._steps += 1
        self._tokens += tokens

    def read(self) -> Pace | None:
        """The pace since the last reading; None if no step was timed."""
        self._synchronise()
        spent = self._spent + time.perf_counter() - self._mark
        pace = Pace(spent / self._steps, self._tokens / spent) if self._steps else None
        self._steps, self._tokens, self._spent, self._mark = 0, 0, 0.0, time.perf_counter()
        return pace

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside is not time of steps."""
        self._synchronise()
        self._spent += time.perf_counter() - self._mark
        try:
            yield
        finally:
            self._synchronise()
            self._mark = time.perf_counter()
