"""The block, written once. What a variant is comes from its YAML (simplify.config.block)."""

from __future__ import annotations

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
        self.attn_skip = _skip(block, model, "attn_skip")
        self.attn_branch = Gain(gain_at(block.attn_branch, model.n_layers), block.trains("attn_branch"))
        self.mlp_skip = _skip(block, model, "mlp_skip")
        self.mlp_branch = Gain(gain_at(block.mlp_branch, model.n_layers), block.trains("mlp_branch"))
        self.attn_norm = _norm(block, model, "pre")
        self.attn_post_norm = _norm(block, model, "post")


class SerialBlock(_Block):
    """x1 = attn_skip x + attn_branch MHA(N1 x);  y = mlp_skip x1 + mlp_branch MLP(N2 x1)."""

    def __init__(self, block: BlockConfig, model: ModelConfig, layer: int) -> None:
        super().__init__(block, model, layer)
        self.mlp_norm = _norm(block, model, "pre")
        self.mlp_post_norm = _norm(block, model, "post")

    def forward(self, x: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
        branch = self.attn_branch(self.attention(self.attn_norm(x)))
        x = self.attn_post_norm(add_skip(self.attn_skip, x, branch))
        branch = self.mlp_branch(self.mlp(self.mlp_norm(x)))
        return self.mlp_post_norm(add_skip(self.mlp_skip, x, branch))


class ParallelBlock(_Block):
    """y = attn_skip x + attn_branch MHA(N x) + mlp_branch MLP(N x)."""

    def forward(self, x: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
        u = self.attn_norm(x)
        branches = self.attn_branch(self.attention(u)) + self.mlp_branch(self.mlp(u))
        return self.attn_post_norm(add_skip(self.attn_skip, x, branches))


LAYOUTS: dict[str, type[_Block]] = {"serial": SerialBlock, "parallel": ParallelBlock}


def make_block(block: BlockConfig, model: ModelConfig, layer: int) -> nn.Module:
    """The block of `layer`, counted from 0."""
    return LAYOUTS[block.layout](block, model, layer)


def add_skip(skip: Gain | None, x: Float[Tensor, "B T d"], branch: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
    """skip x + branch, or the branch alone where the skip is absent."""
    return branch if skip is None else skip(x) + branch


def _norm(block: BlockConfig, model: ModelConfig, where: str) -> nn.Module:
    """The model's norm if this block has one `where` (pre or post), else the identity."""
    return make_norm(model) if block.norm == where else nn.Identity()


def _skip(block: BlockConfig, model: ModelConfig, name: GainName) -> Gain | None:
    """A skip whose gain is 0 is absent (a branch whose gain is 0 at first is not: ReZero)."""
    setting = getattr(block, name)
    start = 0.0 if setting is None else gain_at(setting, model.n_layers)
    return None if start == 0.0 else Gain(start, block.trains(name))
