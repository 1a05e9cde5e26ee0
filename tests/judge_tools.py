"""Simulated campaigns through the real rule of the judge, and the loop without one; seeds have deviation 1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simplify.judge.rule import LOOKS, Standing, share, standing


def judged(gap: float, deviation: float, counts_as: int, draw: np.random.Generator) -> Standing:
    """A candidate whose differences have mean `gap` and this deviation, until it is answered."""
    gaps = list(draw.normal(gap, deviation, LOOKS[-1]))
    found = standing(gaps, LOOKS, share(counts_as))
    assert found is not None
    return found


def campaign(
    candidates: int, deviation: float, draw: np.random.Generator, planted: int | None = None, gap: float = 0.0
) -> Iterator[Standing]:
    """The answers of a campaign of changes that do nothing, but for one planted at a place from 1 on."""
    counts_as = 1
    for number in range(1, candidates + 1):
        found = judged(gap if number == planted else 0.0, deviation, counts_as, draw)
        counts_as += found.answer != "keep"
        yield found


def greedy(candidates: int, draw: np.random.Generator) -> tuple[int, float]:
    """A loop that keeps what is better after one seed: how many it keeps, and the gain that it reports."""
    first = best = draw.normal()
    kept = 0
    for loss in draw.normal(size=candidates):
        if loss < best:
            best, kept = loss, kept + 1
    return kept, first - best
