"""Norms by name. All compute in fp32 or better: under autocast a branch's output is narrower."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from simplify.config import ModelConfig


def widened(x: Tensor) -> Tensor:
    """x in fp32, or as it is if that is wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class RMSNorm(nn.RMSNorm):
    """g x / sqrt(mean(x^2) + eps) (arXiv 1910.07467)."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> the same shape."""
        return super().forward(widened(x))


class LayerNorm(nn.LayerNorm):
    """g (x - mean(x)) / sqrt(var(x) + eps) + c (arXiv 1607.06450)."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., width) -> the same shape."""
        return super().forward(widened(input))


class PointwiseNorm(nn.Module):
    """g f(a x + s) + c with trained g, c per channel and trained scalars a and, if `shifted`, s.

    No norm at all: nothing is averaged. DyT has f = tanh and no s (arXiv 2503.10622, eq. 2), Derf
    f = erf (arXiv 2512.10938). a is 0.5 at first, g 1, s and c 0.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], width: int, shifted: bool) -> None:
        super().__init__()
        self.function = function
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.shift = nn.Parameter(torch.tensor(0.0)) if shifted else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> the same shape."""
        x = widened(x)
        inner = self.scale * x if self.shift is None else self.scale * x + self.shift
        return self.weight * self.function(inner) + self.bias


NORMS: dict[str, Callable[[int, float], nn.Module]] = {
    "rmsnorm": lambda width, eps: RMSNorm(width, eps=eps),
    "layernorm": lambda width, eps: LayerNorm(width, eps=eps),
    "dyt": lambda width, _: PointwiseNorm(torch.tanh, width, shifted=False),
    "derf": lambda width, _: PointwiseNorm(torch.erf, width, shifted=True),
}


def make_norm(config: ModelConfig, kind: str) -> nn.Module:
    """A norm of `kind` over the last dimension, d_model wide."""
    return NORMS[kind](config.d_model, config.norm_eps)
