"""The block, written once. What a variant is comes from its YAML (simplify.config.block)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from simplify.config import BlockConfig, ModelConfig, gain_at
from simplify.config.block import GainName, NormPlace
from simplify.zoo.attention import Attention
from simplify.zoo.context import Context
from simplify.zoo.gains import Gain, add_scaled
from simplify.zoo.matrices import products
from simplify.zoo.mlp import MLP
from simplify.zoo.norms import make_norm

FREE = Gain(1.0, trainable=False)


class Block(nn.Module):
    """The parts that every layout has. Norms that a block does not have are the identity."""

    def __init__(self, block: BlockConfig, model: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention = Attention(block, model, layer)
        scales = [gain_at(scale, model.n_layers, layer) for scale in (block.init_scale, block.output_init_scale)]
        self.mlp = MLP(model, *scales)
        self.attn_skip = _skip(block, model, "attn_skip", layer)
        self.attn_branch = _branch(block, model, "attn_branch", layer)
        self.mlp_skip = _skip(block, model, "mlp_skip", layer)
        self.mlp_branch = _branch(block, model, "mlp_branch", layer)
        self.input_gain = Gain(gain_at(block.input_gain, model.n_layers, layer), trainable=False)
        self.attn_norm = _norm(block, model, "before")
        self.attn_out_norm = _norm(block, model, "output")
        self.mlp_out_norm = _norm(block, model, "output")
        self.attn_post_norm = _norm(block, model, "after")
        # Without a skip, and with nothing between the heads and the sum, the branch's gain costs no pass of its own.
        alone = self.attn_skip is None and isinstance(self.attn_out_norm, nn.Identity)
        self.folds = alone and self.attention.is_linear_in_heads


class SerialBlock(Block):
    """x1 = attn_skip x + attn_branch MHA(N1 x);  y = mlp_skip x1 + mlp_branch MLP(N2 x1)."""

    def __init__(self, block: BlockConfig, model: ModelConfig, layer: int) -> None:
        super().__init__(block, model, layer)
        self.mlp_norm = _norm(block, model, "before")
        self.mlp_post_norm = _norm(block, model, "after")

    def forward(self, x: Float[Tensor, "B T d"], context: Context) -> Float[Tensor, "B T d"]:
        u = self.input_gain(self.attn_norm(x))
        if self.folds:
            x = self.attention(u, context, branch=self.attn_branch)
        else:
            x = add_scaled(self.attn_skip, x, self.attn_branch, self.attn_out_norm(self.attention(u, context)))
        x = self.attn_post_norm(x)
        branch = self.mlp_out_norm(self.mlp(self.input_gain(self.mlp_norm(x))))
        return self.mlp_post_norm(add_scaled(self.mlp_skip, x, self.mlp_branch, branch))


class ParallelBlock(Block):
    """y = attn_skip x + attn_branch MHA(N x) + mlp_branch MLP(N x)."""

    def forward(self, x: Float[Tensor, "B T d"], context: Context) -> Float[Tensor, "B T d"]:
        u = self.input_gain(self.attn_norm(x))
        readers = self.attention.readers()
        read = products(u, readers + self.mlp.readers())
        of_attention, of_mlp = read[: len(readers)], read[len(readers) :]
        mlp = self.mlp_out_norm(self.mlp(u, of_mlp))
        if self.folds:
            y = add_scaled(FREE, self.attention(u, context, of_attention, self.attn_branch), self.mlp_branch, mlp)
        else:
            attention = self.attn_out_norm(self.attention(u, context, of_attention))
            y = add_scaled(self.attn_branch, attention, self.mlp_branch, mlp)
        return self.attn_post_norm(y if self.attn_skip is None else self.attn_skip(x) + y)


LAYOUTS: dict[str, type[Block]] = {"serial": SerialBlock, "parallel": ParallelBlock}


def make_block(block: BlockConfig, model: ModelConfig, layer: int) -> Block:
    """The block of `layer`, counted from 0."""
    return LAYOUTS[block.layout](block, model, layer)


def _norm(block: BlockConfig, model: ModelConfig, place: NormPlace) -> nn.Module:
    """A norm if this block has one at `place`, else the identity."""
    return make_norm(model, block.norm_of(model)) if place in block.norm_places else nn.Identity()


def _branch(block: BlockConfig, model: ModelConfig, name: GainName, layer: int) -> Gain:
    start = gain_at(getattr(block, name), model.n_layers, layer)
    return Gain(start, block.trains(name), block.gain_size(name, model))


def _skip(block: BlockConfig, model: ModelConfig, name: GainName, layer: int) -> Gain | None:
    """A skip whose gain is 0 is absent (a branch whose gain is 0 at first is not: ReZero)."""
    if not block.has(name):
        return None
    return Gain(gain_at(getattr(block, name), model.n_layers, layer), block.trains(name))
