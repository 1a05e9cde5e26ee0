"""W_V and W_P: an ordinary matrix, one whose updates are restricted, or none at all.

All modules map (..., d_in) to (..., d_out). The equations write x W; torch stores the transpose,
so `weight` here is W^T with shape (d_out, d_in).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simplify.config import Dense, Identity, Reparam
from simplify.zoo.gains import Gain

STD = 0.02  # of every normally initialised matrix and embedding (He & Hofmann 2024, section 5)


class Linear(nn.Linear):
    """A matrix without bias unless asked; `init` is normal, orthogonal or zero."""

    def __init__(self, d_in: int, d_out: int, init: str = "normal", bias: bool = False) -> None:
        self.init = init
        super().__init__(d_in, d_out, bias=bias)

    def reset_parameters(self) -> None:
        """Nothing: the seeded `initialise` below is the only place that draws weights."""

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weight from `generator`; the bias is 0."""
        if self.init == "orthogonal":
            self.weight.copy_(haar(self.out_features, self.in_features, generator))
        elif self.init == "zero":
            self.weight.zero_()
        else:
            self.weight.normal_(0.0, STD, generator=generator)
        if self.bias is not None:
            self.bias.zero_()


class ReparamMatrix(nn.Module):
    """x W with W = skip W_init + branch dW; W_init fixed, dW trained from 0 (paper eq. 5 and 6)."""

    def __init__(self, config: Reparam, d: int) -> None:
        super().__init__()
        self.skip = Gain(config.skip, config.trainable)
        self.branch = Gain(config.branch, config.trainable)
        self.delta = nn.Parameter(torch.zeros(d, d))
        self.frozen = config.branch == 0.0 and not config.trainable
        if self.frozen:  # b = 0 for ever: dW would never be used (Fig 3 at b = 0)
            self.delta = None
        if config.init == "orthogonal":
            self.register_buffer("fixed", torch.eye(d))  # saved with the model
        else:
            self.fixed = None

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        kept = self.skip(x if self.fixed is None else F.linear(x, self.fixed))
        return kept if self.delta is None else kept + self.branch(F.linear(x, self.delta))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draw W_init; dW is 0."""
        if self.fixed is not None:
            self.fixed.copy_(haar(*self.fixed.shape, generator))
        if self.delta is not None:
            self.delta.zero_()


def make_matrix(config: Dense | Reparam | Identity, d_in: int, d_out: int) -> nn.Module:
    """The module for W_V or W_P. Reparam and identity need d_in = d_out, which RunConfig checks."""
    if isinstance(config, Dense):
        return Linear(d_in, d_out, config.init)
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
