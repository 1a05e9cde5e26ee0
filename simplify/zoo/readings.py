"""The values of a model's gains, layer by layer: what `probe` shows and gains.jsonl keeps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simplify.config.gains import BLOCK_GAINS, HEAD_GAINS
from simplify.zoo.attention import Attention
from simplify.zoo.block import Block, ParallelBlock
from simplify.zoo.gains import Gain
from simplify.zoo.matrices import ReparamMatrix
from simplify.zoo.model import Transformer

_BINS = 32


def gain_of(block: Block, name: str) -> Gain | None:
    """One of HEAD_GAINS or BLOCK_GAINS in a layer; None where the block has no such term."""
    return getattr(block.attention if name in HEAD_GAINS else block, name)


def value_of(gain: Gain) -> Float[Tensor, " n"]:
    """A gain's values on the host, one a head or channel, or a single one."""
    return getattr(gain, "gain", torch.tensor(gain.value)).detach().cpu().reshape(-1)


def trained_gains(model: Transformer) -> dict[str, dict[str, list[float | None]]]:
    """Mean and standard deviation over heads (or channels) in each layer, of gains and ratios that train.

    {"alpha": {"mean": [one number a layer], "sd": [...]}, ...}; None in a layer that has no such gain. The standard
    deviation is that of the values themselves (divided by n), 0 for a single one.
    """
    blocks = [block for block in model.blocks if isinstance(block, Block)]
    found: dict[str, list[Tensor | None]] = {}
    for name in (*HEAD_GAINS, *BLOCK_GAINS):
        gains = [gain_of(block, name) for block in blocks]
        if any(_trains(gain) for gain in gains):
            found[name] = [None if gain is None else value_of(gain) for gain in gains]
    for name, parts in RATIOS.items():
        pairs = [parts(block) for block in blocks]
        if any(pair is not None and (_trains(pair[0]) or _trains(pair[1])) for pair in pairs):
            found[name] = [None if pair is None else value_of(pair[0]) / value_of(pair[1]) for pair in pairs]
    return {name: _in_numbers(values) for name, values in found.items()}


def gradient_histograms(model: Transformer) -> dict[str, dict[str, Any]]:
    """For each weight the entries of its gradient, counted in 32 equal bins from the smallest to the largest.

    {"blocks.0.mlp.w_in.weight": {"low": ..., "high": ..., "counts": [32 numbers]}, ...}; a weight without a gradient,
    or with one that is not finite, is left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, weight in model.named_parameters():
        if weight.grad is None:
            continue
        entries = weight.grad.detach().float()
        low, high = (float(edge) for edge in entries.aminmax())
        if math.isfinite(low) and math.isfinite(high):
            counts = torch.histc(entries, _BINS, low, high)
            found[name] = {"low": low, "high": high, "counts": [int(count) for count in counts.tolist()]}
    return found


def _in_numbers(values: list[Tensor | None]) -> dict[str, list[float | None]]:
    return {
        "mean": [None if value is None else _short(value.mean()) for value in values],
        "sd": [None if value is None else _short(value.std(correction=0)) for value in values],
    }


def _short(value: Tensor) -> float | None:
    """Six digits are more than a picture shows, and half the size of the file. None for a ratio to a skip of 0."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None


def _trains(gain: Gain | None) -> bool:
    return gain is not None and hasattr(gain, "gain")


def _matrix(name: str) -> Callable[[Block], tuple[Gain, Gain] | None]:
    def parts(block: Block) -> tuple[Gain, Gain] | None:
        assert isinstance(block.attention, Attention)
        matrix = getattr(block.attention, name)
        return (matrix.branch, matrix.skip) if isinstance(matrix, ReparamMatrix) else None

    return parts


def _residual(branch: str) -> Callable[[Block], tuple[Gain, Gain] | None]:
    def parts(block: Block) -> tuple[Gain, Gain] | None:
        # In the parallel layout both branches have one skip.
        skip = block.attn_skip if isinstance(block, ParallelBlock) else getattr(block, f"{branch}_skip")
        return None if skip is None else (getattr(block, f"{branch}_branch"), skip)

    return parts


# Branch over skip, of the matrices W = a W_init + b dW and of the residual branches (paper, Figs 4, 16-22).
RATIOS: dict[str, Callable[[Block], tuple[Gain, Gain] | None]] = {
    "value_ratio": _matrix("value"),
    "projection_ratio": _matrix("projection"),
    "attn_ratio": _residual("attn"),
    "mlp_ratio": _residual("mlp"),
}
