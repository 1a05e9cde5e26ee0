"""How long runs will take on this device, from short measurements that are kept. No torch in this process.

A measurement is of one model, batch and device; `simplify.training.timing` makes it in a process of its
own. At most PROBES are made at a time, spread over the models' sizes, and the other runs' steps, and those
that took too long to measure, are scaled from the nearest in FLOPs. Settings that do not decide what a step
costs (seeds, optimiser, budget, corpus, gains' values) share one measurement.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simplify.config import RunConfig
from simplify.machine import threads_of_a_lane, threads_of_the_shell
from simplify.sweep.measured import TOO_LONG, measure
from simplify.sweep.timings import Key, gpus, keep, kept
from simplify.sweep.work import work_of
from simplify.zoo.counts import TRAINING_FLOPS, count_flops

PROBES = 4  # configurations measured at most for one estimate


@dataclass(frozen=True)
class Estimate:
    """How long runs will take."""

    seconds: tuple[float | None, ...]  # the whole budget of each run, with validation; None: unknown
    problem: str | None = None  # one line that says why some are unknown, or are not of the model itself


def estimate_seconds(
    configs: Sequence[RunConfig], lanes: int = 1, note: Callable[[str], None] = lambda _: None
) -> Estimate:
    """How long each run will take, alone or beside `lanes` - 1 others that share the CPU.

    `note` is told before something is measured.

    The first call for a model loads torch in a process of its own and takes some seconds; what it finds
    is kept. A budget in hours needs no measurement. Raises nothing: what cannot be measured is unknown,
    or scaled where it only took too long, and `problem` says why.
    """
    keys = [None if config.train.hours is not None else _key(config, lanes) for config in configs]
    groups: dict[Key, RunConfig] = {}
    for key, config in zip(keys, configs, strict=True):
        if key is not None:
            groups.setdefault(key, config)
    found, work = _measured(groups, lanes, note), {key: _flops(config) for key, config in groups.items()}
    steps = {key: _step_seconds(key, found, work) for key in groups}
    seconds = tuple(
        _run_seconds(config, None if key is None else steps[key]) for key, config in zip(keys, configs, strict=True)
    )
    return Estimate(seconds, _problem(keys, seconds, found))


def _problem(
    keys: Sequence[Key | None], seconds: Sequence[float | None], found: Mapping[Key, float | str]
) -> str | None:
    """Why some times are unknown, and how many are known only by another model's."""
    answers = [None if key is None else found.get(key) for key in keys]
    unknown = [answer for answer, second in zip(answers, seconds, strict=True) if second is None]
    late = [answer for answer, second in zip(answers, seconds, strict=True) if answer == TOO_LONG and second]
    few = f"they are on more than {PROBES} kinds of device, precision or threads"
    told = [f"{_of(unknown, keys)} unknown: {next(filter(None, unknown), few)}"] if unknown else []
    told += [f"{_of(late, keys)} scaled from another model's: {TOO_LONG}"] if late else []
    return "; ".join(told) or None


def _of(some: Sequence[object], all_of_them: Sequence[object]) -> str:
    """`1 of 10 training times is`."""
    return f"{len(some)} of {len(all_of_them)} training times {'is' if len(some) == 1 else 'are'}"


def _run_seconds(config: RunConfig, step: float | None) -> float | None:
    """Seconds of a whole run; a validated sequence costs what its share of training, the forward pass, does."""
    if config.train.hours is not None:
        return config.train.hours * 3600
    steps = config.total_steps
    if step is None or steps is None:
        return None
    validations = -(-steps // config.train.val_every)
    full = steps * (1 - (config.train.batch_ramp or 0.0) / 2)  # while batches grow they have half their size on average
    return step * (full + validations * config.train.val_sequences / config.batch_sequences / TRAINING_FLOPS)


def _key(config: RunConfig, lanes: int) -> Key:
    train, shared = config.train, _lane_threads(config, lanes)
    threads = config.cluster.cpu_threads or threads_of_the_shell() or shared or "torch's own"
    return Key(f"{train.device} {train.precision} {threads}", work_of(config))


def _lane_threads(config: RunConfig, lanes: int) -> int | None:
    """Threads that a lane gives a run which says nothing of them itself; None: it sets none."""
    said = config.cluster.cpu_threads is not None or threads_of_the_shell() is not None
    if lanes <= 1 or said or (config.train.device != "cpu" and gpus()):
        return None
    return threads_of_a_lane(lanes)


def _flops(config: RunConfig) -> int:
    """Of a step's forward passes."""
    return count_flops(config.block, config.model, config.data.vocab_size) * config.train.batch_tokens


def _measured(groups: Mapping[Key, RunConfig], lanes: int, note: Callable[[str], None]) -> dict[Key, float | str]:
    """Seconds of a step, or why they are unknown, for those of the groups that were measured, now or earlier."""
    known = {key: one for key in groups if (one := kept(key)) is not None}
    missing = [
        key
        for key in _spread({key: _flops(config) for key, config in groups.items()})
        if key not in known or not known[key].settled
    ]
    missing.sort(key=lambda key: key in known)  # the time for measuring may not do for all
    found = {key: one.answer for key, one in known.items()}
    busy = _is_busy()
    if missing:
        models = "a model" if len(missing) == 1 else f"{len(missing)} models"
        note(f"measuring a step of {models} on this machine, once; big models take up to a minute or two")
        if busy:
            note("the machine has other work now: the times may be far too long, and are measured again in ten minutes")
    asked = [groups[key] for key in missing]
    threads = next(filter(None, (_lane_threads(config, lanes) for config in asked)), None)
    for key, answer in zip(missing, measure(asked, threads), strict=True):
        found[key] = keep(key, answer, busy)
    return found


def _step_seconds(key: Key, found: Mapping[Key, float | str], work: Mapping[Key, int]) -> float | None:
    """Seconds of a step: measured, or where that was not tried or took too long, by those that were measured."""
    answer = found.get(key, TOO_LONG)
    if isinstance(answer, float):
        return answer
    measured = {other: seconds for other, seconds in found.items() if isinstance(seconds, float)}
    return _scaled(key, measured, work) if answer == TOO_LONG else None


def _spread(work: Mapping[Key, int]) -> list[Key]:
    """At most PROBES to be measured, small ones first: on each kind of device the extremes and some between."""
    kinds: dict[str, list[Key]] = {}
    for key in sorted(work, key=work.__getitem__):
        kinds.setdefault(key.device, []).append(key)
    each = PROBES // max(len(kinds), 1) or 1
    chosen: set[Key] = set()
    for keys in list(kinds.values())[:PROBES]:
        last = len(keys) - 1
        chosen |= {keys[round(n * last / (each - 1))] for n in range(each)} if each > 1 else {keys[last // 2]}
    return sorted(chosen, key=lambda key: (work[key], key))


def _scaled(key: Key, measured: Mapping[Key, float], work: Mapping[Key, int]) -> float | None:
    """Seconds of a step by FLOPs from the measured one that is nearest in them."""
    same = [other for other in measured if other.device == key.device]
    near = min(same, key=lambda other: abs(math.log(work[other] / work[key])), default=None)
    return None if near is None else measured[near] * work[key] / work[near]


def _is_busy() -> bool:
    """Whether other programs were using a good part of the cores in the last minute."""
    return os.getloadavg()[0] > 0.5 * threads_of_a_lane(1)
