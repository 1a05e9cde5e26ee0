"""Batches as a pure function of (corpus, seed, step).

The same for every block variant and for any split of the batch into micro-batches or devices, so
variants are compared on the same data in the same order, and a resumed run needs no loader state.
Batches that grow (train.batch_ramp) are a pure function of the sequences consumed before, too.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from simplify.config import RunConfig
from simplify.data.corpus import Corpus
from simplify.data.objectives import Batch, MaskedTokens, next_token
from simplify.data.splits import Split
from simplify.data.tokenisers import mask_token
from simplify.errors import DataError

_TRAINING, _VALIDATION = 1, 2  # random streams of the masks


@dataclass(frozen=True)
class Sequences:
    """Windows of T + 1 tokens (T inputs and their T targets) in one split."""

    tokens: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    seq_len: int

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, indices: NDArray[np.int64]) -> Int64[np.ndarray, "B T+1"]:
        """The windows with these indices."""
        reach = np.arange(self.seq_len + 1)
        return self.tokens[self.starts[indices][:, None] + reach].astype(np.int64)


def sequences(corpus: Corpus, split: Split, seq_len: int, packing: str) -> Sequences:
    """A split cut into windows that share no target.

    `stream` cuts straight through; `document` cuts each document and drops its remainder, as the
    paper's data preparation does.
    """
    tokens = corpus.tokens(split)
    if packing == "stream":
        starts = np.arange(0, max(len(tokens) - seq_len, 0), seq_len, dtype=np.int64)
        return Sequences(tokens, starts, seq_len)
    edges = corpus.document_starts(split)
    counts = np.maximum(np.diff(edges) - 1, 0) // seq_len
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return Sequences(tokens, np.repeat(edges[:-1], counts) + within * seq_len, seq_len)


class Batches:
    """Training batches by step, and the fixed validation set."""

    def __init__(self, corpus: Corpus, config: RunConfig) -> None:
        self._size, self._seed = config.batch_sequences, config.data_seed
        length, packing = config.model.seq_len, config.data.packing
        self._train = sequences(corpus, "train", length, packing)
        self._val = sequences(corpus, "val", length, packing)
        if not len(self._train):
            raise DataError(
                f"model.seq_len={length}: longer than the corpus: its training split has {corpus.facts.train_tokens} "
                "tokens; use a shorter model.seq_len or more text"
                if packing == "stream"
                else f"model.seq_len={length}: longer than every document (data.packing={packing} keeps them apart); "
                "use a shorter model.seq_len, longer documents or data.packing=stream"
            )
        if len(self._val) < self._size:
            raise DataError(
                f"data.val_fraction={config.data.val_fraction:g}: the validation split has {len(self._val)} sequences "
                f"of {length} tokens, fewer than a batch ({self._size}); {self._more(corpus)}"
                "a shorter model.seq_len or a smaller train.batch_tokens"
            )
        self._order = functools.lru_cache(maxsize=2)(self._permutation)
        self._masked: MaskedTokens | None = None
        if config.model.kind == "encoder":
            tokeniser = corpus.tokeniser()
            self._masked = MaskedTokens(config.mlm_probability, mask_token(tokeniser), tokeniser.get_vocab_size())

    def _more(self, corpus: Corpus) -> str:
        """What would make the validation split larger."""
        if corpus.account.by_name:
            return "put more text into the files that are named for validation, or use "
        needed, whole = self._size * self._val.seq_len, corpus.facts.train_tokens + corpus.facts.val_tokens
        return "use more text, a larger data.val_fraction, " if whole > 2 * needed else "use more text, "

    def batch(self, step: int, part: range | None = None) -> Batch:
        """What to learn in `step`, counted from 0.

        `part`: which sequences of the run's endless order; None: those of a run whose batches do not grow.
        """
        windows = self.windows(step, part)
        return next_token(windows) if self._masked is None else self._masked(windows, self._seed, step, _TRAINING)

    def windows(self, step: int, part: range | None = None) -> Int64[np.ndarray, "B T+1"]:
        """The text of `step`. Each epoch visits every window once, in its own order."""
        part = part or range(step * self._size, (step + 1) * self._size)
        wanted = np.arange(part.start, part.stop, dtype=np.int64)
        epochs, places = np.divmod(wanted, len(self._train))
        return self._train.take(np.array([self._order(int(e))[p] for e, p in zip(epochs, places, strict=True)]))

    def validation(self, count: int) -> Batch:
        """At most `count` windows, evenly spaced over the validation split; always the same."""
        count = min(count, len(self._val))
        windows = self._val.take(np.arange(count, dtype=np.int64) * len(self._val) // count)
        return next_token(windows) if self._masked is None else self._masked(windows, 0, 0, _VALIDATION)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        # RandomState's streams are frozen across numpy versions; Generator's are not.
        bits = np.random.MT19937(np.random.SeedSequence([self._seed, epoch]))
        return np.random.RandomState(bits).permutation(len(self._train))
