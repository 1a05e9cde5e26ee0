"""Sums and norms are made in fp32 or better; what leaves them has the type of the model around them."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """x in fp32, or as it is if that is wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def narrowed(out: Tensor, *parts: Tensor) -> Tensor:
    """`out`, made in fp32 or better, in the widest type of `parts`: a model in bf16 or fp16 stays one.

    Under autocast it stays wide, as weights and stream are there.
    """
    if torch.is_autocast_enabled(out.device.type):
        return out
    dtype = parts[0].dtype
    for part in parts[1:]:
        dtype = torch.promote_types(dtype, part.dtype)
    return out.to(dtype)


def is_wide_on_cpu(x: Tensor) -> bool:
    """Whether attention of `x` is to be made in fp32 although autocast is on: so on a CPU.

    torch's fused attention is slower there in bf16 than in fp32, its backward pass most. In a compiled graph autocast
    stays on: with a part that turns it off the graph could not be found again by the next run.
    """
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
