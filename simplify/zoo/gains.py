"""Gains: one number, one per head or one per channel, trained or fixed."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gain(nn.Module):
    """Multiplies by a gain. A gain fixed at 1 costs nothing.

    `n` gains multiply dimension `axis` (-2: heads, -1: channels); `n=None` is a single scalar. A trained
    gain stays in fp32 under autocast, and so does its product. Gains never decay: the optimiser
    decays matrices only.
    """

    def __init__(self, value: float, trainable: bool, n: int | None = None, axis: int = -1) -> None:
        super().__init__()
        self.value, self.n, self.axis = value, n, axis
        start = torch.full(() if n is None else (n,), float(value))
        if trainable:
            self.gain = nn.Parameter(start)
        self.free = not trainable and value == 1.0

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape (..., n) or (..., n, width) -> the same shape."""
        if self.free:
            return x
        if not hasattr(self, "gain"):
            return x * self.value
        return x * (self.gain.unsqueeze(-1) if self.axis == -2 else self.gain)

    def initialise(self, generator: torch.Generator) -> None:  # noqa: ARG002
        """Back to the configured value; nothing is drawn."""
        if hasattr(self, "gain"):
            nn.init.constant_(self.gain, self.value)

    def extra_repr(self) -> str:
        return f"{self.value:g}, n={self.n}, trainable={hasattr(self, 'gain')}"
