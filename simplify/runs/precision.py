"""What `train.precision=auto` is on a CPU: bf16 where the processor multiplies it natively and that was measured to be
faster, else fp32.

Decided once for a run root on each kind of processor, before its first run there, and kept: the lanes of a sweep, and
a sweep and its later seeds, must not come to different answers, or no verdict could be read across them.

RUNS/.precision/<processor>.json    the answer, and why
CACHE/timing/bf16-<machine>.json    how much faster bf16 was measured to be
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from simplify.config import RunConfig
from simplify.data.cache import cache_dir
from simplify.locks import held
from simplify.machine import BF16, Processor, processor
from simplify.runs.files import read_json, write_json
from simplify.runs.shapes import Bf16Speed, PrecisionAnswer

CLEARLY = 1.2  # times as fast as fp32 that bf16 has to be, in the median of the rounds; in a quarter of them at least 1


class Speed(NamedTuple):
    """Times as fast as an fp32 product that one in bf16 is, over rounds of both in turn."""

    median: float
    quarter: float  # a quarter of the rounds have less

    @property
    def is_clear(self) -> bool:
        """Whether bf16 is faster whatever else the machine did meanwhile."""
        return self.median >= CLEARLY and self.quarter > 1


class Answer(NamedTuple):
    """A precision and why it is taken."""

    precision: str
    why: str
    settled: bool = True  # False: to be asked again

    @property
    def line(self) -> str:
        """Both, for a person."""
        return f"train.precision=auto: {self.precision} ({self.why})"


Measure = Callable[[], Speed | None]  # None: it could not be measured


def auto_on_cpu(root: Path, config: RunConfig, measure: Measure, keep: bool = False) -> Answer:
    """What a run that begins in `root` on this machine's CPU is trained in.

    `keep`: hold the next ones in `root`, which has to be there, to it.
    """
    if config.cluster.kind == "slurm":
        return Answer("fp32", "a cluster's CPUs may differ; train.precision=bf16 where all multiply in it")
    here = processor()
    if not here.bf16:
        return Answer("fp32", f"this processor has neither {' nor '.join(BF16)}")
    path = root / ".precision" / f"{hashlib.sha256(repr(here).encode()).hexdigest()[:10]}.json"
    if (known := _read(path)) is not None:
        return known
    if not keep:
        return _decided(root, here, measure)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a disk that is full: the run's own files will meet it, and say so
            stack.enter_context(held(root / ".locks" / "precision.lock", f"the precision of {root}"))
        if (known := _read(path)) is not None:  # of another process, meanwhile
            return known
        answer = _decided(root, here, measure)
        if answer.settled:
            with contextlib.suppress(OSError):
                path.parent.mkdir(exist_ok=True)
                write_json(path, {"precision": answer.precision, "why": answer.why})
    return answer


def _read(path: Path) -> Answer | None:
    data = read_json(path, PrecisionAnswer)
    return Answer(data["precision"], data["why"]) if data else None


def _decided(root: Path, here: Processor, measure: Measure) -> Answer:
    if number := sum(map(_was_auto_in_fp32, root.glob("*/run.json"))):
        runs = "run" if number == 1 else f"{number} runs"
        return Answer(
            "fp32", f"as the {runs} on a CPU that this run root had already; train.precision=bf16 for another"
        )
    speed = _measured(here, measure)
    said = f"this processor has {here.bf16[0]}"
    if speed is None:
        return Answer("fp32", f"{said}, but no product could be measured", settled=False)
    times = f"a product of matrices is {speed.median:.1f} times as fast in bf16 as in fp32"
    if speed.is_clear:
        return Answer("bf16", f"{said}, and {times}")
    return Answer("fp32", f"{said}, but {times}: not clearly faster")


def _was_auto_in_fp32(about: Path) -> bool:
    data = read_json(about) or {}
    device, train = data.get("device") or {}, (data.get("config") or {}).get("train") or {}
    return (device.get("kind"), device.get("precision"), train.get("precision")) == ("cpu", "fp32", "auto")


def _measured(here: Processor, measure: Measure) -> Speed | None:
    """What is kept of this machine, else what `measure` finds; a cache that cannot be written is no error."""
    torch = metadata.version("torch")
    text = "\n".join((socket.gethostname(), repr(here), torch))
    path = cache_dir() / "timing" / f"bf16-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if (data := read_json(path, Bf16Speed)) is not None:
        return Speed(data["median"], data["quarter"])
    speed = measure()
    if speed is not None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, speed._asdict())
    return speed
