"""The loss of a trained decoder on a text of any length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from simplify.zoo.loss import IGNORED
from simplify.zoo.model import Transformer

_AT_ONCE = 8192  # tokens in a forward pass


@dataclass(frozen=True)
class TextLoss:
    """What a text costs a model."""

    nats: float  # of the whole text: minus the logarithm of its probability
    tokens: int
    bytes: int  # of its UTF-8

    @property
    def nats_per_token(self) -> float:
        """Cross-entropy, as train/loss and val/loss."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """e to the nats a token."""
        return math.exp(min(self.nats_per_token, 700.0))

    @property
    def bits_per_byte(self) -> float:
        """The unit in which models with different tokenisers can be compared."""
        return self.nats / math.log(2) / self.bytes


@torch.no_grad()
def nats_of(model: Transformer, tokens: Sequence[int], context: int, stride: int) -> float:
    """Minus the log-probability of `tokens` after the first one, each of which counts once.

    Longer ones than `context` are read in windows of that length, `stride` tokens apart: after the first window a
    token is predicted from at least context - stride tokens before it.
    """
    device = next(model.parameters()).device
    known = torch.tensor(tokens, device=device)
    total = 0.0
    for windows in _batches(len(tokens) - 1, context, stride):
        inputs = torch.stack([known[start:end] for start, end, _ in windows])
        targets = torch.stack([known[start + 1 : end + 1] for start, end, _ in windows])
        for row, (_, _, seen) in zip(targets, windows, strict=True):
            row[:seen] = IGNORED
        total += float(model.loss(inputs, targets)) * int((targets != IGNORED).sum())
    return total


def _batches(length: int, context: int, stride: int) -> Iterator[list[tuple[int, int, int]]]:
    """Windows (start, end, targets that an earlier window has counted), as many at once as fit; the last ends flush."""
    windows = [(0, min(context, length), 0)]
    while windows[-1][1] < length:
        counted = windows[-1][1]
        end = min(counted + stride, length)
        windows.append((end - context, end, counted - (end - context)))
    rows = max(_AT_ONCE // context, 1)
    yield from (windows[first : first + rows] for first in range(0, len(windows), rows))
