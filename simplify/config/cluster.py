"""Where runs are trained: this machine, or a Slurm cluster and what is asked of it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from simplify.config.base import Name, Settings, show

# A value becomes a line of a batch script: a line break in it would be a line of its own.
Word = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]+$")]

_TIME = re.compile(r"(\d+-)?\d{1,3}(:\d{1,2}){1,2}|\d+-\d{1,2}")
_LOCAL_ONLY = ("lanes",)
_EVERYWHERE = ("name", "kind", "cpu_threads")


class ClusterConfig(Settings):
    """The machine a run is trained on, and what each run asks of it. No part of a run's identity."""

    name: Name = Field("local", description="the name of its YAML file")
    kind: Literal["local", "slurm"] = Field("local", description="local: this machine; slurm: jobs of a Slurm cluster")
    lanes: int | None = Field(
        None, ge=1, description="runs of sweeps that are trained at the same time; null: one a GPU, or one on a CPU"
    )
    cpu_threads: int | None = Field(None, ge=1, description="threads torch computes with; null: torch's own choice")
    partition: Word | None = Field(None, description="Slurm: --partition; null: the cluster's default")
    account: Word | None = Field(None, description="Slurm: --account")
    qos: Word | None = Field(None, description="Slurm: --qos")
    constraint: Word | None = Field(None, description="Slurm: --constraint, features of nodes")
    exclude: Word | None = Field(None, description="Slurm: --exclude, nodes to avoid")
    nodes: int = Field(1, ge=1, description="Slurm: nodes of one run")
    tasks_per_node: int | None = Field(
        None,
        ge=1,
        description="Slurm: processes of one run on a node; null: one a GPU of cluster.gpus_per_node, or one",
    )
    gpus_per_node: int | None = Field(None, ge=1, description="Slurm: --gpus-per-node")
    gres: Word | None = Field(None, description="Slurm: --gres, as in gpu:a100:2, for clusters that want it so")
    cpus_per_task: int | None = Field(None, ge=1, description="Slurm: --cpus-per-task")
    mem: str | None = Field(None, description="Slurm: --mem of a node, as in 32G; null: the partition's default")
    timeout: str | None = Field(
        None, description='Slurm: --time, as in "12:00:00" or "2-00:00:00"; null: the partition\'s default'
    )
    signal_seconds: int = Field(
        120,
        ge=10,
        le=65535,
        description="Slurm: seconds before the time limit at which a run saves and requeues itself",
    )
    max_parallel: int | None = Field(None, ge=1, description="Slurm: runs of a sweep at the same time; null: no limit")
    max_stalled: int = Field(
        3, ge=1, description="Slurm: attempts in a row that a run may make without advancing before it is given up"
    )
    wckey: Word | None = Field(None, description="Slurm: --wckey; null: not sent")
    setup: tuple[Word, ...] = Field((), description="Slurm: shell lines before training, such as 'module load cuda'")
    additional_parameters: dict[Word, bool | int | Word] = Field(
        {}, description="Slurm: any other option of sbatch by its long name, as in {reservation: mine}"
    )

    @field_validator("mem", mode="before")
    @classmethod
    def _memory_has_a_unit(cls, value: Any) -> Any:
        if value is None or (isinstance(value, str) and re.fullmatch(r"\d+[KMGT]B?", value)):
            return value
        unit = f" (or {value}M)" if str(value).isdecimal() else ""
        raise ValueError(f"cluster.mem={show(value)}: valid: a number with its unit, as in 64G{unit}")

    @field_validator("timeout", mode="before")
    @classmethod
    def _a_time_is_a_text(cls, value: Any) -> Any:
        if value is None or (isinstance(value, str) and _TIME.fullmatch(value)):
            return value
        base_60 = " (YAML reads 12:30:00 without quotes as a number to the base 60)" if isinstance(value, int) else ""
        raise ValueError(
            f'cluster.timeout={show(value)}: valid: a time in quotes, as in "12:00:00" or "2-00:00:00"{base_60}'
        )

    @model_validator(mode="after")
    def _settings_have_a_use(self) -> ClusterConfig:
        if self.kind == "slurm":
            useless, instead = _LOCAL_ONLY, "cluster.max_parallel limits the runs of a sweep on a Slurm cluster"
        else:
            useless = tuple(n for n in type(self).model_fields if n not in (*_LOCAL_ONLY, *_EVERYWHERE))
            instead = "cluster=slurm, or a cluster file of your own with kind: slurm"
        for name in useless:
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                raise ValueError(
                    f"cluster.{name}={show(value)}: has no use with cluster.kind={self.kind}; valid: {instead}"
                )
        if self.gres is not None and self.gpus_per_node is not None:
            raise ValueError(
                f"cluster.gres={self.gres}: and cluster.gpus_per_node={self.gpus_per_node} both ask for GPUs; valid: "
                "one of the two"
            )
        if self.seconds is not None and self.signal_seconds >= self.seconds:
            raise ValueError(
                f"cluster.signal_seconds={self.signal_seconds}: a run would be told to save before it has begun; "
                f"valid: less than cluster.timeout={self.timeout}"
            )
        return self

    @property
    def tasks(self) -> int:
        """Processes of one run on all its nodes."""
        return self.nodes * (self.tasks_per_node or self.gpus_per_node or 1)

    @property
    def seconds(self) -> int | None:
        """The time limit in seconds, by Slurm's reading: MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS."""
        if self.timeout is None:
            return None
        days, dash, rest = self.timeout.rpartition("-")
        parts = [int(part) for part in rest.split(":")]
        units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
        return int(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units, strict=False))
