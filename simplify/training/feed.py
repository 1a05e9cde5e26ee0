"""Micro-batches on the way to the device: cut on the host while the device computes the step before.

A batch is a pure function of its step and of its part of the data, so preparing one ahead changes nothing but the time
it takes. That the next batch is as large as this one is a guess where batches grow; a wrong one is thrown away.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from simplify.data.batches import Batches
from simplify.data.objectives import IGNORED, Batch
from simplify.training.device import Device


class MicroBatch(NamedTuple):
    """What one forward and backward pass needs."""

    rows: Int64[Tensor, "2 b T"]  # inputs and targets, in one piece: one transfer
    places: Int64[Tensor, " n"] | None  # targets that count, through the batch; None where all do

    def to(self, device: Device) -> MicroBatch:
        """On the device; from pinned memory the host does not wait for it."""
        moved = (None if part is None else part.to(device.torch, non_blocking=True) for part in self)
        return MicroBatch(*moved)  # type: ignore[arg-type]


class Feed:
    """The micro-batches of one process: every `stride`-th one from `first` on, `size` sequences each."""

    def __init__(self, batches: Batches, device: Device, size: int, first: int = 0, stride: int = 1) -> None:
        self._batches, self._device = batches, device
        self._size, self._first, self._stride = size, first, stride
        self._worker = ThreadPoolExecutor(1, "batches")
        self._ahead: tuple[tuple[int, range | None], Future[list[MicroBatch]]] | None = None
        self._last: int | None = None

    def step(self, step: int, part: range | None = None) -> list[MicroBatch]:
        """What this process trains on in `step`, on the host; once steps follow each other, it is there already.

        `part`: the sequences of the whole batch, where the step alone does not say them.
        """
        ahead, self._ahead = self._ahead, None
        found = ahead[1].result() if ahead and ahead[0] == (step, part) else self._whole(step, part)
        if self._last == step - 1:
            after = None if part is None else range(part.stop, part.stop + len(part))
            self._ahead = (step + 1, after), self._worker.submit(self._whole, step + 1, after)
        self._last = step
        return found

    def _whole(self, step: int, part: range | None) -> list[MicroBatch]:
        return self.cut(self._batches.batch(step, part))

    def cut(self, batch: Batch) -> list[MicroBatch]:
        """This process' micro-batches of a batch; the last one may be smaller."""
        starts = range(self._first * self._size, len(batch.inputs), self._stride * self._size)
        return [self._pack(batch.rows(start, start + self._size)) for start in starts]

    def _pack(self, batch: Batch) -> MicroBatch:
        places = None
        if (batch.targets == IGNORED).any():
            places = torch.from_numpy(np.flatnonzero(batch.targets != IGNORED))
        packed = MicroBatch(torch.from_numpy(np.stack(batch)), places)
        if self._device.kind != "cuda":
            return packed
        return MicroBatch(packed.rows.pin_memory(), None if places is None else places.pin_memory())
