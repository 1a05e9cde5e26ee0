"""Whether this CPU is faster in bf16: a product of matrices as a step makes it, in turn with the same in fp32.

    python -m simplify.training.bf16

answers a plan, which has no torch, with a line of JSON: the median of the rounds, and what a quarter of them stay
below.
"""

from __future__ import annotations

import json
import statistics
import time

import torch
from torch import Tensor

from simplify.display import attach, tell
from simplify.runs.precision import Speed

_SIZES = (128, 512)  # of square products; the first only tells whether the second may be waited for
_ROUNDS = 15
_HOPELESS = 0.2  # without instructions for it bf16 is a hundred times slower


def main() -> None:
    """Measure and print."""
    attach()
    tell(json.dumps(measure_bf16()._asdict()))


def measure_bf16() -> Speed:
    """Times as fast as fp32, on one thread, in a tenth of a second.

    Other work on the machine takes no time of this thread, and what it slows, caches and clock, it slows in both
    products of a round; the median of the rounds counts. As under autocast, what is multiplied is rounded to bf16
    first, which is timed too.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            first = _ratios(_SIZES[0], 3)
            ratios = _ratios(_SIZES[1], _ROUNDS) if min(first) > _HOPELESS else first
    finally:
        torch.set_num_threads(threads)
    return Speed(statistics.median(ratios), statistics.quantiles(ratios, n=4)[0])


def _ratios(size: int, rounds: int) -> list[float]:
    """Seconds in fp32 over seconds in bf16, round by round, after one that loads the library."""
    a, b = torch.ones(size, size), torch.ones(size, size)
    found = [_seconds(a, b, torch.float32) / _seconds(a, b, torch.bfloat16) for _ in range(rounds + 1)]
    return found[1:]


def _seconds(a: Tensor, b: Tensor, dtype: torch.dtype) -> float:
    begin = time.thread_time()  # of this thread alone: not what others were given meanwhile
    torch.mm(a.to(dtype), b.to(dtype))
    return time.thread_time() - begin


if __name__ == "__main__":
    main()
