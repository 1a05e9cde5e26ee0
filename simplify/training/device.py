"""The device and the precision a run is trained in."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from simplify.config import RunConfig
from simplify.display import tell_aside
from simplify.errors import ConfigError
from simplify.machine import processor
from simplify.runs.folder import root_path
from simplify.runs.precision import Answer, auto_on_cpu
from simplify.training.bf16 import measure_bf16

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Device:
    """Where a run computes, and in what precision."""

    kind: str  # cpu, cuda or mps
    precision: str  # fp32, bf16 or fp16
    why: str = ""  # of a precision that nobody has stated

    @property
    def torch(self) -> torch.device:
        """torch's own object."""
        return torch.device(self.kind)

    def in_precision(self, precision: str) -> Device:
        """The same device in another precision."""
        return replace(self, precision=precision)

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of forward passes; weights and gains stay in fp32."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.kind, dtype=_DTYPES[self.precision])

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling for fp16; does nothing in the other precisions."""
        return torch.amp.GradScaler(self.kind, enabled=self.precision == "fp16")

    def synchronise(self) -> None:
        """Wait until the device has done all it was asked to."""
        if self.kind == "cuda":
            torch.cuda.synchronize()
        elif self.kind == "mps":
            torch.mps.synchronize()

    def peak_memory_gib(self) -> float:
        """Most memory held so far: of the GPU's allocator, or of this process on a CPU."""
        if self.kind == "cuda":
            return torch.cuda.max_memory_allocated() / 2**30
        if self.kind == "mps":
            return torch.mps.driver_allocated_memory() / 2**30
        return _peak_bytes() / 2**30

    def facts(self) -> dict[str, Any]:
        """What run.json says of it."""
        name = torch.cuda.get_device_name() if self.kind == "cuda" else processor().name
        return {
            "device": {
                "kind": self.kind,
                "name": name,
                "precision": self.precision,
                "cpu_threads": torch.get_num_threads(),
                "cuda": torch.version.cuda,
            }
        }


def choose_device(config: RunConfig, recorded_precision: str | None, local_rank: int = 0, keep: bool = False) -> Device:
    """The device of `train.device` and the precision of `train.precision`.

    `auto` precision is decided at the run's first start and kept (`recorded_precision`): a run that
    moves to another machine must not change its arithmetic half-way. `keep` holds the runs that begin later to what is
    decided (`simplify.runs.precision`). Process `local_rank` of this machine takes the GPU of that number. Raises
    ConfigError.
    """
    if config.cluster.cpu_threads is not None:
        torch.set_num_threads(config.cluster.cpu_threads)
    kind = device_kind(config.train.device)
    if kind == "cuda":
        torch.cuda.set_device(local_rank % torch.cuda.device_count())  # a task may see its own GPU alone
    elif kind == "cpu":
        _keep_memory()
    precision, why = config.train.precision, ""
    if precision == "auto":
        precision, why, _ = _auto(config, kind, keep) if recorded_precision is None else _begun(recorded_precision)
    if precision == "fp16" and kind == "cpu":
        raise ConfigError(
            "train.precision=fp16: has no use on a CPU, which has no fast fp16; valid with train.device=cpu: "
            "auto, fp32, bf16"
        )
    return Device(kind, precision, why)


def _auto(config: RunConfig, kind: str, keep: bool) -> Answer:
    """What a run that begins now is trained in."""
    if kind == "cpu":
        return auto_on_cpu(root_path(config.run_root), config, measure_bf16, keep)
    if kind == "cuda" and torch.cuda.is_bf16_supported():
        return Answer("bf16", "this GPU has it")
    return Answer("fp32", "this GPU has no bf16" if kind == "cuda" else f"bf16 is not taken on {kind}")


def _begun(precision: str) -> Answer:
    return Answer(precision, "the run began in it")


def out_of_memory(error: Exception) -> bool:
    """Whether `error` is the device's or the host's memory running out; the CPU allocator has no class for it."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _peak_bytes() -> int:
    """The most that this process has held. On Linux getrusage has what held the program that started it, if more."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _keep_memory() -> None:
    """Have glibc keep what a step frees, for the next one, where the user's MALLOC_ variables do not say otherwise.

    By default large blocks go back to the system and come again as pages to be zeroed, in every layer of every step.
    The largest, logits above all, do that still: in the heap small objects that stay would break up the room that they
    leave, and it grew by a hundred MiB (`benchmarks/resident.py`).
    """
    wishes = {"MALLOC_MMAP_THRESHOLD_": (-3, 8 << 20), "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1)}  # numbers: malloc.h
    if platform.libc_ver()[0] == "glibc" and not wishes.keys() & os.environ.keys():
        libc = ctypes.CDLL(None)
        for parameter, size in wishes.values():
            libc.mallopt(parameter, size)


def device_kind(wanted: str) -> str:
    """cpu, cuda or mps: the best that is there for `auto`. Raises ConfigError where `wanted` is not."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        kind = next(kind for kind, here in available.items() if here)
        if kind != "cuda":
            _say_what_is_not_there(kind)
        return kind
    if not available.get(wanted):
        here = ", ".join(["auto", *(kind for kind, there in available.items() if there)])
        raise ConfigError(f"train.device={wanted}: this machine or this torch has none; valid here: {here}")
    return wanted


def _say_what_is_not_there(kind: str) -> None:
    """Raise ConfigError where a lane promised a GPU; else say that the shell's variable names none."""
    promised, said = os.environ.get("SIMPLIFY_LANE_GPU"), os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    if promised:
        raise ConfigError(
            f"train.device=auto: its lane has GPU {promised}, but this torch sees none; look at nvidia-smi and at "
            f"torch.cuda.is_available(), or set train.device={kind}"
        )
    if said and not said.startswith("-"):
        with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
            tell_aside(f"CUDA_VISIBLE_DEVICES={said}: torch sees no such GPU; this is {kind}")
