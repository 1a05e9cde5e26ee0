"""What is kept of a bench, and where: one JSON file below the run root, whole or absent. No torch.

<run root>/.bench/<model>-<six digits of the configurations>-<time>.json     and .png, the picture

created ended command code git versions host platform executable   as in a run's run.json
load        the system's load averages (1, 5, 15 minutes) before and after; null where it has none
terms       rounds, seconds, only
baseline    the variant that the others are compared with
ceiling     by precision: the fastest matrix product, FLOPs a second
variants    by name: config, key (what must be equal to compare), work, build_seconds, parameters, memory, notes
modes       by name (train, forward, decode_1, decode_8): what, repeats, rounds, and by variant what `entry` says
skipped     by mode: why there is nothing
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from simplify.bench.statistics import Ratio, compare, median, spread
from simplify.config import RunConfig

ONLY = ("train", "forward", "decode", "memory")


@dataclass(frozen=True)
class Asked:
    """What is asked of a bench besides the configurations."""

    baseline: str  # the name of a variant
    only: tuple[str, ...] = ONLY
    rounds: int | None = None  # of each work; None: as many as `seconds` allow
    seconds: float = 120.0  # for the rounds of all works together


@dataclass(frozen=True)
class Measured:
    """The times of one variant in one mode."""

    seconds: list[float]  # of a call, a round each
    warm_up: list[float]  # the first call is the first of these
    tokens: int  # of a call
    flops: float  # of a token


def entry(own: Measured, base: Measured | None, ceiling: float | None) -> dict[str, Any]:
    """All that is known of a variant in a mode. Without `base` it is compared with nothing.

    Ratios are of seconds a token. R = F (R/F): F, the baseline's FLOPs over the variant's, is what leaving
    out FLOPs would give at the baseline's FLOPs a second; R/F is what else was gained, overhead.
    """
    middle = median(own.seconds)
    low, high = spread(own.seconds)
    speed = own.tokens / middle
    found: dict[str, Any] = {
        "seconds": own.seconds,
        "first_call": own.warm_up[0],
        "warm_up": own.warm_up[1:],
        "tokens": own.tokens,
        "flops_per_token": own.flops,
        "median": middle,
        "low": low,
        "high": high,
        "tokens_per_second": speed,
        "mfu": None if ceiling is None else own.flops * speed / ceiling,
        "ratio": None,
        "split": None,
    }
    if base is not None:
        each, others = ([s / m.tokens for s in m.seconds] for m in (own, base))
        ratio = compare(others, each)
        found |= {"ratio": asdict(ratio), "split": _split(ratio, base.flops / own.flops)}
    return found


def _split(ratio: Ratio, removed: float) -> dict[str, float | None]:
    """Two factors whose product is the ratio."""
    ends = {"sure_low": ratio.sure_low, "sure_high": ratio.sure_high, "low": ratio.low, "high": ratio.high}
    overhead = {f"overhead_{name}": None if end is None else end / removed for name, end in ends.items()}
    return {"flops": removed, "overhead": ratio.median / removed, **overhead}


def work_of(config: RunConfig) -> str:
    """Eight digits of what is computed apart from the block: model, vocabulary, batch."""
    model = config.model.model_dump(mode="json", exclude={"name", "seed", "init_std"})
    said = [model, config.data.vocab_size, config.train.batch_tokens, config.micro_batch, config.optimiser.name]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]
