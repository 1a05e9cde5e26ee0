"""Optimisers by name, with the paper's parameter groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from simplify.config import OptimiserConfig


class AdamW(torch.optim.AdamW):
    """torch's AdamW without its wrappers, which only keep torch.compile from looking inside.

    Ours is never compiled, and the first call of a wrapper loads the whole compiler, which costs more than
    a second. The arithmetic and the state are torch's own.
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


OPTIMISERS: dict[str, Callable[[list[dict[str, Any]], OptimiserConfig], torch.optim.Optimizer]] = {
    "adamw": lambda groups, c: AdamW(groups, lr=c.lr, betas=c.betas, eps=c.eps, fused=True),
}


def make_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """The optimiser over `model`'s parameters on their final device."""
    return OPTIMISERS[config.name](parameter_groups(model, config), config)


def parameter_groups(model: nn.Module, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Matrices decay; gains, norm scales and biases, which have fewer than two dimensions, do not.

    With `value_lr_ratio` the matrices W_V and W_P are a group of their own, with that share of the rate.
    """
    matrices = {n: p for n, p in model.named_parameters() if p.ndim >= 2}
    apart = ("value", "projection") if config.value_lr_ratio != 1 else ()
    slow = [n for n in matrices if n.split(".")[-2] in apart]
    decay = config.weight_decay
    groups = [
        {"params": [p for n, p in matrices.items() if n not in slow], "weight_decay": decay, "lr_ratio": 1.0},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0, "lr_ratio": 1.0},
    ]
    if slow:
        groups.append({"params": [matrices[n] for n in slow], "weight_decay": decay, "lr_ratio": config.value_lr_ratio})
    return groups


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate of this step."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("lr_ratio", 1.0)  # checkpoints from before there was a ratio have none
