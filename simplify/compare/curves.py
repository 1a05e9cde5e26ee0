"""Loss curves of variants: mean and spread over seeds, against five axes, thinned so that spikes stay."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simplify.compare.pairs import pairs_of
from simplify.compare.statistics import t_quantile
from simplify.compare.variants import Variant
from simplify.runs.metrics import read_columns
from simplify.runs.store import RunView

Array = NDArray[np.float64]

# The axes of curves, with their names on paper. Seconds and device hours are the runs' own time, validation included.
AXES = {
    "step": "step",
    "tokens": "training tokens",
    "flops": "training FLOPs",
    "seconds": "seconds of the run",
    "device_hours": "device hours",
}
TIMED = ("seconds", "device_hours")
_KEYS = ("seconds", "tokens", "train/loss", "val/loss", "grad_norm", "lr", "tokens_per_sec")
_GRID = 400  # points at which curves against time are compared


@dataclass(frozen=True)
class Line:
    """A curve with a band, all of one length; band edges are NaN where there is but one run."""

    x: Array
    y: Array
    low: Array
    high: Array
    n: int  # runs

    def cut(self, first: float, last: float) -> Line:
        """The part from `first` to `last`."""
        return self.at(np.flatnonzero((self.x >= first) & (self.x <= last)))

    def at(self, places: NDArray[np.intp]) -> Line:
        """Some of the points."""
        return replace(self, x=self.x[places], y=self.y[places], low=self.low[places], high=self.high[places])

    def times(self, factor: float) -> Line:
        """The same curve in another unit of x."""
        return replace(self, x=self.x * factor)


class Logged:
    """What each run has logged, read once."""

    def __init__(self) -> None:
        self._read: dict[str, dict[str, Array]] = {}

    def columns(self, run: RunView) -> dict[str, Array]:
        """step and _KEYS of each logged row."""
        if run.run_id not in self._read:
            self._read[run.run_id] = read_columns(run.folder.metrics_path, _KEYS)
        return self._read[run.run_id]

    def series(self, run: RunView, metric: str) -> tuple[Array, Array, Array]:
        """Steps, seconds and values of the rows that have the metric."""
        found = self.columns(run)
        there = np.isfinite(found[metric])
        return found["step"][there], found["seconds"][there], found[metric][there]

    def tokens_at(self, variant: Variant, steps: Array) -> Array:
        """Training tokens after so many steps of runs whose batches grow, straight between the logged rows."""
        found = [self.columns(run) for run in variant.drawn]
        return np.mean([np.interp(steps, one["step"], one["tokens"]) for one in found if len(one["step"])], axis=0)


def on_axis(line: Line, variant: Variant, axis: str, logged: Logged) -> Line | None:
    """A line against steps (or seconds, for the axes of time) against the axis; None where it cannot be told."""
    if axis in ("step", "seconds"):
        return line
    if axis == "device_hours":
        return line.times(variant.devices / 3600)
    if axis == "flops" and variant.costs is None:
        return None
    if variant.grows:
        line = replace(line, x=logged.tokens_at(variant, line.x))
    else:
        line = line.times(float(variant.batch_tokens))
    return line if axis == "tokens" or variant.costs is None else line.times(float(variant.costs.training_flops))


def mean_line(variant: Variant, logged: Logged, metric: str, timed: bool) -> Line | None:
    """A variant's metric against step, or against its runs' own seconds: mean and standard deviation over runs."""
    series = _of_runs(variant, logged, metric)
    return _joined(series, timed) if series else None


def single_lines(variant: Variant, logged: Logged, metric: str, timed: bool) -> list[Line]:
    """The same for each of its runs, where there are several."""
    series = _of_runs(variant, logged, metric)
    return [_joined([one], timed) for one in series] if len(series) > 1 else []


def _of_runs(variant: Variant, logged: Logged, metric: str) -> list[tuple[Array, Array, Array]]:
    series = [logged.series(run, metric) for run in variant.drawn]
    return [one for one in series if len(one[0])]


def _joined(series: Sequence[tuple[Array, Array, Array]], timed: bool) -> Line:
    return _over_time(series) if timed else _over_steps([(steps, values) for steps, _, values in series])


def _over_steps(series: Sequence[tuple[Array, Array]]) -> Line:
    """At the steps that all runs have logged; where they logged at different steps, straight between those."""
    x = series[0][0]
    for steps, _ in series[1:]:
        x = np.intersect1d(x, steps, assume_unique=True)
    first, last = max(steps[0] for steps, _ in series), min(steps[-1] for steps, _ in series)
    dense = max((steps for steps, _ in series), key=len)
    dense = dense[(dense >= first) & (dense <= last)]
    if 2 * len(x) < len(dense):
        return _summed(dense, [np.interp(dense, steps, values) for steps, values in series])
    return _summed(x, [values[np.isin(steps, x, assume_unique=True)] for steps, values in series])


def _over_time(series: Sequence[tuple[Array, Array, Array]]) -> Line:
    """At the same times, between which each run's values are interpolated."""
    if len(series) == 1:
        return _summed(series[0][1], [series[0][2]])
    first, last = max(s[1][0] for s in series), min(s[1][-1] for s in series)
    x = np.linspace(first, last, min(_GRID, max(len(s[0]) for s in series))) if last >= first else np.array([])
    return _summed(x, [np.interp(x, seconds, values) for _, seconds, values in series])


