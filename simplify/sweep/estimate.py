"""How long runs will take on this device, from short measurements that are kept. No torch in this process.

    CACHE/timing/<key>.json     seconds of an optimiser step, or why they cannot be measured

A measurement is of one model, batch and device; `simplify.training.timing` makes it in a process of its
own. At most PROBES are made at a time, spread over the models' sizes, and the other runs' steps are
scaled from the nearest in FLOPs. Settings that do not decide what a step costs (seeds, optimiser,
budget, corpus) share one measurement.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from simplify import __version__
from simplify.config import RunConfig
from simplify.data.corpus import cache_dir
from simplify.machine import threads_of_a_lane
from simplify.runs.files import read_json, write_json
from simplify.sweep.measured import answer_of, measure
from simplify.zoo.counts import TRAINING_FLOPS, count_flops

PROBES = 4  # configurations measured at most for one estimate
_SHORT = 600.0  # seconds that an error is kept, and a time taken while the machine had other work
_FORMAT = 2  # of the files and of the way of measuring; raise it when they change


@dataclass(frozen=True)
class Estimate:
    """How long runs will take."""

    seconds: tuple[float | None, ...]  # the whole budget of each run, with validation; None: unknown
    problem: str | None = None  # one line that says why some are unknown


class _Key(NamedTuple):
    """What decides how long a step takes."""

    device: str  # and precision and threads: a time is scaled only where these are the same
    work: str  # the model and the batch


def estimate_seconds(
    configs: Sequence[RunConfig], lanes: int = 1, note: Callable[[str], None] = lambda _: None
) -> Estimate:
    """How long each run will take, alone or beside `lanes` - 1 others that share the CPU.

    `note` is told before something is measured.

    The first call for a model loads torch in a process of its own and takes some seconds; what it finds
    is kept. A budget in hours needs no measurement. Raises nothing: what cannot be measured is unknown,
    and `problem` says why.
    """
    keys = [None if config.train.hours is not None else _key(config, lanes) for config in configs]
    groups: dict[_Key, RunConfig] = {}
    for key, config in zip(keys, configs, strict=True):
        if key is not None:
            groups.setdefault(key, config)
    steps, reason = _step_seconds(groups, lanes, note)
    seconds = tuple(
        _run_seconds(config, None if key is None else steps[key]) for key, config in zip(keys, configs, strict=True)
    )
    unknown = seconds.count(None)
    problem = f"{unknown} of {len(seconds)} training times are unknown: {reason}" if unknown else None
    return Estimate(seconds, problem)


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


def _key(config: RunConfig, lanes: int) -> _Key:
    train, shared = config.train, _lane_threads(config, lanes)
    threads = config.cluster.cpu_threads or os.environ.get("OMP_NUM_THREADS") or shared or "torch's own"
    block = config.block.model_dump_json(exclude={"name"})
    model = config.model.model_dump_json(exclude={"name", "seed"})
    work = f"{block} {model} {config.data.vocab_size} {train.batch_tokens} {config.micro_batch}"
    return _Key(f"{train.device} {train.precision} {threads}", work)


def _lane_threads(config: RunConfig, lanes: int) -> int | None:
    """Threads that a lane gives a run which says nothing of them itself; None: it sets none."""
    said = config.cluster.cpu_threads is not None or "OMP_NUM_THREADS" in os.environ
    if lanes <= 1 or said or (config.train.device != "cpu" and _gpus()):
        return None
    return threads_of_a_lane(lanes)


def _step_seconds(
    groups: Mapping[_Key, RunConfig], lanes: int, note: Callable[[str], None]
) -> tuple[dict[_Key, float | None], str]:
    """Seconds of a step for each group, and why some are unknown."""
    work = {key: count_flops(c.block, c.model, c.data.vocab_size) * c.train.batch_tokens for key, c in groups.items()}
    paths = {key: _path(key) for key in groups}
    found = {key: kept for key, path in paths.items() if (kept := _read(path)) is not None}
    chosen = _spread(work)
    missing, busy = [key for key in chosen if key not in found], _is_busy()
    if missing:
        models = "a model" if len(missing) == 1 else f"{len(missing)} models"
        note(f"measuring a step of {models} on this machine, once; big models take up to a minute or two")
        if busy:
            note("the machine has other work now: the times may be far too long, and are measured again in ten minutes")
    asked = [groups[key] for key in missing]
    threads = next(filter(None, (_lane_threads(config, lanes) for config in asked)), None)
    for key, answer in zip(missing, measure(asked, threads), strict=True):
        found[key] = answer
        _write(paths[key], answer, busy or isinstance(answer, str))
    measured = {key: answer for key in chosen if isinstance(answer := found[key], float)}
    steps: dict[_Key, float | None] = {}
    for key in groups:
        known = found[key] if key in found else _scaled(key, measured, work)
        steps[key] = known if isinstance(known, float) else None
    reasons = (answer for answer in found.values() if isinstance(answer, str))
    return steps, next(reasons, f"they are on more than {PROBES} kinds of device, precision or threads")


def _spread(work: Mapping[_Key, int]) -> list[_Key]:
    """At most PROBES to be measured, small ones first: on each kind of device the extremes and some between."""
    kinds: dict[str, list[_Key]] = {}
    for key in sorted(work, key=work.__getitem__):
        kinds.setdefault(key.device, []).append(key)
    each = PROBES // max(len(kinds), 1) or 1
    chosen: set[_Key] = set()
    for keys in list(kinds.values())[:PROBES]:
        last = len(keys) - 1
        chosen |= {keys[round(n * last / (each - 1))] for n in range(each)} if each > 1 else {keys[last // 2]}
    return sorted(chosen, key=lambda key: (work[key], key))


def _scaled(key: _Key, measured: Mapping[_Key, float], work: Mapping[_Key, int]) -> float | None:
    """Seconds of a step by FLOPs from the measured one that is nearest in them."""
    same = [other for other in measured if other.device == key.device]
    near = min(same, key=lambda other: abs(math.log(work[other] / work[key])), default=None)
    return None if near is None else measured[near] * work[key] / work[near]


def _path(key: _Key) -> Path:
    text = "\n".join([*_machine(), "" if key.device.startswith("cpu ") else _gpus(), *key])
    return cache_dir() / "timing" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


@functools.cache
def _machine() -> tuple[str, ...]:
    """What the time of a step depends on besides the settings and the GPUs."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "none"
    return str(_FORMAT), __version__, torch, socket.gethostname(), str(threads_of_a_lane(1))


def _gpus() -> str:
    """The NVIDIA GPUs that CUDA would use here; empty where there are none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = _gpu_names() if visible is None or visible.strip() not in ("", "-1") else ""
    return f"{names} visible: {visible}" if names else ""


@functools.cache
def _gpu_names() -> str:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _is_busy() -> bool:
    """Whether other programs were using a good part of the cores in the last minute."""
    return os.getloadavg()[0] > 0.5 * threads_of_a_lane(1)


def _read(path: Path) -> float | str | None:
    """What is kept; None where there is nothing that still holds."""
    data = read_json(path) or {}
    until = data.get("until", math.inf)
    return answer_of(data) if isinstance(until, float) and time.time() < until else None


def _write(path: Path, answer: float | str, short: bool) -> None:
    data = {"error" if isinstance(answer, str) else "step_seconds": answer}
    with contextlib.suppress(OSError):  # then it is measured again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**data, **({"until": time.time() + _SHORT} if short else {})})
