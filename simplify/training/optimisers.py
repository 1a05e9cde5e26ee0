"""Optimisers by name, with the paper's parameter groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from simplify.config import OptimiserConfig

OPTIMISERS: dict[str, Callable[[list[dict[str, Any]], OptimiserConfig], torch.optim.Optimizer]] = {
    "adamw": lambda groups, c: torch.optim.AdamW(groups, lr=c.lr, betas=c.betas, eps=c.eps, fused=True),
}


def make_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """The optimiser over `model`'s parameters on their final device."""
    return OPTIMISERS[config.name](parameter_groups(model, config.weight_decay), config)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; gains, norm scales and biases, which have fewer than two dimensions, do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the rate of this step."""
    for group in optimiser.param_groups:
        group["lr"] = rate
