"""What this machine has to compute with, found without loading torch: GPUs, cores, a slot for each lane."""

from __future__ import annotations

import functools
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simplify.display import tell_aside

CPU = "cpu"
VISIBLE = "CUDA_VISIBLE_DEVICES"
BF16 = ("amx_bf16", "avx512_bf16")  # instructions that multiply bf16, by Linux' names
PROMISED = "SIMPLIFY_LANE_GPU"  # the GPU that a lane gives its runs: they do not train on the CPU instead
_PATIENCE = (3.0, 20.0)  # seconds for nvidia-smi: until a word is said, and in all
_DRIVER = Path("/proc/driver/nvidia/gpus")
_GPU = re.compile(r"GPU (\d+): .*\(UUID: (GPU-[^)]+)\)")
_CPUINFO = Path("/proc/cpuinfo")
_PART = re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")  # a GPU that is cut into instances


@dataclass(frozen=True)
class Slot:
    """Where a lane computes: the device's name, and what its runs see in their environment."""

    device: str
    environment: dict[str, str | None]


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU: its number, its UUID, and those of its MIG instances, if it is cut into some."""

    index: str
    uuid: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Processor:
    """The CPU: what it calls itself, and those of its instructions that multiply bf16."""

    name: str
    bf16: tuple[str, ...]


def processor() -> Processor:
    """This machine's, as Linux tells it; elsewhere only its name is known."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    told = dict(re.findall(r"^(model name|flags)\s*:\s*(.*)$", text, re.MULTILINE))
    flags = told.get("flags", "").split()
    name = told.get("model name", "").strip() or platform.processor() or platform.machine()
    return Processor(name, tuple(flag for flag in BF16 if flag in flags))


def slots(lanes: int | None, use_gpus: bool = True) -> list[Slot]:
    """One slot a GPU, or one on a CPU; `lanes` of them, sharing the devices in turn, where it is given."""
    gpus = visible_gpus() if use_gpus else []
    if gpus:
        count = lanes or len(gpus)
        turns = (gpus[n % len(gpus)] for n in range(count))
        return [Slot(f"gpu {gpu}", {VISIBLE: gpu, PROMISED: gpu}) for gpu in turns]
    count = lanes or 1
    # submitit has emptied the variable for the lane
    environment: dict[str, str | None] = {VISIBLE: os.environ.get(VISIBLE), PROMISED: None}
    if count > 1 and threads_of_the_shell() is None:
        environment["OMP_NUM_THREADS"] = str(threads_of_a_lane(count))
    return [Slot(CPU, environment)] * count


def threads_of_a_lane(lanes: int) -> int:
    """Threads torch may use in each of `lanes` runs that share the CPU."""
    return max(1, cores() // lanes)


def threads_of_the_shell() -> int | None:
    """The threads that OMP_NUM_THREADS asks for; None where it is not set, or is no number that OpenMP takes."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isascii() and first.isdigit() and int(first) > 0 else None


def visible_gpus() -> list[str]:
    """Numbers or UUIDs of the NVIDIA GPUs that CUDA would use here, in order, as CUDA_VISIBLE_DEVICES names them.

    The variable chooses among the GPUs that are there and makes none. By CUDA's rules its list ends at the first
    entry that names no GPU, and one that names a GPU twice names none.
    """
    said, there = os.environ.get(VISIBLE), listed_gpus()
    if said is None:
        return [name for gpu in there for name in gpu.parts or (gpu.index,)]
    found: dict[str, str] = {}  # which device -> the word that says so
    words = [word.strip() for word in said.split(",")]
    for word in words:
        device = _meant(word, there) if _form(word) == _form(words[0]) else None  # CUDA takes no mixture
        if device is None:
            break
        if device in found:
            return []
        found[device] = word
    return list(found.values())


def _form(word: str) -> str:
    """Whether an entry is the UUID of a GPU or of an instance; empty: a number."""
    return word[:4] if word.startswith(("GPU-", "MIG-")) else ""


def _meant(word: str, there: Sequence[Gpu]) -> str | None:
    """The UUID that an entry means: a number, or the beginning of one UUID alone."""
    if number := re.match(r"\+?(\d+)", word):
        return next((gpu.uuid for gpu in there if int(gpu.index) == int(number[1])), None)
    uuids = [uuid for gpu in there for uuid in (gpu.uuid, *gpu.parts) if _form(word) and uuid.startswith(word)]
    return uuids[0] if len(uuids) == 1 else None


def listed_gpus() -> list[Gpu]:
    """The NVIDIA GPUs of this machine by nvidia-smi, or where there is no such program by the driver's files."""
    return list(_listed(os.environ.get("PATH", "")))


@functools.lru_cache(maxsize=8)
def _listed(_path: str) -> tuple[Gpu, ...]:
    found: list[Gpu] = []
    lines = _ask(["nvidia-smi", "-L"])
    for line in _driver_lines() if lines is None else lines:
        if gpu := _GPU.match(line):
            found.append(Gpu(gpu[1], gpu[2]))
        elif found and (part := _PART.match(line)):
            found[-1] = Gpu(found[-1].index, found[-1].uuid, (*found[-1].parts, part[1]))
    return tuple(found)


def _driver_lines() -> list[str]:
    """The same as nvidia-smi's, from the driver's own files: many containers have no such program."""
    lines: list[str] = []
    for file in sorted(_DRIVER.glob("*/information")):
        uuid = re.search(r"GPU UUID:\s*(GPU-\S+)", file.read_text(encoding="utf-8", errors="replace"))
        if uuid:
            lines.append(f"GPU {len(lines)}: (UUID: {uuid[1]})")
    return lines


def _ask(words: Sequence[str]) -> list[str] | None:
    """The lines that a program prints, none where it fails or is silent for long; None where there is no such one."""
    short, long = _PATIENCE
    try:
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                out, _ = process.communicate(timeout=short)
            except subprocess.TimeoutExpired:
                tell_aside(f"waiting for {words[0]}, which lists the GPUs")
                out, _ = process.communicate(timeout=long - short)
            finally:
                process.kill()
    except subprocess.SubprocessError:
        tell_aside(f"{words[0]}: no answer within {long:.0f} s; going on without GPUs")
        return []
    except OSError:
        return None
    return [] if process.returncode else out.splitlines()


def cores() -> int:
    """CPU cores that this process may use: a Slurm job's share, not the node's."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
