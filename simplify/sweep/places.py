"""Where a run would compute, as far as it can be told without torch: what two times must share to be of one device."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from simplify.config import RunConfig
from simplify.machine import cores, threads_of_a_lane, threads_of_the_shell
from simplify.sweep.timings import gpus

_THREADS_OF_A_CORE = Path("/sys/devices/system/cpu/smt/active")
_MOST = 3.0  # times that other programs' work makes a run longer, at most: nobody knows how long it lasts


class Place(NamedTuple):
    """A device, the precision, and the threads where the device is a CPU."""

    kind: str  # cpu, cuda, mps; auto where only torch can tell
    precision: str
    threads: int | None  # None: as many as torch takes by itself

    @property
    def name(self) -> str:
        """All of it as one text."""
        return f"{self.kind} {self.precision} {self.threads or 'own'}"

    @property
    def is_plain(self) -> bool:
        """Whether numpy's products are as fast as torch's there: fp32 on a CPU."""
        return (self.kind, self.precision) == ("cpu", "fp32")


def place_of(config: RunConfig, lanes: int = 1, auto: str = "fp32") -> Place:
    """Where a run computes, alone or beside `lanes` - 1 others that share the CPU; `auto`: that precision on a CPU."""
    kind, precision = config.train.device, config.train.precision
    if kind == "auto":
        kind = "cuda" if gpus() else "auto" if sys.platform == "darwin" else "cpu"
    if kind != "cpu":
        return Place(kind, precision, None)
    return Place(kind, auto if precision == "auto" else precision, _threads(config, lanes))


def _threads(config: RunConfig, lanes: int) -> int | None:
    shared = threads_of_a_lane(lanes) if lanes > 1 else None
    return config.cluster.cpu_threads or threads_of_the_shell() or shared


def is_there(place: Place, facts: Mapping[str, Any], asked_precision: str) -> bool:
    """Whether a device that a run or a bench has noted of itself, on this machine, is that place.

    `asked_precision` is the setting: what auto comes to is known on a CPU alone.
    """
    kind, threads = facts.get("kind"), facts.get("cpu_threads")
    if place.kind != kind:
        return False
    if kind != "cpu":
        return place.precision == asked_precision  # the GPUs of one machine count as alike
    own = {cores(), cores() // 2 if _has_two_threads_a_core() else cores()}
    return place.precision == facts.get("precision") and threads in ({place.threads} if place.threads else own)


def _has_two_threads_a_core() -> bool:
    try:
        return _THREADS_OF_A_CORE.read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False


def crowding(place: Place, lanes: int) -> float:
    """Times that a run takes longer for having more threads beside it, in the lanes, than there are cores."""
    return max(1.0, lanes * (place.threads or cores()) / cores()) if place.kind == "cpu" and lanes > 1 else 1.0


def other_work(own: float = 0.0) -> float:
    """Cores that other programs have used in the last minute, of those here; runs of ours that use `own` left out."""
    return max(os.getloadavg()[0] - own, 0.0)


def is_busy(load: float) -> bool:
    """Whether that is a good part of the cores."""
    return load > 0.5 * cores()


def slowed(place: Place, load: float) -> float:
    """Times that a run may take longer while the other work lasts."""
    return min(1 + load / cores(), _MOST) if place.kind == "cpu" else 1.0
