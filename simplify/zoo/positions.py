"""Position codes by name: added to the embedding, or turned into the queries and keys."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simplify.config import ModelConfig


class LearnedPositions(nn.Module):
    """A trained row for each position, added to the embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.std = config.init_std
        self.weight = nn.Parameter(torch.zeros(config.position_rows, config.d_model))

    def forward(self, x: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
        return x + self.weight[: x.shape[1]]

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        self.weight.normal_(0.0, self.std, generator=generator)


class SinusoidalPositions(nn.Module):
    """Sines and cosines of geometric wavelengths, added to the embedding (arXiv 1706.03762, 3.5).

    Scaled to the embedding's standard deviation, or they would drown it.
    """

    table: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        angles = _angles(config.seq_len, config.d_model)
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, : config.d_model]
        self.register_buffer("table", (table * (config.init_std * 2**0.5)).float(), persistent=False)

    def forward(self, x: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
        return x + self.table[: x.shape[1]]


class Rope(nn.Module):
    """Rotary positions: pairs of query and key dimensions turn by position (arXiv 2104.09864)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        angles = _angles(config.seq_len, config.head_width)
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def forward(self, x: Float[Tensor, "B T heads h"]) -> Float[Tensor, "B T heads h"]:
        cos, sin = self.cos[: x.shape[1], None], self.sin[: x.shape[1], None]
        a, b = x.unflatten(-1, (2, -1)).unbind(-2)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)


def _angles(length: int, width: int) -> Float[Tensor, "T half"]:
    """Angle of each position and frequency, in fp64: in fp32 far positions would be off."""
    rates = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.arange(length, dtype=torch.float64)[:, None] * rates


# Codes added to the embedding; rope acts in the attention instead.
ADDED = {"learned": LearnedPositions, "sinusoidal": SinusoidalPositions}


def added_positions(config: ModelConfig) -> nn.Module:
    """The module that adds positions to the embedding; the identity for rope and none."""
    return ADDED[config.positions](config) if config.positions in ADDED else nn.Identity()
