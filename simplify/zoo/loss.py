"""Cross-entropy of the output layer without ever holding all logits.

The logits of a batch are its largest tensor by far (tokens x vocabulary). They are made a stretch of tokens at a time,
and where gradients are wanted these are made at once from the same logits and only they are kept: for the hidden
states (N, d) and the weight (V, d). No product is done twice.

torch.nn.functional.linear_cross_entropy has the same idea; its chunked form exists in the newest torch only and
leaves the compiler's graph, hence ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

IGNORED = -100  # a target that is no target

# Logits at a time: each stretch costs a pass over the weight's gradient, and small products are slow.
_LOGITS, LOGITS_ON_GPU = 2**26, 2**28
_ROWS = 2**20  # logits whose exponentials exist at a time on a CPU
_ALIGNED = 64  # columns: tensor cores are slow where a vocabulary is no multiple of it


def token_loss(logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats a target, in fp32 or better; targets of -100 do not count."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(wide.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def output_loss(
    hidden: Float[Tensor, "N d"],
    weight: Float[Tensor, "V d"],
    targets: Int[Tensor, " N"],
    most_logits: int | None = None,
    aligned: int | None = None,
) -> Float[Tensor, ""]:
    """`token_loss` of the logits hidden W^T: sums in fp32 or better, products in autocast's type where it is on.

    At most `most_logits` logits exist at a time (at least those of one token), and the products have a multiple of
    `aligned` columns; None: by device. NaN where no target counts, as in `token_loss`.
    """
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    if aligned is None:
        aligned = _ALIGNED if kind == "cuda" else 1
    surplus = -len(weight) % aligned
    padded = F.pad(weight, (0, 0, 0, surplus)) if surplus else weight
    rows = max(1, (most_logits or (LOGITS_ON_GPU if kind == "cuda" else _LOGITS)) // len(padded))
    if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
        return _OutputLoss.apply(hidden, padded, targets, surplus, rows)
    parts = [_losses(h @ padded.T, t, surplus)[0].sum() for h, t in _stretches(rows, hidden, targets)]
    return torch.stack(parts).sum() / (targets != IGNORED).sum()


class _OutputLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, surplus: int, rows: int) -> Tensor:
        count = (targets != IGNORED).sum()
        total = torch.zeros((), dtype=_wide(hidden.dtype), device=hidden.device)
        towards_hidden, towards_weight = [], None
        for h, t in _stretches(rows, hidden, targets):
            losses, logits = _losses(h @ weight.T, t, surplus)
            total = total + losses.sum()
            counts = (t != IGNORED).to(logits.dtype)[:, None]
            # Softmax minus the one that was right, of the mean over all targets.
            slopes = logits.scatter_add_(1, t.clamp(min=0)[:, None], -torch.ones_like(counts))
            slopes = slopes.mul_(counts / count).to(h.dtype)
            towards_hidden.append(slopes @ weight)
            here = (slopes.T @ h).to(total.dtype)
            towards_weight = here if towards_weight is None else towards_weight.add_(here)
        assert towards_weight is not None
        ctx.save_for_backward(torch.cat(towards_hidden), towards_weight)
        ctx.weight_dtype = weight.dtype
        return total / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        towards_hidden, towards_weight = ctx.saved_tensors
        return (
            (towards_hidden * grad).to(towards_hidden.dtype),
            (towards_weight * grad).to(ctx.weight_dtype),
            None,
            None,
            None,
        )


def _stretches(rows: int, hidden: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(hidden.split(rows), targets.split(rows), strict=True)


def _losses(logits: Tensor, targets: Tensor, surplus: int) -> tuple[Tensor, Tensor]:
    """Loss of each token (0 where there is no target) and the softmax, which takes the place of the logits."""
    logits = logits.to(_wide(logits.dtype))
    if surplus:
        logits[:, -surplus:] = float("-inf")  # columns that are no tokens
    level = _levels(logits)
    right = logits.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return torch.where(targets == IGNORED, 0.0, level - right), logits.sub_(level[:, None]).exp_()


def _levels(logits: Tensor) -> Tensor:
    """log sum exp of each row. torch's holds a second matrix of that size; on a CPU a few rows at a time do, bit by bit
    the same, and it stays in the cache."""
    if logits.device.type != "cpu":
        return logits.logsumexp(1)
    return torch.cat([rows.logsumexp(1) for rows in logits.split(max(1, _ROWS // logits.shape[1]))])


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
