"""How long the lanes of this machine need for runs that are trained or wait: a sweep's own ETA."""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence

from simplify.cli.duration import known_by, told
from simplify.config import RunConfig, validate
from simplify.errors import ConfigError
from simplify.runs.queue import Queue
from simplify.runs.store import RunStore, RunView
from simplify.sweep.estimate import Terms, estimate_times
from simplify.sweep.seen import seen_in
from simplify.sweep.steps import Time

_AGAIN = 5.0  # seconds until it is worked out anew
_PACE = 1.15  # the bounds of what a run still needs by its own speed
_OURS = float("inf")  # cores: whatever load there is, these runs cause it or had it beside them until now


class Eta:
    """What some runs of a run root still need, in words."""

    def __init__(self, store: RunStore) -> None:
        self._store, self._words, self._until = store, "", 0.0
        self._begun: frozenset[str] = frozenset()
        self._whole: dict[str, Time] = {}  # of runs that were looked at since the last began or ended

    def of(self, runs: Sequence[RunView]) -> str:
        """`needs about 9:40 more on 2 lanes (...)`; empty where no lane works on any, or a time is unknown."""
        if time.monotonic() >= self._until:
            active = {run.run_id for run in runs if run.waits_for_lane or run.state == "running"}
            self._words = self._work_out(active) if active else ""
            self._until = time.monotonic() + _AGAIN
        return self._words

    def _work_out(self, wanted: set[str]) -> str:
        queue = Queue(self._store.root)
        lanes, order = len(queue.lanes()), list(queue.waiting())  # others' runs stand before ours, or have the lanes
        if not lanes or not wanted & {*order}:
            return ""
        views = self._store.runs(order[: 1 + max(n for n, run_id in enumerate(order) if run_id in wanted)])
        whole = self._times(views, lanes)
        left = [_left(view, time) for view, time in zip(views, whole, strict=True)]
        known = [time for time in left if time is not None]
        if len(known) < len(left):
            return ""
        likely, low, high = (
            _end(views, [getattr(time, bound) for time in known], lanes, wanted) for bound in ("seconds", "low", "high")
        )
        plural = "1 lane" if lanes == 1 else f"{lanes} lanes"
        return f"needs {told(Time(likely, low, high, 'runs'))} more on {plural} ({known_by(known)})"

    def _times(self, views: Sequence[RunView], lanes: int) -> list[Time | None]:
        """What each needs in all."""
        everything = self._store.runs()
        begun = frozenset(f"{view.run_id} {view.state}" for view in everything if view.state != "queued")
        if begun != self._begun:
            self._begun, self._whole = begun, {}
        missing = {view.run_id: run for view in views if view.run_id not in self._whole and (run := _config(view))}
        if missing:
            terms = Terms(lanes, seen_in(self._store.root, everything), product=False, own_load=_OURS)
            found = estimate_times(list(missing.values()), terms).times
            self._whole.update({run_id: time for run_id, time in zip(missing, found, strict=True) if time})
        return [self._whole.get(view.run_id) for view in views]


def _config(view: RunView) -> RunConfig | None:
    try:
        return validate(RunConfig, view.config)
    except ConfigError:  # of another version
        return None


def _left(view: RunView, whole: Time | None) -> Time | None:
    """What a run still needs: by its own speed where it is trained, by others' and its checkpoint where it waits."""
    left = view.seconds_left
    return Time.around(left, "runs", _PACE) if left is not None else whole and whole.times(1 - view.share)


def _end(views: Sequence[RunView], seconds: Sequence[float], lanes: int, wanted: set[str]) -> float:
    """When the last of those wanted is done, where each lane takes the next that waits."""
    running = [place for place, view in enumerate(views) if view.state == "running"]
    free = [*(seconds[place] for place in running), *[0.0] * max(lanes - len(running), 0)]
    ends = [seconds[place] for place in running if views[place].run_id in wanted]
    heapq.heapify(free)
    for place, view in enumerate(views):
        if place not in running:
            end = heapq.heappop(free) + seconds[place]
            heapq.heappush(free, end)
            ends += [end] if view.run_id in wanted else []
    return max(ends, default=0.0)
