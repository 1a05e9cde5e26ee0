"""Seeded initial weights.

Each weight has its own random stream, named by the seed and the weight's full name. So weights
that two block variants share start out identical whatever else differs between them, on any device.
"""

from __future__ import annotations

import hashlib
from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class Initialised(Protocol):
    """A module that owns weights and can set them to their initial values."""

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights from `generator`."""
        ...


def initialise(model: nn.Module, seed: int) -> None:
    """Draw every weight of `model`, which must be on the CPU."""
    for name, module in model.named_modules():
        if isinstance(module, Initialised):
            module.initialise(stream(seed, name))


def stream(seed: int, name: str) -> torch.Generator:
    """The random stream of the weight called `name`."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
