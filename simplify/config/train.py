"""How a run is trained, on what machine, and where it is logged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simplify.config.base import Settings

_PEAK = 0.75


class OptimiserConfig(Settings):
    """The optimiser and its learning-rate schedule."""

    name: Literal["adamw"] = Field("adamw", description="the update rule")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="decay rates of the two moments"
    )
    eps: float = Field(1e-8, gt=0, description="added to the root of the second moment")
    weight_decay: float = Field(
        0.1, ge=0, description="decoupled decay of matrices; gains, norm scales and biases have none"
    )
    value_lr_ratio: float = Field(
        1.0, ge=0, description="learning rate of the matrices W_V and W_P relative to the others (paper, Fig 9)"
    )
    grad_clip: float | None = Field(1.0, gt=0, description="largest norm of the gradient; null: no clipping")
    schedule: Literal["linear", "cosine", "constant", "triangle"] = Field(
        "linear",
        description="the learning rate after warm-up; linear, cosine and triangle end at 0, triangle rises from lr / 4",
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the budget that warms up linearly from 0")
    peak: float = Field(_PEAK, gt=0, lt=1, description="triangle: share of the budget at which the rate is lr")

    @model_validator(mode="after")
    def _settings_have_a_use(self) -> OptimiserConfig:
        if self.schedule == "triangle" and self.warmup:
            raise ValueError(
                f"optimiser.warmup={self.warmup:g}: optimiser.schedule=triangle rises by itself, up to optimiser.peak; "
                "valid: 0"
            )
        if self.schedule != "triangle" and self.peak != _PEAK:
            raise ValueError(
                f"optimiser.peak={self.peak:g}: has no use with optimiser.schedule={self.schedule}; valid: {_PEAK:g}, "
                "or set optimiser.schedule=triangle"
            )
        return self


class TrainConfig(Settings):
    """Budget, batch, and how often things are written down."""

    steps: int | None = Field(None, ge=1, description="budget in optimiser updates")
    tokens: int | None = Field(None, ge=1, description="budget in training tokens, rounded up to whole steps")
    hours: float | None = Field(None, gt=0, description="budget in hours of this run's own training time")
    batch_tokens: int = Field(ge=1, description="tokens in one update: a multiple of model.seq_len")
    batch_ramp: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of the budget over which a batch grows from train.micro_batch to train.batch_tokens; "
        "null: it has its full size from the first step on",
    )
    mlm_probability: float | None = Field(
        None, gt=0, lt=1, description="share of an encoder's tokens to be predicted; null: 0.25, and none in a decoder"
    )
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="sequences in one forward pass, the rest is accumulated; null: all that a process has of a batch",
    )
    log_every: int = Field(10, ge=1, description="steps between two lines of metrics.jsonl")
    val_every: int = Field(100, ge=1, description="steps between two validations; the last step always validates")
    val_sequences: int = Field(256, ge=1, description="sequences of the fixed validation set")
    checkpoint_every: int = Field(500, ge=1, description="steps between two checkpoints")
    checkpoint_minutes: float = Field(10, gt=0, description="at most so many minutes between two checkpoints")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="auto: bf16 on a GPU that has it, and on a CPU that is clearly faster in it, else fp32; kept for "
        "the run's whole life",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto: cuda, else mps, else cpu")
    compile: Literal["auto", True, False] = Field(
        "auto", description="torch.compile the model; auto: on CUDA, elsewhere it gains little and takes long"
    )
    compile_mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] = Field(
        "default", description="what the compiler spends its time on; reduce-overhead: CUDA graphs"
    )

    @model_validator(mode="after")
    def _one_budget(self) -> TrainConfig:
        given = [f"train.{n}={getattr(self, n)}" for n in BUDGETS if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                f"train.steps, train.tokens, train.hours: found {', '.join(given) or 'none'}; "
                "valid: exactly one of the three"
            )
        return self


BUDGETS = ("steps", "tokens", "hours")


Tag = Annotated[str, Field(min_length=1, max_length=64)]


class WandbConfig(Settings):
    """Weights & Biases. metrics.jsonl in the run folder is the truth; this is a copy of it."""

    mode: Literal["offline", "online", "disabled"] = Field(
        default="offline", description="offline: in the run folder, no account needed; online: upload as it trains"
    )
    project: str = Field(default="simplify", min_length=1, max_length=128, description="the project's name")
    entity: str | None = Field(default=None, description="user or team; null: the account's default")
    group: str | None = Field(
        default=None, max_length=128, description="name that gathers runs in charts; null: its sweep, or model and data"
    )
    tags: tuple[Tag, ...] = Field(default=(), description="labels, 1 to 64 characters each")
    name: str | None = Field(
        default=None, min_length=1, max_length=128, description="what W&B calls the run; null: the run folder's name"
    )
    notes: str | None = Field(default=None, description="a longer text that W&B shows with the run")
    alerts: bool = Field(default=False, description="W&B sends you a message when the run fails or diverges")
    model: bool = Field(
        default=False, description="upload the final model, as an artifact that simplify can read again"
    )
    gradients: bool = Field(
        default=False, description="every train.val_every steps a histogram of each weight's gradient, before clipping"
    )
