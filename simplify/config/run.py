"""A whole run: the groups together, and the rules that span two groups."""

from __future__ import annotations

from pydantic import Field, model_validator

from simplify.config.base import Settings
from simplify.config.block import BlockConfig
from simplify.config.cluster import ClusterConfig
from simplify.config.data import DataConfig
from simplify.config.model import ModelConfig, divisors
from simplify.config.train import OptimiserConfig, TrainConfig, WandbConfig


class RunConfig(Settings):
    """Everything one run is made of. Frozen: what was composed is what is trained."""

    block: BlockConfig
    model: ModelConfig
    data: DataConfig
    optimiser: OptimiserConfig
    cluster: ClusterConfig
    train: TrainConfig
    wandb: WandbConfig = Field(WandbConfig(), description="Weights & Biases")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the initial weights and of the batches' order")
    run_root: str | None = Field(
        None, description="folder of the run folders; null: $SIMPLIFY_RUNS, else runs in the current folder"
    )

    @property
    def init_seed(self) -> int:
        """The seed of the initial weights."""
        return self.seed if self.model.seed is None else self.model.seed

    @property
    def data_seed(self) -> int:
        """The seed of the order of the batches."""
        return self.seed if self.data.seed is None else self.data.seed

    @property
    def batch_sequences(self) -> int:
        """Sequences in one optimiser update."""
        return self.train.batch_tokens // self.model.seq_len

    @property
    def micro_batch(self) -> int:
        """Sequences in one forward pass."""
        return self.train.micro_batch or self.batch_sequences

    @property
    def mlm_probability(self) -> float:
        """Share of an encoder's tokens to be predicted (0.25 as in the paper's BERT)."""
        return 0.25 if self.train.mlm_probability is None else self.train.mlm_probability

    @property
    def grad_accum(self) -> int:
        """Forward passes in one optimiser update."""
        return self.batch_sequences // self.micro_batch

    @property
    def total_steps(self) -> int | None:
        """The budget in steps, or None where it is given in hours."""
        if self.train.tokens is not None:
            return -(-self.train.tokens // self.train.batch_tokens)
        return self.train.steps

    @model_validator(mode="after")
    def _identity_needs_square_values(self) -> RunConfig:
        block, model = self.block, self.model
        kinds = {"query": block.query, "value": block.value.kind, "projection": block.projection.kind}
        if block.first_value is not None:
            kinds["first_value"] = block.first_value.kind
        for name, kind in kinds.items():
            if kind == "dense":
                continue
            if name != "query" and model.kv_heads != model.n_heads:
                raise ValueError(
                    f"model.n_kv_heads={model.n_kv_heads}: block.{name} is {kind}, which needs as many "
                    f"key/value heads as heads; valid: null or {model.n_heads}; or choose a block with dense values"
                )
            if model.n_heads * model.head_width != model.d_model:
                raise ValueError(
                    f"model.d_head={model.d_head}: block.{name} is {kind}, which needs n_heads * d_head = "
                    f"d_model; valid: null or {model.d_model / model.n_heads:g}; or choose a block with a dense {name}"
                )
        return self

    @model_validator(mode="after")
    def _settings_have_a_use(self) -> RunConfig:
        if self.model.kind == "decoder" and self.train.mlm_probability is not None:
            raise ValueError(
                f"train.mlm_probability={self.train.mlm_probability:g}: a decoder masks no tokens; valid: null, or set "
                "model.kind=encoder"
            )
        layers = range(self.model.n_layers)
        trained = [self.block.projection, *(self.block.value_of(layer) for layer in layers)]
        if self.optimiser.value_lr_ratio != 1 and all(matrix.kind == "identity" for matrix in trained):
            raise ValueError(
                f"optimiser.value_lr_ratio={self.optimiser.value_lr_ratio:g}: block={self.block.name} has neither W_V "
                "nor W_P; valid: 1, or choose a block that has one"
            )
        return self

    @model_validator(mode="after")
    def _a_batch_can_grow(self) -> RunConfig:
        train, tasks = self.train, self.cluster.tasks
        if train.batch_ramp is None:
            return self
        ramp = f"train.batch_ramp={train.batch_ramp:g}"
        if train.micro_batch is None:
            raise ValueError(
                f"{ramp}: needs the size of the first batch; valid: null, or set train.micro_batch to a number of "
                f"sequences that divides {self.batch_sequences}"
            )
        if train.tokens is not None:
            raise ValueError(f"{ramp}: has no use with train.tokens; valid: null, or a budget in steps or hours")
        if train.micro_batch % tasks:
            raise ValueError(
                f"train.micro_batch={train.micro_batch}: with {ramp} the first batch is one micro-batch, which "
                f"{tasks} processes cannot share; valid: a multiple of {tasks}"
            )
        return self

    @model_validator(mode="after")
    def _whole_batches(self) -> RunConfig:
        tokens, length = self.train.batch_tokens, self.model.seq_len
        if tokens % length:
            low = tokens // length * length
            raise ValueError(
                f"train.batch_tokens={tokens}: is not a multiple of model.seq_len={length}; "
                f"valid: {f'{low}, ' if low else ''}{low + length}, ..."
            )
        if self.batch_sequences % self.micro_batch:
            raise ValueError(
                f"train.micro_batch={self.micro_batch}: does not divide the {self.batch_sequences} sequences of a "
                f"batch (train.batch_tokens / model.seq_len); valid: {divisors(self.batch_sequences)}"
            )
        if self.batch_sequences % self.cluster.tasks:
            raise ValueError(
                f"cluster.nodes={self.cluster.nodes}: the {self.batch_sequences} sequences of a batch cannot be shared "
                f"by the {self.cluster.tasks} processes of a run; valid: {divisors(self.batch_sequences)} processes"
            )
        return self
