"""Measured times of a step, kept for this machine: the fastest of each, since other work can only slow a step down.

CACHE/timing/<key>.json     seconds of an optimiser step, or why they cannot be measured
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import socket
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from simplify import __version__
from simplify.data.cache import cache_dir
from simplify.machine import listed_gpus, threads_of_a_lane, visible_gpus
from simplify.runs.files import read_json, write_json

_SHORT = 600.0  # seconds until an error, or a time taken while the machine had other work, is measured again
_FORMAT = 3  # of the files and of the way of measuring; raise it when they change


class Key(NamedTuple):
    """What decides how long a step takes."""

    device: str  # and precision and threads: a time is scaled only where these are the same
    work: str  # the model and the batch


class Kept(NamedTuple):
    """What is known of a step."""

    answer: float | str  # seconds, or why they cannot be measured
    settled: bool  # whether there is no need to measure it again now


def kept(key: Key) -> Kept | None:
    """What is known; an error is forgotten after ten minutes, a time is not."""
    return _read(read_json(_path(key)) or {})


def keep(key: Key, answer: float | str, busy: bool) -> float | str:
    """Keep a new answer, and return the one that counts: the fastest time known, an error only where there is none.

    `busy`: the machine had other work, so it is to be measured again in ten minutes. A cache that cannot be written
    is no error.
    """
    path, settled = _path(key), isinstance(answer, float) and not busy
    old = _read(read_json(path) or {})  # again: another plan may have measured it meanwhile
    if old is not None and isinstance(old.answer, float):
        answer = old.answer if isinstance(answer, str) else min(old.answer, answer)
        settled = settled or old.settled
    data: dict[str, Any] = {"error" if isinstance(answer, str) else "step_seconds": answer}
    with contextlib.suppress(OSError):  # then it is measured again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, data if settled else {**data, "until": time.time() + _SHORT})
    return answer


def answer_of(data: object) -> float | str | None:
    """Seconds, or why they are unknown; None where `data` is neither."""
    if not isinstance(data, dict):
        return None
    seconds, error = data.get("step_seconds"), data.get("error")
    if isinstance(seconds, float) and 0 < seconds < math.inf:
        return seconds
    return error if isinstance(error, str) else None


def _read(data: dict[str, Any]) -> Kept | None:
    until, answer = data.get("until", math.inf), answer_of(data)
    settled = isinstance(until, float) and time.time() < until
    return None if answer is None or (isinstance(answer, str) and not settled) else Kept(answer, settled)


def _path(key: Key) -> Path:
    text = "\n".join([*_machine(), "" if key.device.startswith("cpu ") else gpus(), *key])
    return cache_dir() / "timing" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


@functools.cache
def _machine() -> tuple[str, ...]:
    """What the time of a step depends on besides the settings and the GPUs."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "none"
    return str(_FORMAT), __version__, torch, socket.gethostname(), str(threads_of_a_lane(1))


def gpus() -> str:
    """The NVIDIA GPUs that CUDA would use here; empty where there are none."""
    there, visible = ", ".join(f"{gpu.index}: {gpu.uuid}" for gpu in listed_gpus()), visible_gpus()
    return f"{there} visible: {','.join(visible)}" if visible else ""
