"""What a variant takes over what its baseline took: speed, memory, the way to the same loss; where that may be told."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simplify.compare.curves import Logged
from simplify.compare.overlap import at_once
from simplify.compare.pairs import pairs_of, precision_of
from simplify.compare.variants import Variant
from simplify.config import show
from simplify.runs.store import RunView

# Of a run's machine and settings, apart in any of which times say nothing.
FACTS = ("device", "threads", "torch", "precision", "compiled")


@dataclass(frozen=True)
class Ratio:
    """A number of this variant over the baseline's: over pairs of runs, or a bench's rounds, median and extremes."""

    middle: float
    least: float
    most: float
    n: int  # pairs; 0: a bench's rounds


@dataclass(frozen=True)
class Reach:
    """How far training had to go to the baseline's own final loss, as a part of what the baseline took."""

    reached: int
    of: int  # pairs
    step: Ratio | None  # over the pairs that reached it
    seconds: Ratio | None  # over those of them that trained side by side


def speed_of(variant: Variant, base: Variant) -> Ratio | None:
    """Over pairs of runs, of whatever seeds, that trained side by side."""
    speeds = [[(run, run.last.get("tokens_per_sec")) for run in one.done] for one in (variant, base)]
    pairs = [(run, other, mine, its) for (run, mine), (other, its) in itertools.product(*speeds) if mine and its]
    return _ratio([mine / its for run, other, mine, its in pairs if at_once(run, other)])


def memory_of(variant: Variant, base: Variant) -> Ratio | None:
    """None on a CPU: a process' memory there is W&B's and the libraries' too, which differs by what is logged."""
    if any((run.about.get("device") or {}).get("kind") == "cpu" for run in (*variant.done, *base.done)):
        return None
    mine, its = (one.final("peak_mem_gib") for one in (variant, base))
    return _ratio([mine[seed] / its[seed] for seed in mine if its.get(seed)])


def _ratio(parts: Sequence[float]) -> Ratio | None:
    return Ratio(statistics.median(parts), min(parts), max(parts), len(parts)) if parts else None


def same_machine(variant: Variant, base: Variant) -> bool:
    """Whether times may be put side by side: one device, torch, precision and compile mode in all runs."""
    keys = {tuple(fact_of(run, what) for what in FACTS) for run in [*variant.done, *base.done]}
    return len(keys) == 1


def fact_of(run: RunView, what: str) -> str:
    """One of FACTS about a run."""
    device = run.about.get("device") or {}
    found = {
        "device": device.get("name"),
        "threads": device.get("cpu_threads") if device.get("kind") == "cpu" else "any",
        "torch": (run.about.get("versions") or {}).get("torch"),
        "precision": precision_of(run),
        "compiled": run.last.get("compiled"),
    }
    return "unknown" if found[what] is None else show(found[what])


def reach_of(variant: Variant, base: Variant, logged: Logged) -> Reach | None:
    """Where each pair's validation loss first is as low as the baseline's last one."""
    steps: list[float] = []
    times: list[float] = []
    pairs = pairs_of(variant.done, base.done)
    for run, other in pairs:
        goal = other.last.get("val/loss")
        found = None if goal is None else _first(logged, run, float(goal))
        if found is not None:
            steps.append(found[0] / other.last["step"])
            times += [found[1] / other.last["seconds"]] if at_once(run, other) else []
    seconds = _ratio(times) if same_machine(variant, base) else None
    return Reach(len(steps), len(pairs), _ratio(steps), seconds) if pairs else None


def _first(logged: Logged, run: RunView, goal: float) -> tuple[float, float] | None:
    """Step and seconds at which a run's validation loss reaches `goal`, straight between two validations."""
    steps, seconds, losses = logged.series(run, "val/loss")
    below = np.flatnonzero(losses <= goal)
    if not len(below):
        return None
    at = int(below[0])
    if at == 0:
        return float(steps[0]), float(seconds[0])
    share = float((losses[at - 1] - goal) / (losses[at - 1] - losses[at]))
    return tuple(float(x[at - 1] + share * (x[at] - x[at - 1])) for x in (steps, seconds))  # type: ignore[return-value]