def _summed(x: Array, values: Sequence[Array]) -> Line:
    table = np.stack(values)
    mean = table.mean(axis=0)
    sd = table.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(x), math.nan)
    return Line(x, mean, mean - sd, mean + sd, len(values))


def gap_line(variant: Variant, base: Variant, logged: Logged, metric: str) -> Line | None:
    """The metric minus the baseline's at the same step, over pairs of one seed and precision: mean and interval."""
    gaps: list[tuple[Array, Array]] = []
    for run, other in pairs_of(variant.drawn, base.drawn):
        steps, _, values = logged.series(run, metric)
        base_steps, _, base_values = logged.series(other, metric)
        x, mine, its = np.intersect1d(steps, base_steps, assume_unique=True, return_indices=True)
        if len(x):
            gaps.append((x, values[mine] - base_values[its]))
    if not gaps:
        return None
    line = _over_steps(gaps)
    half = (line.high - line.y) * (t_quantile(line.n - 1) / math.sqrt(line.n) if line.n > 1 else math.nan)
    return replace(line, low=line.y - half, high=line.y + half)


def common_range(lines: Sequence[Line]) -> tuple[float, float] | None:
    """The range of x in which every line has points; a single point limits none, unless there are no others."""
    spans = [(line.x[0], line.x[-1]) for line in lines if len(line.x) > 1]
    spans = spans or [(line.x[0], line.x[-1]) for line in lines if len(line.x)]
    if not spans:
        return None
    return max(float(first) for first, _ in spans), min(float(last) for _, last in spans)


def thinned(line: Line, most: int) -> Line:
    """At most `most` points, among them the least and the largest value of each stretch: spikes stay."""
    if len(line.x) <= most:
        return line
    edges = np.linspace(0, len(line.x), max(most // 2, 1) + 1).astype(int)
    kept = {0, len(line.x) - 1}
    for first, last in itertools.pairwise(edges.tolist()):
        if last > first:
            part = line.y[first:last]
            kept |= {first + int(part.argmin()), first + int(part.argmax())}
    return line.at(np.array(sorted(kept)))


def smoothed(line: Line, window: int) -> Line:
    """The mean over `window` logged points around each one; fewer at the ends."""
    if window < 2 or not len(line.x):
        return line

    def mean(values: Array) -> Array:
        kernel = np.ones(window)
        return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")

    if len(line.x) < window:
        return line
    return replace(line, y=mean(line.y), low=mean(line.low), high=mean(line.high))
