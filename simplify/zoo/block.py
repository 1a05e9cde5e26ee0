"""The block, written once. What a variant is comes from its YAML (simplify.config.block)."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from simplify.config import BlockConfig, ModelConfig, gain_at
from simplify.config.block import GainName
from simplify.zoo.attention import Attention
from simplify.zoo.gains import Gain
from simplify.zoo.mlp import MLP
from simplify.zoo.norms import make_norm


class _Block(nn.Module):
    """The parts that every layout has."""

    def __init__(self, block: BlockConfig, model: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention = Attention(block, model, layer)
        self.mlp = MLP(model)
        for name in ("attn_skip", "attn_branch", "mlp_skip", "mlp_branch"):
            self.add_module(name, _residual_gain(block, model, name))

    def _norms(self, block: BlockConfig, model: ModelConfig, sub_block: str) -> None:
        """Norms of one sub-block: before its branches, after its residual sum, or nowhere."""
        for place, where in (("norm", "pre"), ("post_norm", "post")):
            norm = make_norm(model) if block.norm == where else nn.Identity()
            self.add_module(f"{sub_block}_{place}", norm)


class SerialBlock(_Block):
    """x1 = attn_skip x + attn_branch MHA(N1 x);  y = mlp_skip x1 + mlp_branch MLP(N2 x1)."""

    def __init__(self, block: BlockConfig, model: ModelConfig, layer: int) -> None:
        super().__init__(block, model, layer)
        self._norms(block, model, "attn")
        self._norms(block, model, "mlp")

    def forward(self, x: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
        branch = self.attn_branch(self.attention(self.attn_norm(x)))
        x = self.attn_post_norm(_residual(self.attn_skip, x, branch))
        branch = self.mlp_branch(self.mlp(self.mlp_norm(x)))
        return self.mlp_post_norm(_residual(self.mlp_skip, x, branch))


class ParallelBlock(_Block):
    """y = attn_skip x + attn_branch MHA(N x) + mlp_branch MLP(N x)."""

    def __init__(self, block: BlockConfig, model: ModelConfig, layer: int) -> None:
        super().__init__(block, model, layer)
        self._norms(block, model, "attn")

    def forward(self, x: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
        u = self.attn_norm(x)
        branches = self.attn_branch(self.attention(u)) + self.mlp_branch(self.mlp(u))
        return self.attn_post_norm(_residual(self.attn_skip, x, branches))


LAYOUTS: dict[str, type[_Block]] = {"serial": SerialBlock, "parallel": ParallelBlock}


def make_block(block: BlockConfig, model: ModelConfig, layer: int) -> nn.Module:
    """The block of `layer`, counted from 0."""
    return LAYOUTS[block.layout](block, model, layer)


def _residual_gain(block: BlockConfig, model: ModelConfig, name: str) -> Gain | None:
    """A skip whose gain is 0 is absent; a branch whose gain is 0 at first is not (ReZero)."""
    setting = getattr(block, name)
    start = 0.0 if setting is None else gain_at(setting, model.n_layers)
    if start == 0.0 and name.endswith("_skip"):
        return None
    return Gain(start, block.trains(cast(GainName, name)))


def _residual(
    skip: nn.Module | None, x: Float[Tensor, "B T d"], branch: Float[Tensor, "B T d"]
) -> Float[Tensor, "B T d"]:
    return branch if skip is None else skip(x) + branch
