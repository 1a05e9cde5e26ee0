"""A Pre-LN decoder as small-GPT code writes it, to hold ours against: nothing configurable, nothing shared with ours.

One product for Q, K and V, torch's fused attention, tied output layer, fused AdamW, gradients clipped and set to
none. The same model as block=pre_ln with RMSNorm, ReLU and learned positions; `take` copies a model of ours into it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Layer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.RMSNorm(width, eps=1e-8), nn.RMSNorm(width, eps=1e-8)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm_1(x)).split(width, dim=2)
        q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.relu(self.up(self.norm_2(x))))


class GPT(nn.Module):
    """Tokens and targets (B, T) -> mean cross-entropy."""

    def __init__(self, layers: int, width: int, heads: int, hidden: int, vocabulary: int, positions: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(positions, width)
        self.layers = nn.ModuleList(Layer(width, heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-8)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.float().view(-1, logits.shape[-1]), targets.reshape(-1))


@torch.no_grad()
def take(reference: GPT, ours: nn.Module) -> None:
    """Copy the weights of a pre_ln model of ours, which then has the same loss."""
    found = dict(ours.named_parameters())
    reference.tokens.weight.copy_(found["embedding.weight"])
    reference.places.weight.copy_(found["positions.weight"])
    reference.norm.weight.copy_(found["final_norm.weight"])
    for number, layer in enumerate(reference.layers):
        assert isinstance(layer, Layer)
        part = {name.removeprefix(f"blocks.{number}."): p for name, p in found.items() if f"blocks.{number}." in name}
        layer.qkv.weight.copy_(torch.cat([part[f"attention.{name}.weight"] for name in ("query", "key", "value")]))
        layer.out.weight.copy_(part["attention.projection.weight"])
        layer.up.weight.copy_(part["mlp.fc_in.weight"])
        layer.down.weight.copy_(part["mlp.fc_out.weight"])
        layer.norm_1.weight.copy_(part["attn_norm.weight"])
        layer.norm_2.weight.copy_(part["mlp_norm.weight"])


def optimiser(model: nn.Module) -> torch.optim.Optimizer:
    """Fused AdamW; matrices decay."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999), fused=True)
