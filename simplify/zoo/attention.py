"""Multi-head attention, plain or shaped, always through fused attention.

A shaped head is S = alpha I + beta A - gamma C with A = softmax(Q K^T / sqrt(h)) and C the value
A takes when every logit is 0 (He & Hofmann 2024, eq. 4; Noci et al., arXiv 2306.17759). By linearity

    S V = alpha V + beta SDPA(Q, K, V) - gamma mean over the allowed keys of V,

so no T x T matrix is ever held: memory is O(T d) for every block.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simplify.config import BlockConfig, ModelConfig, gain_at
from simplify.config.block import GainName
from simplify.zoo.context import Context
from simplify.zoo.fused import shaped_causal
from simplify.zoo.gains import Gain
from simplify.zoo.matrices import Linear, make_matrix, products
from simplify.zoo.norms import RMSNorm
from simplify.zoo.positions import Rope
from simplify.zoo.precision import narrowed, widened


class Attention(nn.Module):
    """MHA(u) = (concat_h(S_h V_h) * gate) W_P for one layer, counted from 0."""

    def __init__(self, block: BlockConfig, model: ModelConfig, layer: int) -> None:
        super().__init__()
        width, kv = model.n_heads * model.head_width, model.kv_heads * model.head_width
        self.n_heads, self.kv_heads, self.layer = model.n_heads, model.kv_heads, layer
        std, scale = model.init_std, gain_at(block.init_scale, model.n_layers, layer)
        dense_query, dense_key = block.query == "dense", block.key == "dense"
        self.query = (
            Linear(model.d_model, width, std, block.query_init, block.qk_bias) if dense_query else nn.Identity()
        )
        self.key = Linear(model.d_model, kv, std, bias=block.qk_bias) if dense_key else None
        self.value = make_matrix(block.value_of(layer), model.d_model, kv, std, scale)
        output_scale = scale * gain_at(block.output_init_scale, model.n_layers, layer)
        self.projection = make_matrix(block.projection, width, model.d_model, std, output_scale)
        self.gate = _gate(block, model)
        self.rope = Rope(model) if model.positions == "rope" else None
        self.qk_norm, self.soft_cap = block.qk_norm, block.soft_cap
        if block.qk_norm:
            self.query_norm = RMSNorm(model.head_width, eps=model.norm_eps)
            self.key_norm = RMSNorm(model.head_width, eps=model.norm_eps)
        self.alpha = _head_gain(block, model, "alpha")
        self.beta = _head_gain(block, model, "beta")
        self.gamma = _head_gain(block, model, "gamma")
        self.shares_values = block.value_first is not None
        if block.value_own is not None and block.value_first is not None and layer > 0:
            self.value_own = Gain(block.value_own, block.trains("value_own"))
            self.value_first = Gain(block.value_first, block.trains("value_first"))

    def readers(self) -> list[Linear]:
        """The matrices that read the input: what `forward` can be given the products of."""
        return [part for part in (self.query, self.key, self.value, self.gate) if isinstance(part, Linear)]

    @property
    def is_linear_in_heads(self) -> bool:
        """Whether nothing follows the sum of the heads' terms, so that a gain of the branch can be drawn into it."""
        shaped = self.alpha is not None and self.beta is not None and self.gamma is not None
        return shaped and self.gate is None and isinstance(self.projection, nn.Identity)

    def forward(
        self,
        u: Float[Tensor, "B T d"],
        context: Context,
        read: list[Float[Tensor, "B T _"]] | None = None,
        branch: Gain | None = None,
    ) -> Float[Tensor, "B T d"]:
        """`read` is u times each of `readers`, if the caller has it; `branch` is drawn into the heads' gains."""
        read = products(u, self.readers()) if read is None else read
        q, k, v = self.project(u, context, read)
        attended = context.attend(self.layer, q, k, v, self.soft_cap)
        out = self.shape(attended, v, context, branch)
        if self.gate is not None:
            out = out * torch.sigmoid(read[-1]).unflatten(-1, (self.n_heads, -1))
        return self.projection(out.flatten(-2))

    def project(
        self, u: Float[Tensor, "B T d"], context: Context, read: list[Float[Tensor, "B T _"]] | None = None
    ) -> tuple[Float[Tensor, "B T H h"], Float[Tensor, "B T K h"], Float[Tensor, "B T K h"]]:
        """Queries, keys and values, with norms, rotary positions and the value residual."""
        left = iter(products(u, self.readers()) if read is None else read)
        query, own, value = (
            part if part is None else (next(left) if isinstance(part, Linear) else part(u))
            for part in (self.query, self.key, self.value)
        )
        assert query is not None and value is not None  # there may be no matrix, but there is always a product
        q, v = query.unflatten(-1, (self.n_heads, -1)), value.unflatten(-1, (self.kv_heads, -1))
        k = v if own is None else own.unflatten(-1, (self.kv_heads, -1))
        if self.qk_norm:
            q, k = self.query_norm(q), self.key_norm(k)
        if self.rope is not None:
            q, k = self.rope(q, context.start), self.rope(k, context.start)
        return q, k, self._with_first(v, context) if self.shares_values else v

    def _with_first(self, v: Float[Tensor, "B T K h"], context: Context) -> Float[Tensor, "B T K h"]:
        """The value residual: layer 1 leaves its values in the context, the others mix them in (arXiv 2410.17897)."""
        if self.layer == 0:
            context.first_value = v
            return v
        assert context.first_value is not None
        return self.value_own(v) + self.value_first(context.first_value)

    def shape(
        self,
        attended: Float[Tensor, "B T H h"],
        v: Float[Tensor, "B T K h"],
        context: Context,
        branch: Gain | None = None,
    ) -> Float[Tensor, "B T H h"]:
        """alpha V + beta attended - gamma C V, each term only where the block has it, all times `branch`."""
        if self.beta is None:
            return attended
        if self.alpha is None or self.gamma is None:
            out = self.beta(attended)
            out = out if self.alpha is None else out + self.alpha(self._for_each_head(v))
            if self.gamma is not None:
                out = out - self.gamma(self._for_each_head(context.mean(self.layer, v)))
            return narrowed(out, v, attended)
        gains = [widened(gain.tensor(v)).reshape(-1) for gain in (self.alpha, self.beta, self.gamma)]
        if branch is not None and not branch.free:
            gains = [gain * branch.tensor(v) for gain in gains]
        return narrowed(self._shaped(attended, v, context, gains), v, attended)

    def _shaped(
        self,
        attended: Float[Tensor, "B T H h"],
        v: Float[Tensor, "B T K h"],
        context: Context,
        gains: list[Tensor],
    ) -> Float[Tensor, "B T H h"]:
        """The sum of the three terms by their gains, in the gains' type."""
        if context.plainly_causal:
            return shaped_causal(self._for_each_head(v), attended, *gains)
        alpha, beta, gamma = (gain[:, None] for gain in gains)
        out = self._for_each_head(v) * alpha
        mean = self._for_each_head(context.mean(self.layer, v)).to(out.dtype)
        return torch.addcmul(torch.addcmul(out, attended.to(out.dtype), beta), mean, gamma, value=-1)

    def _for_each_head(self, v: Float[Tensor, "B T heads h"]) -> Float[Tensor, "B T H h"]:
        """Grouped key/value heads: each serves H / K heads."""
        return v if v.shape[-2] == self.n_heads else v.repeat_interleave(self.n_heads // v.shape[-2], dim=-2)


def _gate(block: BlockConfig, model: ModelConfig) -> Linear | None:
    """W_g: one output a head, or one an element of the heads' outputs (arXiv 2505.06708)."""
    sizes = {"head": model.n_heads, "element": model.n_heads * model.head_width}
    return Linear(model.d_model, sizes[block.attn_gate], model.init_std) if block.attn_gate in sizes else None


def _head_gain(block: BlockConfig, model: ModelConfig, name: GainName) -> Gain | None:
    """alpha, beta or gamma: one per head, or one per layer; None where the block has no such term."""
    if not block.has(name):
        return None
    return Gain(getattr(block, name), block.trains(name), block.gain_size(name, model), axis=-2)
