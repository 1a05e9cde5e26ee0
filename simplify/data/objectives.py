"""What a model is to predict from a window of text: the next token, or tokens that were hidden."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

IGNORED = -100  # a target that does not count, by torch's convention


class Batch(NamedTuple):
    """Inputs and what is to be predicted at each position."""

    inputs: Int64[np.ndarray, "B T"]
    targets: Int64[np.ndarray, "B T"]

    def rows(self, first: int, end: int) -> Batch:
        """The sequences first..end-1."""
        return Batch(self.inputs[first:end], self.targets[first:end])


def next_token(windows: Int64[np.ndarray, "B T+1"]) -> Batch:
    """A decoder's objective: at each position the token after it."""
    return Batch(windows[:, :-1], windows[:, 1:])


class MaskedTokens:
    """An encoder's objective: some tokens are hidden and to be predicted (BERT, arXiv 1810.04805, 3.1).

    Of the chosen ones 80% become the mask token, 10% a random token, 10% stay. Each sequence has the
    same number of them, so that micro-batches of any size weigh the same.
    """

    def __init__(self, probability: float, mask_token: int, vocab_size: int) -> None:
        self._probability, self._mask, self._vocab = probability, mask_token, vocab_size

    def __call__(self, windows: Int64[np.ndarray, "B T+1"], *seeds: int) -> Batch:
        """Hide tokens of the windows' first T; the choice is a pure function of `seeds`."""
        tokens = windows[:, :-1]
        # RandomState's streams are frozen across numpy versions; Generator's are not.
        random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seeds)))
        count = max(1, round(self._probability * tokens.shape[1]))
        order = random.random_sample(tokens.shape).argsort(axis=1, kind="stable")
        chosen = np.zeros(tokens.shape, dtype=bool)
        np.put_along_axis(chosen, order[:, :count], True, axis=1)
        fate, strangers = random.random_sample(tokens.shape), random.randint(0, self._vocab, tokens.shape)
        inputs = np.where(chosen & (fate < 0.8), self._mask, tokens)
        inputs = np.where(chosen & (fate >= 0.8) & (fate < 0.9), strangers, inputs)
        return Batch(inputs.astype(np.int64), np.where(chosen, tokens, IGNORED))
