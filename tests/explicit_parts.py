"""The parts of the explicit transformer: norms, activations, position codes, softmax.

Each from its paper's formula, independent of `simplify.zoo`; `explicit.py` puts them together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from simplify.config import ModelConfig

Weights = Mapping[str, Tensor]
Stream = Float[Tensor, "T d"]
Head = Float[Tensor, "T h"]
Square = Float[Tensor, "T T"]


def softmax(scores: Square) -> Square:
    """exp(s_ij) / sum_k exp(s_ik), with the row's largest score subtracted first."""
    powers = torch.exp(scores - scores.max(dim=1, keepdim=True).values.detach())
    return powers / powers.sum(dim=1, keepdim=True)


def activated(z: Tensor, model: ModelConfig) -> Tensor:
    """phi(z) of each activation."""
    if model.activation in ("relu", "relu2"):
        positive = torch.where(z > 0, z, torch.zeros_like(z))
        return positive * positive if model.activation == "relu2" else positive
    if model.activation == "leaky_relu":
        assert model.leaky_slope is not None
        return torch.where(z > 0, z, model.leaky_slope * z)
    if model.activation == "swiglu":  # silu: z times the logistic function
        return z / (1 + torch.exp(-z))
    return z * (1 + torch.erf(z / math.sqrt(2))) / 2  # gelu: z times the standard normal's distribution function


def norm(x: Stream, kind: str, eps: float, weights: Weights, name: str) -> Stream:
    """One of four norms.

    rmsnorm: x / sqrt(mean x^2 + eps) * g; layernorm: (x - mean x) / sqrt(var x + eps) * g + c;
    dyt: g tanh(a x) + c; derf: g erf(a x + s) + c, with scalars a and s.
    """
    if kind == "dyt":
        x = torch.tanh(weights[f"{name}.scale"] * x)
    elif kind == "derf":
        x = torch.erf(weights[f"{name}.scale"] * x + weights[f"{name}.shift"])
    else:
        if kind == "layernorm":
            x = x - x.sum(dim=1, keepdim=True) / x.shape[1]
        x = x / torch.sqrt((x * x).sum(dim=1, keepdim=True) / x.shape[1] + eps)
    x = x * weights[f"{name}.weight"]
    return x if kind == "rmsnorm" else x + weights[f"{name}.bias"]


def slopes(n_heads: int) -> list[float]:
    """ALiBi: 2^(-8 n / H) for heads n = 1 ... H where H is a power of two, else by the two nearest ones.

    arXiv 2108.12409, and for other H the authors' code: all of the power below, then every second of the next.
    """
    power = 1
    while 2 * power <= n_heads:
        power *= 2
    below = [2 ** (-8 * n / power) for n in range(1, power + 1)]
    above = [2 ** (-8 * n / (2 * power)) for n in range(1, 2 * power + 1, 2)]
    return below + above[: n_heads - power]


def sinusoids(length: int, model: ModelConfig) -> Stream:
    """PE(t, 2i) = sin(t / 10000^(2i/d)), PE(t, 2i+1) = cos(t / 10000^(2i/d)) (arXiv 1706.03762, 3.5).

    Published for embeddings of unit scale; here times sqrt(2) init_std, the scale of our embedding.
    """
    table = torch.zeros(length, model.d_model, dtype=torch.float64)
    for t in range(length):
        for column in range(model.d_model):
            angle = t / 10000 ** ((column - column % 2) / model.d_model)
            table[t, column] = math.cos(angle) if column % 2 else math.sin(angle)
    return math.sqrt(2) * model.init_std * table


def rotated(x: Head) -> Head:
    """Rotary positions: (x_i, x_{i + h/2}) turned by t 10000^(-2i/h) (arXiv 2104.09864, eq. 34)."""
    half = x.shape[1] // 2
    angles = rope_angles(*x.shape)
    cos, sin = torch.cos(angles).to(x.dtype), torch.sin(angles).to(x.dtype)
    low, high = x[:, :half], x[:, half:]
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=1)


def rope_angles(length: int, width: int) -> Float[Tensor, "T half"]:
    """t 10000^(-2i/h) for position t and pair i."""
    angles = [[t * 10000 ** (-2 * i / width) for i in range(width // 2)] for t in range(length)]
    return torch.tensor(angles, dtype=torch.float64)
