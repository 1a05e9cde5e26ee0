"""The processes that train one run together: who this one is, what they agree on, and who writes.

Their number and places come from the environment variables of torch (RANK, WORLD_SIZE, LOCAL_RANK,
MASTER_ADDR, MASTER_PORT), which torchrun sets and our Slurm jobs set from the job's tasks. The batch of
a step is the same for any number of processes; each takes its share of the micro-batches. Process 0
alone writes. Small decisions travel over gloo on the CPU, so that no GPU has to wait for them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from simplify.config import RunConfig
from simplify.errors import ConfigError

_PATIENCE = timedelta(minutes=10)  # for a process that does not come, or is gone


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
        """Meet the other processes. Raises what torch raises where they do not come."""
        if self.size > 1:
            import torch.distributed as dist

            dist.init_process_group("gloo", timeout=_PATIENCE)
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
    """Who this process is, by torch's variables; alone where there are none. No torch is loaded."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    try:
        rank, size, local = (int(os.environ[name]) for name in names)
    except (KeyError, ValueError):
        return World()
    return World(rank, size, local) if size > 1 else World()
