"""What our small files must hold to be used: the fields that our code relies on, with their types.

A person's hand, a crash or another version can leave anything in their places. What does not fit is left out
whole and named (`simplify.runs.files.read_json`), so nobody after that has to look at a type again. Fields that
are not named here may hold anything.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

Count = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[int, Field(gt=0, lt=2**63)]
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{10}$")]
Scalar = FiniteFloat | bool | str | None
Name = Annotated[str, StringConstraints(pattern=r"^[^/\x00.][^/\x00]*$")]  # of a file or folder in ours, never a path


class Shape(BaseModel):
    """Strict: a number is no text, and a boolean no number."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True, protected_namespaces=())


class Named(Shape):
    """A group of settings."""

    name: str


class Model(Named):
    """`model` of a configuration."""

    n_layers: Positive
    d_model: Positive
    seq_len: Positive


class Train(Shape):
    """`train` of a configuration."""

    batch_tokens: Positive
    steps: Count | None = None
    tokens: Count | None = None
    hours: FiniteFloat | None = None
    micro_batch: Count | None = None
    device: str = "auto"


class Cluster(Shape):
    """`cluster` of a configuration."""

    kind: str = "local"
    lanes: Count | None = None


class _Settings(Shape):
    cluster: Cluster = Cluster()
    wandb: dict[str, Any] = {}
    seed: Count | None = None


class Asked(_Settings):
    """The configuration of a run that waits; whoever trains it validates it whole."""

    block: Named | None = None
    model: Model | None = None
    data: Named | None = None
    train: Train | None = None


class Config(_Settings):
    """The configuration of a run that has begun."""

    block: Named
    model: Model
    data: Named
    train: Train


class Corpus(Shape):
    """`data` of an identity."""

    corpus: str


class Identity(Shape):
    """What the hash in a run's name is of."""

    block: dict[str, Any]
    model: dict[str, Any]
    data: Corpus
    train: dict[str, Any]
    seeds: dict[str, Count]


class Device(Shape):
    """`device` of run.json."""

    kind: str | None = None
    precision: str | None = None


class PrecisionAnswer(Shape):
    """What train.precision=auto is in a run root."""

    precision: Literal["fp32", "bf16"]
    why: str


class Bf16Speed(Shape):
    """How much faster bf16 was measured to be."""

    median: float
    quarter: float


class About(Shape):
    """run.json."""

    id: Id
    config: Config | None = None
    identity: Identity | None = None
    device: Device = Device()
    git: dict[str, Any] | None = None
    versions: dict[str, str | None] = {}
    created: str | None = None
    code: str | None = None


class Process(Shape):
    """What names a process (see `simplify.runs.process`)."""

    host: str
    pid: Positive
    born: str | None = None


class Failure(Shape):
    """error.json, and why an earlier attempt failed."""

    cause: str = "exception"
    message: str = ""
    traceback: list[str] = []
    ended: str | None = None
    out: str | None = None


class Attempt(Process):
    """One entry of job.json."""

    started: str = ""
    from_step: Count = 0
    ended: str | None = None
    how: str | None = None
    error: Failure | None = None
    lane: str | None = None
    array: Name | None = None
    slurm: str | None = None
    node: str | None = None


class Attempts(Shape):
    """job.json."""

    attempts: list[Attempt]


class Result(Shape):
    """done.json."""

    __pydantic_extra__: dict[str, Scalar]  # pyright: ignore[reportIncompatibleVariableOverride]
    step: Count | None = None
    tokens: Count | None = None
    seconds: FiniteFloat | None = None
    loss: FiniteFloat | None = Field(None, alias="train/loss")
    val_loss: FiniteFloat | None = Field(None, alias="val/loss")
    bits: FiniteFloat | None = Field(None, alias="val/bits_per_byte")
    tokens_per_sec: FiniteFloat | None = None
    peak_mem_gib: FiniteFloat | None = None
    parameters: Count | None = None
    unigram_entropy: FiniteFloat | None = None


class Child(Shape):
    """The process of a claimed run; empty until it is there."""

    pid: Positive | None = None
    born: str | None = None


class Claim(Process):
    """A lane's file, and its claim on a run."""

    lane: Name
    device: str | None = None
    child: Child | None = None


class Waiting(Shape):
    """A run in a queue or a Slurm array (`simplify.runs.queue.Job`)."""

    run_id: Id
    name: Name
    config: Asked
    command: list[str]
    cwd: str
    code: str
    cache: str
    sweep: str | None = None
    fail_fast: bool = False
    corpus: str | None = None


class Array(Shape):
    """array.json of what was submitted to Slurm (`simplify.runs.slurm.Array`)."""

    name: str
    runs: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    created: str
    submitter: Process
    sweep: str | None = None
    fail_fast: bool = False
    parallel: Positive | None = None


class Rank(Failure):
    """Why a process of several died."""

    at: FiniteFloat = 0.0
