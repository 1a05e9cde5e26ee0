"""The processes that train one run together: who this one is, what they agree on, and who writes.

Their number and places come from the environment variables of torch (RANK, WORLD_SIZE, LOCAL_RANK,
MASTER_ADDR, MASTER_PORT), which torchrun sets and our Slurm jobs set from the job's tasks. The batch of
a step is the same for any number of processes; each takes its share of the micro-batches. Process 0
alone writes. Small decisions travel over gloo on the CPU, so that no GPU has to wait for them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from simplify.config import RunConfig
from simplify.display import tell_aside
from simplify.errors import ConfigError, UserError

_PATIENCE = timedelta(minutes=10)  # for a process that is gone
_COMING = 300.0  # seconds for all processes to come: Python's start on many nodes at once with a slow disk
_QUIET = 5.0  # seconds in which the processes of a launcher meet without a word
_LOOK_EVERY = 0.1  # seconds
_WHO = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_WHERE = ("MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class World:
    """This process among those that train a run."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    _group: list[Any] = field(default_factory=list, repr=False)  # the gloo group, once joined

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def join(self) -> None:
        """Meet the other processes. Raises UserError where they do not come, and hears signals while it waits."""
        if self.size > 1:
            _meet(self)
            import torch.distributed as dist

            self._group.append(dist.group.WORLD)

    def gradient_group(self, kind: str) -> Any:
        """The group whose members average their gradients: over NCCL on NVIDIA GPUs, else over gloo."""
        import torch.distributed as dist

        return dist.new_group(backend="nccl", timeout=_PATIENCE) if kind == "cuda" else self._group[0]

    def leave(self) -> None:
        """Part in good order, once all have come so far."""
        if self._group:
            import torch.distributed as dist

            self._group.clear()
            dist.destroy_process_group()

    def agree(self, signal: int, seconds: float) -> tuple[int, float]:
        """At a step boundary: the signal that any process has got (0: none), and process 0's clock."""
        if self.size == 1:
            return signal, seconds
        import torch
        import torch.distributed as dist

        said = torch.tensor([float(signal), seconds if self.leads else 0.0], dtype=torch.float64)
        dist.all_reduce(said, op=dist.ReduceOp.MAX, group=self._group[0])
        return int(said[0]), float(said[1])

    def sum(self, *values: float) -> list[float]:
        """The sums of numbers over all processes."""
        if self.size == 1:
            return list(values)
        import torch
        import torch.distributed as dist

        table = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(table, group=self._group[0])
        return table.tolist()

    def share(self, value: Any) -> Any:
        """Process 0's plain value, in every process."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, group=self._group[0])
        return box[0]

    def micro_batch(self, config: RunConfig) -> int:
        """Sequences in one forward pass of this process: train.micro_batch, or less where its share of a batch is.

        Of batches that grow by micro-batches each process takes its share of each. Raises ConfigError where the
        batch cannot be shared out.
        """
        if config.train.batch_ramp is not None:
            size, rest = divmod(config.micro_batch, self.size)
            if rest:
                raise ConfigError(
                    f"train.micro_batch={config.micro_batch}: with train.batch_ramp the first batch is one micro-batch,"
                    f" which {self.size} processes cannot share; valid: a multiple of {self.size}"
                )
            return size
        share, rest = divmod(config.batch_sequences, self.size)
        if rest or not share:
            raise ConfigError(
                f"train.batch_tokens={config.train.batch_tokens}: a batch of {config.batch_sequences} sequences cannot "
                f"be shared by {self.size} processes; valid: a number of processes that divides it"
            )
        return max(size for size in range(1, min(config.micro_batch, share) + 1) if share % size == 0)


def world_of_environment() -> World:
    """Who this process is, by torch's variables; alone where there are none. No torch is loaded.

    Raises ConfigError where the variables cannot be true: a launcher sets all of them, a shell may have some left over.
    """
    said = {name: value for name in _WHO if (value := os.environ.get(name, "").strip())}
    if len(said) < len(_WHO) or said["WORLD_SIZE"] == "1":  # meant for another program
        return World()
    wrong = [f"{name}={value}" for name, value in said.items() if not (value.isascii() and value.isdigit())]
    if wrong:
        raise ConfigError(f"{wrong[0]}: needs a whole number; {_ALONE}")
    rank, size, local = (int(said[name]) for name in _WHO)
    if size < 2:
        return World()
    if rank >= size:
        raise ConfigError(f"RANK={rank}: needs a number below WORLD_SIZE={size}; {_ALONE}")
    missing = [name for name in _WHERE if not os.environ.get(name, "").strip()]
    port = os.environ.get("MASTER_PORT", "").strip()
    if missing:
        raise ConfigError(
            f"{_told(_WHO)}: several processes that train one run need {missing[0]} too, which is not set; start them "
            f"with torchrun; {_ALONE}"
        )
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"MASTER_PORT={port}: needs a number from 1 to 65535; {_ALONE}")
    return World(rank, size, local)


_ALONE = "to train alone: env -u RANK -u WORLD_SIZE simplify train ..."


def _told(names: tuple[str, ...] = (*_WHO, *_WHERE)) -> str:
    return " ".join(f"{name}={os.environ.get(name, '').strip()}" for name in names)


def _meet(world: World) -> None:
    """Wait for the other processes on a thread: torch waits in C++, where this one's signals are not heard."""
    others = f"{world.size - 1} other process{'es' if world.size > 2 else ''}"
    launched = "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_PROCID" in os.environ
    failed: list[BaseException] = []
    waiting = threading.Thread(target=_join_torch, args=(failed,), daemon=True)
    start, told = time.monotonic(), False
    if not launched:
        told = _say_waiting(others)
    waiting.start()
    while waiting.is_alive():
        waiting.join(_LOOK_EVERY)
        waited = time.monotonic() - start
        if not told and waited > _QUIET:
            told = _say_waiting(others)
        if waited > _COMING:
            raise UserError(f"{_told()}: {others} did not come within {_COMING / 60:.0f} minutes; {_ALONE}")
    if failed:
        why = next(iter(str(failed[0]).strip().splitlines()), type(failed[0]).__name__)
        raise UserError(f"{_told()}: the processes of this run do not meet: {why}; {_ALONE}") from failed[0]


def _join_torch(failed: list[BaseException]) -> None:
    try:
        import torch.distributed as dist

        dist.init_process_group("gloo", timeout=_PATIENCE)
    except Exception as error:  # told by the thread that waits
        failed.append(error)


def _say_waiting(others: str) -> bool:
    with contextlib.suppress(OSError, ValueError):  # nobody may be there to read it
        tell_aside(f"waiting for {others}, as {_told()} say; {_ALONE}")
    return True
