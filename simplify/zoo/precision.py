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
