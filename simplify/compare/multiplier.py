"""What a variant is worth in the baseline's compute, and whether small scales order variants as large ones do.

The compute multiplier of a size is C_base(L) / C: the training FLOPs at which the baseline's law reaches the loss L
that the variant has after C of its own. A ladder's is the geometric mean over its sizes. The interval is a percentile
bootstrap over sizes and, within each, over seeds; seeds that both have are drawn together, since they are paired.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simplify.compare.law import LEAST_SIZES, Law, fitted

DRAWS = 400
_LEVEL = 0.95
_TRIES = 20  # draws of sizes, of which too few may be different ones
Losses = Mapping[Hashable, float]  # of the finished runs of one size by seed, in nats a token


@dataclass(frozen=True)
class Rung:
    """One size or budget of a ladder."""

    flops: float  # of training, whole
    losses: Losses


@dataclass(frozen=True)
class Worth:
    """The compute multiplier; above 1 the variant needs less compute than the baseline for the same loss.

    `beyond`: sizes whose loss the baseline's law reaches nowhere, or only outside the sizes that it was fitted to.
    """

    ratio: float
    low: float
    high: float
    beyond: int

    @property
    def text(self) -> str:
        """As tables print it."""
        if math.isinf(self.ratio):
            return "more than any compute"
        most = "no limit" if math.isinf(self.high) else _times(self.high)
        return f"{_times(self.ratio)}x ({_times(self.low)} to {most})" + (" extrapolated" if self.beyond else "")


def _times(ratio: float) -> str:
    """1.47, 0.0032, 1.2e+04: a law that is nearly flat comes to any number."""
    return f"{ratio:.2f}" if 0.1 <= ratio < 1000 else f"{ratio:.2g}"


def worth(mine: Sequence[Rung], base: Sequence[Rung], draws: int = DRAWS) -> Worth | None:
    """The multiplier of a ladder against the baseline's; None where that has no law or one side no runs."""
    law = _law(base, [list(rung.losses) for rung in base])
    if law is None or not any(rung.losses for rung in mine):
        return None
    means = [math.fsum(rung.losses.values()) / len(rung.losses) for rung in mine if rung.losses]
    ranged = [math.fsum(rung.losses.values()) / len(rung.losses) for rung in base if rung.losses]
    beyond = sum(not min(ranged) <= loss <= max(ranged) for loss in means)
    dice = np.random.default_rng(0)  # the same report says the same
    found = [ratio for _ in range(draws) if (ratio := _drawn(mine, base, dice)) is not None]
    if not found:
        return None
    edges = ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)
    low, high = (float(np.quantile(found, edge, method="inverted_cdf")) for edge in edges)  # infinite ones are kept
    return Worth(_ratio(law, mine, [list(rung.losses) for rung in mine]), low, high, beyond)


def _drawn(mine: Sequence[Rung], base: Sequence[Rung], dice: np.random.Generator) -> float | None:
    """The multiplier of one draw of sizes and seeds."""
    common = min(len(mine), len(base))
    for _ in range(_TRIES):
        places = dice.integers(common, size=common).tolist() if common > LEAST_SIZES else list(range(common))
        if len(set(places)) >= LEAST_SIZES:
            break
    else:
        return None
    ours, theirs = [mine[place] for place in places], [base[place] for place in places]
    drawn = [_seeds(one, other, dice) for one, other in zip(ours, theirs, strict=True)]
    law = _law(theirs, [pair[1] for pair in drawn])
    own = [pair[0] for pair in drawn]
    return None if law is None or not any(own) else _ratio(law, ours, own)


def _seeds(mine: Rung, base: Rung, dice: np.random.Generator) -> tuple[list[Hashable], list[Hashable]]:
    """Seeds of both, drawn with replacement: the common ones as pairs, where there are such."""
    common = [seed for seed in mine.losses if seed in base.losses]
    if common:
        found = [common[at] for at in dice.integers(len(common), size=len(common)).tolist()]
        return found, found
    sides = (list(mine.losses), list(base.losses))
    first, second = (
        [side[at] for at in dice.integers(len(side), size=len(side)).tolist()] if side else [] for side in sides
    )
    return first, second


def _law(rungs: Sequence[Rung], seeds: Sequence[Sequence[Hashable]]) -> Law | None:
    points = [(rung.flops, rung.losses[seed]) for rung, own in zip(rungs, seeds, strict=True) for seed in own]
    return fitted([flops for flops, _ in points], [loss for _, loss in points]) if points else None


def _ratio(law: Law, rungs: Sequence[Rung], seeds: Sequence[Sequence[Hashable]]) -> float:
    logs: list[float] = []
    for rung, own in zip(rungs, seeds, strict=True):
        if own:
            loss = math.fsum(rung.losses[seed] for seed in own) / len(own)
            reached = law.inverse(loss)
            logs.append(math.log(reached / rung.flops) if math.isfinite(reached) else math.inf)
    return math.exp(math.fsum(logs) / len(logs))


def decision_accuracy(small: Mapping[str, float], large: Mapping[str, float]) -> tuple[int, int]:
    """Pairs that two scales order alike by their mean losses, and all pairs (DataDecide, arXiv 2504.11393)."""
    names = [name for name in small if name in large]
    pairs = list(itertools.combinations(names, 2))
    alike = sum((small[one] - small[two]) * (large[one] - large[two]) > 0 for one, two in pairs)
    return alike, len(pairs)
