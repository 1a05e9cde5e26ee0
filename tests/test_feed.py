"""Micro-batches: made ahead or not, by one process or several, they are the batch of the step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simplify.data.batches import Batches
from simplify.data.objectives import IGNORED, Batch
from simplify.training.device import Device
from simplify.training.feed import Feed

CPU = Device("cpu", "fp32")


class Numbered(Batches):
    """Batches in which every token tells step and sequence; from step 7 on there are none."""

    def __init__(self, rows: int, masked: bool = False) -> None:
        self.rows, self.masked = rows, masked
        self.made: list[int] = []

    def batch(self, step: int, part: range | None = None) -> Batch:
        self.made.append(step)
        if step == 7:
            raise OSError("the disk is gone")
        rows = range(self.rows) if part is None else part
        inputs = 100 * step + np.array(rows, dtype=np.int64)[:, None] + np.zeros((1, 4), dtype=np.int64)
        targets = inputs + 1
        if self.masked:
            targets[:, 1:3] = IGNORED
        return Batch(inputs, targets)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.lists(st.integers(0, 6), max_size=8), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_processes_share_each_batch(size: int, processes: int, accum: int, steps: list[int], masked: bool) -> None:
    """Steps in any order, as after a restart; only those that follow each other are made ahead."""
    rows = size * processes * accum
    feeds = [Feed(Numbered(rows, masked), CPU, size, rank, processes) for rank in range(processes)]
    for step in steps:
        found = [feed.step(step) for feed in feeds]
        assert [len(micros) for micros in found] == [accum] * processes
        in_order = [found[rank][number] for number in range(accum) for rank in range(processes)]
        inputs, targets = torch.cat([micro.rows for micro in in_order], dim=1)
        whole = Numbered(rows, masked).batch(step)
        assert np.array_equal(inputs, whole.inputs) and np.array_equal(targets, whole.targets)
        for micro in in_order:
            counted = (micro.rows[1].flatten() != IGNORED).nonzero()[:, 0]
            assert (micro.places is None) != masked
            assert micro.places is None or torch.equal(micro.places, counted)


def test_what_follows_is_made_once_and_ahead() -> None:
    batches = Numbered(2)
    feed = Feed(batches, CPU, 2)
    for step in (2, 3, 4, 5, 6):
        feed.step(step)
    assert batches.made[:5] == [2, 3, 4, 5, 6]  # and 7 perhaps, by now


def test_a_batch_that_grows_is_cut_again() -> None:
    batches = Numbered(0)
    feed = Feed(batches, CPU, 2)
    parts = [range(2), range(2, 4), range(4, 6), range(6, 10), range(10, 14)]
    for step, part in enumerate(parts):
        micros = feed.step(step, part)
        assert [micro.rows.shape[1] for micro in micros] == [2] * (len(part) // 2)
        seen = [int(row[0]) - 100 * step for micro in micros for row in micro.rows[0]]
        assert seen == list(part)
    feed.step(5, range(14, 18))
    assert sorted(batches.made)[:7] == [0, 1, 2, 3, 3, 4, 5]  # step 3 was guessed too small


def test_what_goes_wrong_ahead_is_raised_in_its_step() -> None:
    feed = Feed(Numbered(2), CPU, 2)
    for step in (5, 6):
        feed.step(step)
    with pytest.raises(OSError, match="the disk is gone"):
        feed.step(7)


def test_the_rest_of_a_validation_set_is_smaller() -> None:
    micros = Feed(Numbered(5), CPU, 2).cut(Numbered(5).batch(0))
    assert [micro.rows.shape[1] for micro in micros] == [2, 2, 1]
