"""W_V and W_P: an ordinary matrix, one whose updates are restricted, or none at all; and products of several at once.

All modules map (..., d_in) to (..., d_out). The equations write x W; torch stores the transpose,
so `weight` here is W^T with shape (d_out, d_in).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from simplify.config import Dense, Identity, Reparam
from simplify.zoo.gains import Gain, add_scaled

_ROWS_TO_JOIN = 512


class Linear(nn.Linear):
    """A matrix without bias unless asked; `init` is normal (N(0, std^2)), orthogonal or zero, times `scale`."""

    def __init__(
        self, d_in: int, d_out: int, std: float, init: str = "normal", bias: bool = False, scale: float = 1.0
    ) -> None:
        self.std, self.init, self.scale = std, init, scale
        super().__init__(d_in, d_out, bias=bias)

    def reset_parameters(self) -> None:
        """Nothing: the seeded `initialise` below is the only place that draws weights."""

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weight from `generator`; the bias is 0."""
        if self.init == "orthogonal":
            self.weight.copy_(self.scale * haar(self.out_features, self.in_features, generator))
        elif self.init == "zero":
            self.weight.zero_()
        else:
            self.weight.normal_(0.0, self.scale * self.std, generator=generator)
        if self.bias is not None:
            self.bias.zero_()


def products(
    u: Float[Tensor, "*B d"], matrices: Sequence[Linear], joined: bool | None = None
) -> list[Float[Tensor, "*B _"]]:
    """u times each matrix; `joined`: as one product of all columns side by side, which differs by rounding.

    None: on a GPU, where one large product takes less time than several small ones, and for so many rows that
    laying the weights side by side costs nothing beside it. A CPU gains nothing by it (benchmarks/step.py).
    """
    if joined is None:
        joined = u.device.type == "cuda" and u.numel() // u.shape[-1] >= _ROWS_TO_JOIN
    if not joined or len(matrices) < 2:
        return [matrix(u) for matrix in matrices]
    sizes = [matrix.out_features for matrix in matrices]
    bias = None
    if any(matrix.bias is not None for matrix in matrices):
        bias = torch.cat([u.new_zeros(m.out_features) if m.bias is None else m.bias for m in matrices])
    return list(F.linear(u, torch.cat([matrix.weight for matrix in matrices]), bias).split(sizes, dim=-1))


class ReparamMatrix(nn.Module):
    """x W with W = skip W_init + branch dW; W_init fixed, dW trained from 0 (paper eq. 5 and 6)."""

    fixed: Tensor | None

    def __init__(self, config: Reparam, d: int) -> None:
        super().__init__()
        self.skip = Gain(config.skip, config.trainable)
        self.branch = Gain(config.branch, config.trainable)
        # b = 0 for ever: dW would never be used (Fig 3 at b = 0).
        frozen = config.branch == 0.0 and not config.trainable
        self.delta = None if frozen else nn.Parameter(torch.zeros(d, d))
        # Saved with the model; None stands for the identity.
        self.register_buffer("fixed", torch.eye(d) if config.init == "orthogonal" else None)

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        kept = x if self.fixed is None else F.linear(x, self.fixed)
        return (
            self.skip(kept) if self.delta is None else add_scaled(self.skip, kept, self.branch, F.linear(x, self.delta))
        )

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw W_init; dW is 0."""
        if self.fixed is not None:
            self.fixed.copy_(haar(self.fixed.shape[0], self.fixed.shape[1], generator))
        if self.delta is not None:
            self.delta.zero_()


def make_matrix(config: Dense | Reparam | Identity, d_in: int, d_out: int, std: float, scale: float = 1.0) -> nn.Module:
    """The module for W_V or W_P. Reparam and identity need d_in = d_out, which RunConfig checks.

    `scale` multiplies the initial values of a dense matrix.
    """
    if isinstance(config, Dense):
        return Linear(d_in, d_out, std, config.init, scale=scale)
    if isinstance(config, Reparam):
        return ReparamMatrix(config, d_in)
    return nn.Identity()


def haar(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A (rows, columns) matrix with orthonormal rows or columns, uniform by Haar's measure.

    QR of a Gaussian with the signs of R's diagonal moved into Q (Mezzadri, math-ph/0609050),
    computed in fp64 so that products over many layers stay orthogonal.
    """
    tall = torch.randn(max(rows, columns), min(rows, columns), generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(tall)
    q = q * r.diagonal().sign()
    return q if rows >= columns else q.T
