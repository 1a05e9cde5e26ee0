"""A block variant as data: the settings of the one block algebra (docs/ARCHITECTURE.md, "Blocks").

    serial:    u = N1(x);  x1 = attn_skip x + attn_branch MHA(u)
               v = N2(x1); y  = mlp_skip x1 + mlp_branch MLP(v)
    parallel:  u = N1(x);  y  = attn_skip x + attn_branch MHA(u) + mlp_branch MLP(u)
    one head:  S = alpha I + beta softmax(Q K^T / sqrt(d_head)) - gamma C,   head output S V

The defaults are the Pre-LN block, so a variant's YAML states only how it differs from Pre-LN.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from simplify.config.base import Name, Settings
from simplify.config.gains import Gain

GainName = Literal["attn_skip", "attn_branch", "mlp_skip", "mlp_branch", "alpha", "beta", "gamma"]


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
    norm: Literal["pre", "post", "none"] = Field(
        "pre", description="norm before each branch, after each residual sum, or nowhere"
    )
    attn_skip: Gain = Field(1.0, description="a_SA (a if parallel); 0: the skip is absent")
    attn_branch: Gain = Field(1.0, description="b_SA, the gain of the attention branch")
    mlp_skip: Gain | None = Field(1.0, description="a_FF; 0: the skip is absent; null in the parallel layout")
    mlp_branch: Gain = Field(1.0, description="b_FF, the gain of the MLP branch")
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
    qk_norm: bool = Field(False, description="RMSNorm on each head's queries and keys")
    qk_bias: bool = Field(False, description="trained biases, 0 at first, on queries and keys")
    value: Matrix = Field(Dense(), description="W_V: dense, reparam or identity")
    projection: Matrix = Field(Dense(), description="W_P: dense, reparam or identity")
    first_value: Matrix | None = Field(
        None, description="W_V of layer 1 where it differs from `value`; null: it does not"
    )

    @property
    def skipless(self) -> bool:
        """Whether the attention sub-block has no skip."""
        return self.attn_skip == 0.0

    def value_of(self, layer: int) -> Dense | Reparam | Identity:
        """W_V's settings in `layer`, counted from 0."""
        return self.first_value if layer == 0 and self.first_value is not None else self.value

    def trains(self, gain: GainName) -> bool:
        """Whether `gain` is a trained parameter."""
        return self.trainable_gains == "all" or gain in self.trainable_gains

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
        if isinstance(self.trainable_gains, tuple):
            self._check_trained(self.trainable_gains)
        self._check_ties()
        return self

    def _check_trained(self, names: tuple[GainName, ...]) -> None:
        for name in names:
            if getattr(self, name) is None or (name.endswith("_skip") and getattr(self, name) == 0.0):
                raise ValueError(f"block.trainable_gains: {name} is absent in this block; remove it from the list")

    def _check_ties(self) -> None:
        ties = [m.tie if isinstance(m, Reparam) else "none" for m in (self.value, self.projection)]
        both = all(isinstance(m, Reparam) and m.init == "orthogonal" for m in (self.value, self.projection))
        if ties[0] != ties[1] or (ties[0] != "none" and (not both or self.first_value is not None)):
            raise ValueError(
                f"block.value.tie={ties[0]}: a tie needs block.value and block.projection both reparam with "
                "init=orthogonal and the same tie, and block.first_value=null"
            )
