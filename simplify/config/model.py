"""The model around the blocks: its size, positions and norms."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from simplify.config.base import Name, Settings

NormKind = Literal["rmsnorm", "layernorm", "dyt", "derf"]
Activation = Literal["relu", "relu2", "gelu", "leaky_relu", "swiglu", "geglu"]
GLU = ("swiglu", "geglu")  # activations with a second input matrix


class ModelConfig(Settings):
    """The model around the blocks. Sizes have no default: a model's YAML states them."""

    name: Name = Field("custom", description="the model's name; a label only")
    kind: Literal["decoder", "encoder"] = Field(
        "decoder", description="causal and next token, or bidirectional and masked tokens; blocks serve both"
    )
    n_layers: int = Field(ge=1, description="blocks in depth")
    d_model: int = Field(ge=1, description="width of the residual stream")
    n_heads: int = Field(ge=1, description="attention heads")
    d_ff: int = Field(ge=1, description="width of the MLP's hidden layer (after the gate, if gated)")
    seq_len: int = Field(ge=2, description="tokens in a training sequence")
    d_head: int | None = Field(None, ge=1, description="width of a head; null: d_model / n_heads")
    n_kv_heads: int | None = Field(None, ge=1, description="key/value heads, a divisor of n_heads; null: n_heads")
    positions: Literal["learned", "sinusoidal", "scaled_sinusoidal", "rope", "alibi", "none"] = Field(
        "learned", description="position code; scaled_sinusoidal: with one trained factor, as in the paper's BERT"
    )
    n_positions: int | None = Field(None, ge=1, description="rows of the learned position table; null: seq_len")
    activation: Activation = Field("relu", description="the MLP's non-linearity; swiglu and geglu are gated")
    leaky_slope: float | None = Field(None, description="slope below 0 of leaky_relu")
    norm: NormKind = Field("rmsnorm", description="kind of every norm; block.norm_kind has precedence")
    norm_eps: float = Field(1e-8, gt=0, description="epsilon of every norm (the paper's RMSNorm: 1e-8)")
    final_norm: NormKind | None = Field(
        None, description="kind of the norm before the output layer; null: as the others"
    )
    embedding_norm: bool | None = Field(None, description="norm on the embedding; null: only if the blocks have none")
    init_std: float = Field(
        0.02, gt=0, description="standard deviation of normal initial weights (the paper: 0.02 at d_model=768)"
    )
    tied_embeddings: bool = Field(True, description="output layer shares the token embedding")
    seed: int | None = Field(None, ge=0, description="seed of the initial weights; null: seed")

    @property
    def head_width(self) -> int:
        """d_head."""
        return self.d_head or self.d_model // self.n_heads

    @property
    def kv_heads(self) -> int:
        """Number of key/value heads."""
        return self.n_kv_heads or self.n_heads

    @property
    def position_rows(self) -> int:
        """Rows of the learned position table."""
        return self.n_positions or self.seq_len

    @property
    def max_positions(self) -> int | None:
        """Longest sequence that the position code knows; None where it has no end."""
        ends = dict.fromkeys(("sinusoidal", "scaled_sinusoidal", "rope"), self.seq_len)
        return {"learned": self.position_rows, **ends}.get(self.positions)

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if self.d_head is None and self.d_model % self.n_heads:
            raise ValueError(
                f"model.n_heads={self.n_heads}: does not divide model.d_model={self.d_model}; valid: "
                f"{divisors(self.d_model)}; change model.n_heads, or set model.d_head"
            )
        if self.n_heads % self.kv_heads:
            raise ValueError(
                f"model.n_kv_heads={self.n_kv_heads}: does not divide model.n_heads={self.n_heads}; "
                f"valid: {divisors(self.n_heads)}"
            )
        if self.n_positions is not None and self.positions != "learned":
            raise ValueError(
                f"model.n_positions={self.n_positions}: only learned positions have a table; "
                f"valid: null, with model.positions={self.positions}"
            )
        if self.position_rows < self.seq_len:
            raise ValueError(
                f"model.n_positions={self.n_positions}: fewer than model.seq_len={self.seq_len}; "
                f"valid: null or >= {self.seq_len}"
            )
        if self.positions == "rope" and self.head_width % 2:
            raise ValueError(
                f"model.positions=rope: needs an even head width, found d_head={self.head_width}; "
                "change model.n_heads or model.d_head"
            )
        if (self.activation == "leaky_relu") != (self.leaky_slope is not None):
            raise ValueError(
                f"model.leaky_slope={'null' if self.leaky_slope is None else self.leaky_slope}: needs a "
                "number with model.activation=leaky_relu, and null with any other activation"
            )
        return self


def divisors(number: int) -> str:
    """The divisors of `number` as a list for a message, shortened in the middle."""
    found = [str(n) for n in range(1, number + 1) if number % n == 0]
    return ", ".join(found if len(found) <= 12 else [*found[:10], "...", found[-1]])
