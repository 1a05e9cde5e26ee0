"""Sums of scaled terms with their backward passes written out: fewer passes over memory, nothing kept twice.

autograd alone would keep each product of a gain and a tensor's factor and read them again one by one. Here the
forward pass accumulates in place and the backward pass needs the terms themselves, which attention and the matrix
products hold anyway. torch.compile traces through all of it and makes its own kernels.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 16  # positions summed by one small matrix product on a CPU: 8 and 32 were slower


def running_sum(x: Float[Tensor, "B T ..."], backwards: bool = False) -> Float[Tensor, "B T ..."]:
    """Sums over the positions up to each one, itself included; `backwards`: from each one on.

    On a CPU in blocks: torch's cumsum goes through memory against the grain there.
    """
    length = x.shape[1]
    whole = length - length % _BLOCK
    if x.device.type != "cpu" or not whole:
        return x.flip(1).cumsum(1).flip(1) if backwards else x.cumsum(1)
    width = x[0, 0].numel()
    triangle = torch.ones(_BLOCK, _BLOCK, dtype=x.dtype)
    triangle = triangle.triu() if backwards else triangle.tril()
    rest = length - whole
    blocks, tail = (x[:, rest:], x[:, :rest]) if backwards else (x[:, :whole], x[:, whole:])
    sums = triangle @ blocks.reshape(x.shape[0], -1, _BLOCK, width)
    if backwards:
        carried = sums[:, :, 0].flip(1).cumsum(1).flip(1)
        sums[:, :-1] += carried[:, 1:, None]
    else:
        carried = sums[:, :, -1].cumsum(1)
        sums[:, 1:] += carried[:, :-1, None]
    sums = sums.view(x.shape[0], whole, *x.shape[2:])
    if not rest:
        return sums
    if backwards:
        return torch.cat([tail.flip(1).cumsum(1).flip(1) + sums[:, :1], sums], dim=1)
    return torch.cat([sums, tail.cumsum(1) + sums[:, -1:]], dim=1)


def shaped_causal(
    v: Float[Tensor, "B T H h"],
    attended: Float[Tensor, "B T H h"],
    alpha: Float[Tensor, "#H"],
    beta: Float[Tensor, "#H"],
    gamma: Float[Tensor, "#H"],
) -> Float[Tensor, "B T H h"]:
    """alpha V + beta attended - gamma times the running mean of V (He & Hofmann, eq. 4), in at least fp32."""
    return _ShapedCausal.apply(v, attended, alpha, beta, gamma)


class _ShapedCausal(torch.autograd.Function):
    """The mean's adjoint needs the same running sum that the gradient of gamma does, so the mean itself is not kept."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, attended: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
        ctx.save_for_backward(v, attended, alpha, beta, gamma)
        wide = torch.promote_types(torch.promote_types(v.dtype, attended.dtype), alpha.dtype)
        v, attended = v.to(wide), attended.to(wide)
        out = v * alpha[:, None]
        out.addcmul_(attended, beta[:, None])
        shares = gamma / _positions(v)  # (T, H)
        return out.addcmul_(running_sum(v), shares[..., None], value=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        v, attended, alpha, beta, gamma = ctx.saved_tensors
        later = running_sum(grad / _positions(grad)[..., None], backwards=True)
        towards_v = (grad * alpha[:, None]).addcmul_(later, gamma[:, None], value=-1)
        sums = [
            _over_all_but_heads(g * t, gain)
            for g, t, gain in ((grad, v, alpha), (grad, attended, beta), (later, v, gamma))
        ]
        return towards_v.to(v.dtype), (grad * beta[:, None]).to(attended.dtype), sums[0], sums[1], -sums[2]


def _positions(like: Float[Tensor, "B T H h"]) -> Float[Tensor, "T 1"]:
    return torch.arange(1, like.shape[1] + 1, device=like.device, dtype=like.dtype)[:, None]


def _over_all_but_heads(product: Float[Tensor, "B T H h"], gain: Float[Tensor, "#H"]) -> Float[Tensor, "#H"]:
    return product.sum((0, 1, 3)).sum_to_size(gain.shape)


def scaled_sum(
    x: Float[Tensor, "*B d"], a: Float[Tensor, ...], y: Float[Tensor, "*B d"], b: Float[Tensor, ...]
) -> Float[Tensor, "*B d"]:
    """a x + b y in the widest type of the four; a and b are single gains, (), or one a channel, (d,)."""
    return _ScaledSum.apply(x, a, y, b)


class _ScaledSum(torch.autograd.Function):
    """Two passes forward, each product of a gain and a term made once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(x, a, y, b)
        wide = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.promote_types(a.dtype, b.dtype))
        return (x.to(wide) * a).addcmul_(y.to(wide), b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        x, a, y, b = ctx.saved_tensors
        needed = ctx.needs_input_grad
        return (
            (grad * a).to(x.dtype) if needed[0] else None,
            (grad * x).sum_to_size(a.shape) if needed[1] else None,
            (grad * b).to(y.dtype) if needed[2] else None,
            (grad * y).sum_to_size(b.shape) if needed[3] else None,
        )
