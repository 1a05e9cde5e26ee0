"""Texts as tokens for a fine-tuned encoder.

    one text    end a end
    a pair      end a end b end

`end` is the tokeniser's end-of-text token, also where it has others ([CLS], [SEP]): it is what stood before, between
and after texts in pre-training, so it is the one whose embedding has been trained. The pooler reads the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from simplify.data.tokenisers import end_of_text
from simplify.finetune.glue import Examples


class Tokens(NamedTuple):
    """A batch: tokens, and where they are no padding; None where there is none."""

    ids: Int64[Tensor, "B T"]
    valid: Bool[Tensor, "B T"] | None


class Encoder:
    """Texts to token numbers, at most `length` of them with the ends."""

    def __init__(self, tokeniser: Tokenizer, length: int) -> None:
        self._tokeniser, self._length, self.end = tokeniser, length, end_of_text(tokeniser)
        self._tokeniser.encode_special_tokens = True  # "<|endoftext|>" inside a text is text

    def __call__(self, examples: Examples) -> list[NDArray[np.int64]]:
        """The inputs of the examples, in their order; texts that are too long lose their ends."""
        columns = [self._encode(column) for column in zip(*examples.texts, strict=True)]
        return [self._joined(parts) for parts in zip(*columns, strict=True)]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [e.ids for e in self._tokeniser.encode_batch_fast(list(texts), add_special_tokens=False)]

    def _joined(self, parts: Sequence[list[int]]) -> NDArray[np.int64]:
        room = self._length - len(parts) - 1
        kept = fitted([len(part) for part in parts], room)
        tokens = [self.end]
        for part, count in zip(parts, kept, strict=True):
            tokens += [*part[:count], self.end]
        return np.array(tokens, dtype=np.int64)


def fitted(lengths: Sequence[int], room: int) -> list[int]:
    """How much of each text there is room for: the longest gives way until it is no longer the longest."""
    kept = list(lengths)
    if len(kept) == 1:
        return [min(kept[0], room)]
    first, second = kept
    if first + second <= room:
        return kept
    half = room // 2
    if first <= room - half:
        return [first, room - first]
    return [room - second, second] if second <= half else [room - half, half]


def padded(inputs: Sequence[NDArray[np.int64]], padding: int) -> Tokens:
    """A batch as long as its longest input."""
    lengths = np.array([len(one) for one in inputs])
    ids = np.full((len(inputs), lengths.max()), padding, dtype=np.int64)
    for row, one in zip(ids, inputs, strict=True):
        row[: len(one)] = one
    valid = np.arange(ids.shape[1]) < lengths[:, None]
    return Tokens(torch.from_numpy(ids), None if valid.all() else torch.from_numpy(valid))
