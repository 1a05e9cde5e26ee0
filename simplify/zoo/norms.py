"""Norms by name. Both compute in the residual stream's own precision, fp32 under autocast."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from simplify.config import ModelConfig

NORMS: dict[str, Callable[[int, float], nn.Module]] = {
    "rmsnorm": lambda width, eps: nn.RMSNorm(width, eps=eps),
    "layernorm": lambda width, eps: nn.LayerNorm(width, eps=eps),
}


def make_norm(config: ModelConfig, kind: str | None = None) -> nn.Module:
    """A norm over the last dimension, d_model wide, of `kind` or else of the model's own kind."""
    return NORMS[kind or config.norm](config.d_model, config.norm_eps)
