"""Measures of a residual stream and of attention matrices, each a number for one layer.

Where they come from: token cosine and the residual of rank 1, Dong et al. (arXiv 2103.03404) and Noci
et al. (arXiv 2206.03126); kurtosis of the neurons' RMS, He et al. (arXiv 2405.19279); effective rank,
Roy & Vetterli (2007).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from simplify.zoo.context import Context


def token_cosine(x: Float[Tensor, "B T d"]) -> float:
    """Mean cosine of two different tokens of a sequence: 1 is rank collapse."""
    unit = torch.nn.functional.normalize(x.double(), dim=-1, eps=1e-300)
    length = x.shape[1]
    total = unit.sum(dim=1).square().sum(dim=-1) - unit.square().sum(dim=(1, 2))  # all pairs less i = j
    return float((total / (length * (length - 1))).mean())


def rank_one_residual(x: Float[Tensor, "B T d"]) -> float:
    """||X - 1 mean(X)^T|| / ||X||: 0 where all tokens of a sequence are the same."""
    x = x.double()
    apart = (x - x.mean(dim=1, keepdim=True)).norm(dim=(1, 2)) / x.norm(dim=(1, 2))
    return float(apart.mean())


def effective_rank(x: Float[Tensor, "B T d"]) -> float:
    """exp of the entropy of the normalised singular values of a sequence."""
    values = torch.linalg.svdvals(x.double())
    shares = values / values.sum(dim=-1, keepdim=True)
    return float(torch.special.entr(shares).sum(dim=-1).exp().mean())


def rms(x: Float[Tensor, "B T d"]) -> float:
    """Root of the mean square of all elements."""
    return float(x.double().square().mean().sqrt())


def kurtosis(x: Float[Tensor, "B T d"]) -> float:
    """mean s^4 / (mean s^2)^2 over the neurons' RMS s: 1 if all are alike, d if one has it all."""
    squares = x.double().square().mean(dim=(0, 1))
    return float(squares.square().mean() / squares.mean().square())


def max_to_median(x: Float[Tensor, "B T d"]) -> float:
    """Largest absolute activation over the median one."""
    size = x.double().abs()
    return float(size.max() / size.median())


STREAM: dict[str, Callable[[Tensor], float]] = {
    "token_cosine": token_cosine,
    "rank_one_residual": rank_one_residual,
    "effective_rank": effective_rank,
    "rms": rms,
    "kurtosis": kurtosis,
    "max_to_median": max_to_median,
}


def attention_entropy(
    q: Float[Tensor, "B T H h"], k: Float[Tensor, "B T K h"], context: Context, soft_cap: float | None
) -> float:
    """Mean entropy of the rows of A over that of a uniform row: 1 is attention that does not look.

    The first row of a causal A has one key and no entropy to normalise; it is left out.
    """
    scores = context.scores(q.transpose(1, 2).double(), k.transpose(1, 2).double(), soft_cap)
    entropy = torch.special.entr(scores.softmax(dim=-1)).sum(dim=-1)
    keys = torch.isfinite(scores).sum(dim=-1)
    rows = keys > 1
    return float((entropy[rows] / keys[rows].log()).mean()) if rows.any() else math.nan
