"""How much the differences of pairs spread over seeds, from finished runs; and what so many seeds can show by that."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simplify.compare.pairs import precision_of
from simplify.compare.statistics import mean_sd, t_quantile
from simplify.compare.variants import seeds
from simplify.runs.store import RunView


@dataclass(frozen=True)
class Spread:
    """The standard deviation of a pair's difference, in nats, pooled over pairs of variants."""

    sd: float
    freedom: float  # degrees of freedom it is known from
    runs: int


def spread_of(runs: Sequence[RunView]) -> Spread | None:
    """The spread over finished runs that differ in their blocks and seeds; None where no two pairs are there.

    All pairs of variants count that are equal but for the block and of one precision. Of v variants with all seeds this
    is the residual variance after removing means of variants and of seeds, twice.
    """
    groups: dict[str, dict[str, dict[Hashable, float]]] = {}
    for run in runs:
        loss = run.last.get("val/loss") if run.state == "done" else None
        identity = run.about.get("identity")
        if isinstance(loss, (int, float)) and math.isfinite(loss) and isinstance(identity, dict):
            rest = {name: value for name, value in identity.items() if name not in ("block", "seeds")}
            key = json.dumps([rest, precision_of(run)], sort_keys=True)
            block = json.dumps(identity["block"], sort_keys=True)
            groups.setdefault(key, {}).setdefault(block, {})[seeds(run)] = float(loss)
    squares, weight, freedom, used = 0.0, 0.0, 0.0, 0
    for variants in groups.values():
        seen: set[tuple[int, Hashable]] = set()
        for (one, mine), (other, its) in itertools.combinations(enumerate(variants.values()), 2):
            gaps = {seed: mine[seed] - its[seed] for seed in mine if seed in its}
            if len(gaps) < 2:
                continue
            sd = mean_sd([*gaps.values()])[1] or 0.0
            squares, weight = squares + sd**2 * (len(gaps) - 1), weight + len(gaps) - 1
            freedom += 2 / len(variants) * (len(gaps) - 1)  # the pairs of v variants tell as much as v - 1 of them
            seen |= {(variant, seed) for variant in (one, other) for seed in gaps}
        used += len(seen)
    return Spread(math.sqrt(squares / weight), freedom, used) if weight else None


def known_spread(runs: Sequence[RunView], identity: Mapping[str, Any]) -> tuple[Spread, bool] | None:
    """The spread of runs on this model and data, and whether they had this budget, too; None where none is known."""
    alike = [run for run in runs if _is_alike(run, identity, ("model", "data"))]
    same = spread_of([run for run in alike if _is_alike(run, identity, ("train",))])
    found = same or spread_of(alike)
    return None if found is None else (found, same is not None)


def _is_alike(run: RunView, identity: Mapping[str, Any], parts: Sequence[str]) -> bool:
    its = run.about.get("identity")
    return isinstance(its, dict) and all(its.get(part) == identity[part] for part in parts)


def least_shown(spread: Spread, n: int, level: float) -> float:
    """The difference in nats above which `n` pairs decide at `level`, if they spread as those seen so far."""
    return t_quantile(n - 1, 1 - level / 2) * spread.sd / math.sqrt(n)
