"""Gains: one number, one per head or one per channel, trained or fixed."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simplify.zoo.fused import scaled_sum
from simplify.zoo.precision import narrowed


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
        if not self.trains:
            return x * self.value
        return x * (self.gain.unsqueeze(-1) if self.axis == -2 else self.gain)

    @property
    def trains(self) -> bool:
        """Whether it is a parameter."""
        return hasattr(self, "gain")

    def tensor(self, like: Tensor) -> Float[Tensor, ...]:
        """The gain itself, () or (n,), on `like`'s device; a fixed one in `like`'s type, fp32 or wider."""
        if self.trains:
            return self.gain
        wide = torch.promote_types(like.dtype, torch.float32)
        return torch.full((), self.value, dtype=wide, device=like.device)

    def initialise(self, generator: torch.Generator) -> None:  # noqa: ARG002
        """Back to the configured value; nothing is drawn."""
        if self.trains:
            nn.init.constant_(self.gain, self.value)

    def extra_repr(self) -> str:
        return f"{self.value:g}, n={self.n}, trainable={self.trains}"


def add_scaled(
    skip: Gain | None, x: Float[Tensor, "*B d"], branch: Gain, y: Float[Tensor, "*B d"]
) -> Float[Tensor, "*B d"]:
    """skip x + branch y in as few passes as the two gains allow; without a skip the branch alone."""
    if skip is None:
        return branch(y)
    if skip.free and branch.free:
        return x + y
    if skip.free and not branch.trains:
        return torch.add(x, y, alpha=branch.value)
    if branch.free and not skip.trains:
        return torch.add(y, x, alpha=skip.value)
    return narrowed(scaled_sum(x, skip.tensor(x), y, branch.tensor(y)), x, y)
