"""How long a step takes, by what is known of this device, and between which bounds.

Known ways, the surest first:

    budget    the run has hours, not steps
    runs      runs of the same work here (`simplify.sweep.work` says what that is)
    steps     steps of the same work, measured by themselves: `--measure`, `simplify bench`
    similar   the nearest of other work here, by FLOPs and by how fast the device multiplies matrices
    flops     FLOPs and a product of matrices alone
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from simplify.config import RunConfig
from simplify.sweep.places import Place
from simplify.sweep.product import TERA
from simplify.sweep.seen import Seen
from simplify.zoo.counts import TRAINING_FLOPS, count_flops

How = Literal["budget", "runs", "steps", "similar", "flops"]

# Share of a product's speed that a step reaches, and seconds a layer and micro-batch whatever its size. On CPUs as
# `benchmarks/estimate.py` finds it; on GPUs a guess between compiled and eager, hence the wide bounds.
_SHARE, _OVERHEAD = {"cpu": 0.62}, {"cpu": 1.5e-3}
_SHARE_ELSEWHERE, _OVERHEAD_ELSEWHERE = 0.3, 0.7e-3
_AROUND, _AROUND_ELSEWHERE = 1.75, 3.0  # bounds of what is known by FLOPs alone: so many times less or more
_SIMILAR, _NEAR = 1.5, 4.0  # the same for what is scaled, from up to so many times as much work
_RUNS, _STEPS = 1.15, 1.3  # a step measured by itself has no other run beside it


@dataclass(frozen=True)
class Time:
    """Seconds, and between which bounds they lie."""

    seconds: float
    low: float
    high: float
    how: How

    @classmethod
    def around(cls, seconds: float, how: How, factor: float) -> Time:
        """So many times less or more."""
        return cls(seconds, seconds / factor, seconds * factor, how)

    def times(self, factor: float) -> Time:
        """The time of so much more work of the same kind."""
        return replace(self, seconds=self.seconds * factor, low=self.low * factor, high=self.high * factor)

    def slower(self, likely: float, at_most: float) -> Time:
        """The same work beside other work: it takes `likely` times as long, perhaps `at_most` times more."""
        return replace(self.times(likely), high=self.high * likely * at_most)


def step_flops(config: RunConfig) -> int:
    """FLOPs of a step's forward passes."""
    return count_flops(config.block, config.model, config.data.vocab_size) * config.train.batch_tokens


def modelled(config: RunConfig, place: Place, tera: float | None) -> float:
    """Seconds of a step where TERA FLOPs of products take `tera` of them; without that FLOPs, good for ratios alone."""
    flops = TRAINING_FLOPS * step_flops(config)
    if tera is None:
        return float(flops)
    share, overhead = _SHARE.get(place.kind, _SHARE_ELSEWHERE), _OVERHEAD.get(place.kind, _OVERHEAD_ELSEWHERE)
    return flops / TERA * tera / share + overhead * config.grad_accum * (config.model.n_layers + 1)


def step_of_runs(same: Sequence[Seen]) -> Time | None:
    """By steps of the same work that were made in runs or, where there are none, in benches."""
    runs = [seen.seconds for seen in same if seen.in_a_run]
    if runs:
        return Time(statistics.median(runs), min(runs) / _RUNS, max(runs) * _RUNS, "runs")
    benches = [seen.seconds for seen in same]
    return Time.around(min(benches), "steps", _STEPS) if benches else None


def step_measured(seconds: float) -> Time:
    """A step that was measured by itself."""
    return Time.around(seconds, "steps", _STEPS)


def step_of_others(work: float, others: Mapping[float, float]) -> Time | None:
    """By the nearest of others: their modelled seconds (`work` is this one's) and how long they took."""
    near = min(others, key=lambda other: abs(math.log(other / work)), default=None)
    if near is None:
        return None
    far = max(near / work, work / near) > _NEAR
    return Time.around(others[near] * work / near, "similar", _AROUND if far else _SIMILAR)


def step_of_flops(work: float, place: Place) -> Time:
    """By the model and one product of matrices."""
    return Time.around(work, "flops", _AROUND if place.kind == "cpu" else _AROUND_ELSEWHERE)
