"""Causal multi-head attention, plain or shaped, always through fused attention.

A shaped head is S = alpha I + beta A - gamma C with A = softmax(Q K^T / sqrt(h)) and C the value
A takes when every logit is 0 (He & Hofmann 2024, eq. 4; Noci et al., arXiv 2306.17759). By linearity

    S V = alpha V + beta SDPA(Q, K, V) - gamma mean over the allowed keys of V,

so no T x T matrix is ever held: memory is O(T d) for every block.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from simplify.config import BlockConfig, ModelConfig
from simplify.config.block import GainName
from simplify.zoo.gains import Gain
from simplify.zoo.matrices import Linear, make_matrix
from simplify.zoo.positions import Rope


class Attention(nn.Module):
    """MHA(u) = concat_h(S_h V_h) W_P for one layer, counted from 0."""

    def __init__(self, block: BlockConfig, model: ModelConfig, layer: int) -> None:
        super().__init__()
        width, kv = model.n_heads * model.head_width, model.kv_heads * model.head_width
        self.n_heads, self.kv_heads = model.n_heads, model.kv_heads
        std = model.init_std
        self.query = Linear(model.d_model, width, std, block.query_init, bias=block.qk_bias)
        self.key = Linear(model.d_model, kv, std, bias=block.qk_bias)
        self.value = make_matrix(block.value_of(layer), model.d_model, kv, std)
        self.projection = make_matrix(block.projection, width, model.d_model, std)
        self.rope = Rope(model) if model.positions == "rope" else None
        self.qk_norm = block.qk_norm
        if block.qk_norm:
            self.query_norm = nn.RMSNorm(model.head_width, eps=model.norm_eps)
            self.key_norm = nn.RMSNorm(model.head_width, eps=model.norm_eps)
        self.alpha = _head_gain(block, model, "alpha")
        self.beta = _head_gain(block, model, "beta")
        self.gamma = _head_gain(block, model, "gamma")

    def forward(self, u: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
        q = self.query(u).unflatten(-1, (self.n_heads, -1))
        k = self.key(u).unflatten(-1, (self.kv_heads, -1))
        v = self.value(u).unflatten(-1, (self.kv_heads, -1))
        if self.qk_norm:
            q, k = self.query_norm(q), self.key_norm(k)
        if self.rope is not None:
            q, k = self.rope(q), self.rope(k)
        return self.projection(self.shape(attend(q, k, v), v).flatten(-2))

    def shape(self, attended: Float[Tensor, "B T H h"], v: Float[Tensor, "B T K h"]) -> Float[Tensor, "B T H h"]:
        """alpha V + beta attended - gamma running-mean(V), each term only where the block has it."""
        if self.beta is None:
            return attended
        out = self.beta(attended)
        if v.shape[-2] != attended.shape[-2]:  # grouped key/value heads: each serves H / K heads
            v = v.repeat_interleave(attended.shape[-2] // v.shape[-2], dim=-2)
        if self.alpha is not None:
            out = out + self.alpha(v)
        if self.gamma is not None:
            out = out - self.gamma(running_mean(v))
        return out


def _head_gain(block: BlockConfig, model: ModelConfig, name: GainName) -> Gain | None:
    """alpha, beta or gamma: one per head, or one per layer; None where the block has no such term."""
    start = getattr(block, name)
    heads = model.n_heads if block.head_gains else 1
    return None if start is None else Gain(start, block.trains(name), heads)


def attend(
    q: Float[Tensor, "B T H h"], k: Float[Tensor, "B T K h"], v: Float[Tensor, "B T K h"]
) -> Float[Tensor, "B T H h"]:
    """softmax(Q K^T / sqrt(h)) V under the causal mask, by torch's fused kernels."""
    if v.dtype != q.dtype:  # identity values come from the fp32 norm; q and k from an autocast matmul
        v = v.to(q.dtype)
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # heads first
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=k.shape[1] != q.shape[1])
    return out.transpose(1, 2)


def running_mean(v: Float[Tensor, "B T K h"]) -> Float[Tensor, "B T K h"]:
    """C V for the causal C: row t is the mean of v over positions 1..t, summed in at least fp32."""
    total = v.cumsum(dim=1, dtype=torch.promote_types(v.dtype, torch.float32))
    count = torch.arange(1, v.shape[1] + 1, device=v.device, dtype=total.dtype)
    return total / count[:, None, None]
