"""Which runs of two variants are held against each other: one seed, so the same batches, and one precision.

What another precision does to a loss is small, and so is what a block does: across precisions nobody can tell which of
them a difference is.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from simplify.compare.variants import Variant, seeds
from simplify.runs.store import RunView

UNKNOWN = "unknown"


def precision_of(run: RunView) -> str:
    """What a run was trained in, as it has noted it."""
    return (run.about.get("device") or {}).get("precision") or UNKNOWN


def pairs_of(mine: Sequence[RunView], base: Sequence[RunView]) -> list[tuple[RunView, RunView]]:
    """Runs of one seed and one precision."""
    others = {(seeds(run), precision_of(run)): run for run in base}
    return [(run, others[key]) for run in mine if (key := (seeds(run), precision_of(run))) in others]


def finals_of(variant: Variant, base: Variant) -> tuple[dict[Hashable, float], dict[Hashable, float]]:
    """The final losses that may be compared, by seed: all of them in one precision, else those of pairs alone."""
    if len({precision_of(run) for run in (*variant.done, *base.done)}) < 2:
        return variant.final(), base.final()
    pairs = pairs_of(variant.done, base.done)
    whole = [(a, b) for a, b in pairs if a.last.get("val/loss") is not None and b.last.get("val/loss") is not None]
    mine, its = (replace(one, runs=[pair[side] for pair in whole]) for side, one in enumerate((variant, base)))
    return mine.final(), its.final()


def apart_line(variant: Variant, base: Variant) -> str:
    """Why a variant is not judged, where precision is the reason; else empty."""
    told = [sorted({precision_of(run) for run in one.done}) for one in (variant, base)]
    if not all(told) or len({*told[0], *told[1]}) < 2 or finals_of(variant, base)[0]:
        return ""
    return f"not judged: {' and '.join(told[0])}, the baseline {' and '.join(told[1])}"
