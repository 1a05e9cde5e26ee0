"""A block variant as data: the settings of the one block algebra (docs/ARCHITECTURE.md, "Blocks").

    serial:    u = N1(x);  x1 = attn_skip x + attn_branch MHA(u)
               v = N2(x1); y  = mlp_skip x1 + mlp_branch MLP(v)
    parallel:  u = N1(x);  y  = attn_skip x + attn_branch MHA(u) + mlp_branch MLP(u)
    one head:  S = alpha I + beta softmax(Q K^T / sqrt(d_head)) - gamma C,   head output S V
    where N1, N2 and the other norms stand is said by `norm`

The defaults are the Pre-LN block, so a variant's YAML states only how it differs from Pre-LN.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from simplify.config.base import Name, Settings, show
from simplify.config.gains import DepthGain, Gain
from simplify.config.model import ModelConfig, NormKind

GainName = Literal[
    "attn_skip", "attn_branch", "mlp_skip", "mlp_branch", "alpha", "beta", "gamma", "value_own", "value_first"
]
# Where a block has norms: before each branch, on each branch's output, after each sum.
NormPlace = Literal["before", "output", "after"]
NORM_PLACES: dict[str, tuple[NormPlace, ...]] = {
    "pre": ("before",),
    "peri": ("before", "output"),
    "output": ("output",),
    "post": ("after",),
    "none": (),
}


class Dense(Settings):
    """An ordinary trained matrix."""

    kind: Literal["dense"] = "dense"
    init: Literal["normal", "orthogonal"] = Field(
        default="normal", description="N(0, model.init_std^2), or Haar-orthogonal"
    )


class Reparam(Settings):
    """W = skip W_init + branch dW with W_init fixed and dW trained from 0 (paper eq. 5 and 6)."""

    kind: Literal["reparam"] = "reparam"
    init: Literal["identity", "orthogonal"] = Field("identity", description="the fixed W_init")
    tie: Literal["none", "last", "all"] = Field(
        "none",
        description="make the product of W_V W_P over depth the identity: by the last layer's W_P, or in each layer",
    )
    skip: float = Field(1.0, description="the gain on W_init (a_V or a_P)")
    branch: float = Field(1.0, description="the gain on dW (b_V or b_P)")
    trainable: bool = Field(False, description="train the two gains")


class Identity(Settings):
    """No matrix: no parameter and no multiplication."""

    kind: Literal["identity"] = "identity"


def _named(value: Any) -> Any:
    """`value: identity` is short for `value: {kind: identity}`."""
    return {"kind": value} if isinstance(value, str) else value


def _word_or_list(value: Any) -> str:
    return "list" if isinstance(value, (list, tuple)) else "word"


TrainedGains = Annotated[
    Annotated[Literal["none", "all"], Tag("word")] | Annotated[tuple[GainName, ...], Tag("list")],
    Discriminator(_word_or_list),
]
Matrix = Annotated[Annotated[Dense | Reparam | Identity, Field(discriminator="kind")], BeforeValidator(_named)]


class BlockConfig(Settings):
    """One block variant."""

    name: Name = Field("pre_ln", description="the variant's name; a label only")
    layout: Literal["serial", "parallel"] = Field(
        "serial", description="attention then MLP, or both on one normed input"
    )
    norm: Literal["pre", "peri", "output", "post", "none"] = Field(
        "pre", description="norm before each branch, around it, on its output, after each residual sum, or nowhere"
    )
    norm_kind: NormKind | None = Field(None, description="kind of this block's norms; null: model.norm")
    input_gain: Gain = Field(1.0, description="fixed factor on the (normed) input of every branch")
    attn_skip: Gain = Field(1.0, description="a_SA (a if parallel); 0: the skip is absent")
    attn_branch: Gain = Field(1.0, description="b_SA, the gain of the attention branch")
    mlp_skip: Gain | None = Field(1.0, description="a_FF; 0: the skip is absent; null in the parallel layout")
    mlp_branch: Gain = Field(1.0, description="b_FF, the gain of the MLP branch")
    channel_gains: bool = Field(False, description="attn_branch and mlp_branch per channel, or one number each")
    init_scale: Gain = Field(1.0, description="factor on the initial W_V, W_P (dense) and MLP matrices")
    output_init_scale: Gain = Field(
        1.0,
        description="one more factor on the initial W_P (dense) and the MLP's W_out, as in GPT-2, where it is "
        "{rule: inv_sqrt_depth, value: 0.70711, at_depth: 1}",
    )
    alpha: float | None = Field(None, description="initial gain of I in shaped attention; null: no such term")
    beta: float | None = Field(None, description="initial gain of the attention matrix; null: plain attention")
    gamma: float | None = Field(None, description="initial gain of the centring C; null: no such term")
    head_gains: bool = Field(True, description="alpha, beta, gamma per head, or one per layer")
    trainable_gains: TrainedGains = Field(
        "none", description="which of the gains above are trained: none, all or a list"
    )
    query_init: Literal["normal", "zero"] = Field(
        "normal", description="W_Q at initialisation; zero makes shaped attention the identity"
    )
    query: Literal["dense", "identity"] = Field("dense", description="W_Q, or no matrix: Q = u")
    key: Literal["dense", "value"] = Field("dense", description="W_K, or no matrix: K = V")
    qk_norm: bool = Field(False, description="RMSNorm on each head's queries and keys")
    qk_bias: bool = Field(False, description="trained biases, 0 at first, on queries and keys")
    soft_cap: float | None = Field(None, gt=0, description="c tanh(logits / c) before the softmax; null: no cap")
    attn_gate: Literal["none", "head", "element"] = Field(
        "none", description="head outputs times sigmoid(u W_g), one number a head or one an element"
    )
    value_own: float | None = Field(None, description="gain of V_l in a value residual; null: none")
    value_first: float | None = Field(None, description="gain of layer 1's V in a value residual; null: none")
    value: Matrix = Field(Dense(), description="W_V: dense, reparam or identity")
    projection: Matrix = Field(Dense(), description="W_P: dense, reparam or identity")
    first_value: Matrix | None = Field(
        None, description="W_V of layer 1 where it differs from `value`; null: it does not"
    )

    @property
    def norm_places(self) -> tuple[NormPlace, ...]:
        """Where the block has norms."""
        return NORM_PLACES[self.norm]

    def value_of(self, layer: int) -> Dense | Reparam | Identity:
        """W_V's settings in `layer`, counted from 0."""
        return self.first_value if layer == 0 and self.first_value is not None else self.value

    def has(self, gain: GainName) -> bool:
        """Whether `gain` exists. A skip of 0 is absent; a branch of 0 at first is not (ReZero)."""
        value = getattr(self, gain)
        start = value.value if isinstance(value, DepthGain) else value
        return start is not None and not (gain.endswith("_skip") and start == 0.0)

    def trains(self, gain: GainName) -> bool:
        """Whether `gain` exists and is a trained parameter."""
        return self.has(gain) and (self.trainable_gains == "all" or gain in self.trainable_gains)

    def gain_size(self, gain: GainName, model: ModelConfig) -> int | None:
        """How many numbers `gain` is: one a head, one a channel, or None for a single one."""
        if gain in ("alpha", "beta", "gamma"):
            return model.n_heads if self.head_gains else 1
        return model.d_model if gain.endswith("_branch") and self.channel_gains else None

    def norm_of(self, model: ModelConfig) -> NormKind:
        """The kind of the norms in the blocks and on the embedding."""
        return self.norm_kind or model.norm

    def final_norm_of(self, model: ModelConfig) -> NormKind:
        """The kind of the norm before the output layer."""
        return model.final_norm or self.norm_of(model)

    def norms_embedding(self, model: ModelConfig) -> bool:
        """Whether the embedding is normed: unless said otherwise, only if the blocks have no norm."""
        return self.norm == "none" if model.embedding_norm is None else model.embedding_norm

    @model_validator(mode="after")
    def _consistent(self) -> BlockConfig:
        if self.layout == "parallel" and self.mlp_skip is not None:
            raise ValueError(
                f"block.mlp_skip={self.mlp_skip}: the parallel layout has one skip, block.attn_skip; "
                "valid: null; set block.mlp_skip=null"
            )
        if self.layout == "serial" and self.mlp_skip is None:
            raise ValueError("block.mlp_skip=null: the serial layout needs a number; 0 removes the MLP skip")
        if self.beta is None and not (self.alpha is None and self.gamma is None):
            raise ValueError(
                "block.beta=null: plain attention has no alpha and no gamma; "
                "set block.beta to a number, or block.alpha=null block.gamma=null"
            )
        if (self.value_own is None) != (self.value_first is None):
            raise ValueError(
                f"block.value_own={show(self.value_own)}: goes together with block.value_first="
                f"{show(self.value_first)}; valid: two numbers, or null for both"
            )
        if self.query == "identity" and self.query_init != "normal":
            raise ValueError(
                "block.query_init=zero: block.query=identity has no matrix to initialise; set block.query_init=normal"
            )
        if isinstance(self.trainable_gains, tuple):
            self._check_trained(self.trainable_gains)
        if self.channel_gains and not (self.trains("attn_branch") and self.trains("mlp_branch")):
            raise ValueError(
                "block.channel_gains=true: has no use where the gains are fixed; add attn_branch and mlp_branch to "
                "block.trainable_gains"
            )
        self._check_ties()
        return self

    def _check_trained(self, names: tuple[GainName, ...]) -> None:
        for name in names:
            if not self.has(name):
                raise ValueError(f"block.trainable_gains: {name} is absent in this block; remove it from the list")

    def _check_ties(self) -> None:
        ties = [m.tie if isinstance(m, Reparam) else "none" for m in (self.value, self.projection)]
        both = all(isinstance(m, Reparam) and m.init == "orthogonal" for m in (self.value, self.projection))
        if ties[0] != ties[1] or (ties[0] != "none" and (not both or self.first_value is not None)):
            raise ValueError(
                f"block.value.tie={ties[0]}: a tie needs block.value and block.projection both reparam with "
                "init=orthogonal and the same tie, and block.first_value=null"
            )
