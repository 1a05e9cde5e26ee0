"""Position codes by name: added to the embedding, or turned into the queries and keys."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simplify.config import ModelConfig

# Where the tokens stand: the first of consecutive positions, or all of them as a tensor on the device, for each
# sequence by itself if it has two dimensions.
Start = int | Int[Tensor, " T"] | Int[Tensor, "B T"]


def rows(table: Float[Tensor, "rows width"], start: Start, length: int) -> Float[Tensor, "*B T width"]:
    """The rows of a table that belong to `length` tokens."""
    if isinstance(start, int):
        return table[start : start + length]
    return table.index_select(0, start) if start.ndim == 1 else table[start]


class LearnedPositions(nn.Module):
    """A trained row for each position, added to the embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.std = config.init_std
        self.weight = nn.Parameter(torch.zeros(config.position_rows, config.d_model))

    def forward(self, x: Float[Tensor, "B T d"], start: Start = 0) -> Float[Tensor, "B T d"]:
        return x + rows(self.weight, start, x.shape[1]).to(x.dtype)

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
        self.scale = self.scale_of(config)
        self.register_buffer("table", torch.empty(config.seq_len, config.d_model), persistent=False)
        self.fill()

    def scale_of(self, config: ModelConfig) -> float:
        """Of the sines and cosines, which have a standard deviation of 1 / sqrt(2)."""
        return config.init_std * 2**0.5

    def fill(self) -> None:
        """Compute the table, which is not saved with the model."""
        length, width = self.table.shape
        angles = _angles(length, width)
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]
        self.table.copy_(table * self.scale)

    def forward(self, x: Float[Tensor, "B T d"], start: Start = 0) -> Float[Tensor, "B T d"]:
        return x + rows(self.table, start, x.shape[1]).to(x.dtype)


class ScaledSinusoidalPositions(SinusoidalPositions):
    """The same times one trained number, 1 / sqrt(d_model) at first (FLASH, arXiv 2202.10447; Cramming, 2212.14034)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.factor = nn.Parameter(torch.zeros(1))

    def scale_of(self, config: ModelConfig) -> float:  # noqa: ARG002
        """The trained number is all the scale there is."""
        return 1.0

    def forward(self, x: Float[Tensor, "B T d"], start: Start = 0) -> Float[Tensor, "B T d"]:
        return x + (self.factor * rows(self.table, start, x.shape[1])).to(x.dtype)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:  # noqa: ARG002  nothing is drawn
        self.factor.fill_(self.table.shape[1] ** -0.5)


class Rope(nn.Module):
    """Rotary positions: pairs of query and key dimensions turn by position (arXiv 2104.09864)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        for name in ("cos", "sin"):
            self.register_buffer(name, torch.empty(config.seq_len, config.head_width // 2), persistent=False)
        self.fill()

    def fill(self) -> None:
        """Compute the turns, which are not saved with the model."""
        length, half = self.cos.shape
        angles = _angles(length, 2 * half)
        self.cos.copy_(angles.cos())
        self.sin.copy_(angles.sin())

    def forward(self, x: Float[Tensor, "B T heads h"], start: Start = 0) -> Float[Tensor, "B T heads h"]:
        cos, sin = (rows(table, start, x.shape[1]).unsqueeze(-2) for table in (self.cos, self.sin))
        a, b = x.unflatten(-1, (2, -1)).unbind(-2)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)


def _angles(length: int, width: int) -> Float[Tensor, "T half"]:
    """Angle of each position and frequency, in fp64: in fp32 far positions would be off."""
    rates = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.arange(length, dtype=torch.float64)[:, None] * rates


def alibi_slopes(n_heads: int) -> Float[Tensor, " H"]:
    """The slope of each head's distance bias (arXiv 2108.12409, section 3).

    2^(-8/H), 2^(-16/H), ... for a power of two; else those of the power of two below, then every
    second one of those of the power of two above.
    """
    power = 1 << (n_heads.bit_length() - 1)
    slopes = [2 ** (-8 * n / power) for n in range(1, power + 1)]
    between = [2 ** (-4 * n / power) for n in range(1, 2 * power, 2)]
    return torch.tensor((slopes + between)[:n_heads])


# Codes added to the embedding; rope and alibi act in the attention instead.
ADDED: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "learned": LearnedPositions,
    "sinusoidal": SinusoidalPositions,
    "scaled_sinusoidal": ScaledSinusoidalPositions,
}


def added_positions(config: ModelConfig) -> nn.Module | None:
    """The module that adds positions to the embedding, if the code is one that does."""
    return ADDED[config.positions](config) if config.positions in ADDED else None
