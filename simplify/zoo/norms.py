"""Norms by name. All compute in fp32 or better: a branch's output may be narrower, or the whole model."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simplify.config import ModelConfig
from simplify.zoo.precision import narrowed, widened


class RMSNorm(nn.RMSNorm):
    """g x / sqrt(mean(x^2) + eps) (arXiv 1910.07467)."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> the same shape."""
        out = F.rms_norm(widened(x), self.normalized_shape, widened(self.weight), self.eps)
        return narrowed(out, x, self.weight)


class LayerNorm(nn.LayerNorm):
    """g (x - mean(x)) / sqrt(var(x) + eps) + c (arXiv 1607.06450)."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., width) -> the same shape."""
        out = F.layer_norm(widened(input), self.normalized_shape, widened(self.weight), widened(self.bias), self.eps)
        return narrowed(out, input, self.weight)


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
        wide = widened(x)
        inner = self.scale * wide if self.shift is None else self.scale * wide + self.shift
        return narrowed(self.weight * self.function(inner) + self.bias, x, self.weight)


NORMS: dict[str, Callable[[int, float], nn.Module]] = {
    "rmsnorm": lambda width, eps: RMSNorm(width, eps=eps),
    "layernorm": lambda width, eps: LayerNorm(width, eps=eps),
    "dyt": lambda width, _: PointwiseNorm(torch.tanh, width, shifted=False),
    "derf": lambda width, _: PointwiseNorm(torch.erf, width, shifted=True),
}


def make_norm(config: ModelConfig, kind: str) -> nn.Module:
    """A norm of `kind` over the last dimension, d_model wide."""
    return NORMS[kind](config.d_model, config.norm_eps)
