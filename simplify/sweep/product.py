"""How fast a CPU multiplies matrices, in a tenth of a second and without torch; a program of its own.

    OMP_NUM_THREADS=2 python -m simplify.sweep.product

It prints {"step_seconds": 11.2}: seconds of TERA FLOPs. A program of its own because numpy's library asks for its
number of threads once, when it is loaded.
"""

from __future__ import annotations

import json
import time

from simplify.display import attach, tell

TERA = 1e12
_SIZES = (768, 3072)  # the second where the first is over so soon that starting its threads counts
_SOON, _LEAST, _SECONDS = 0.004, 3, 0.15  # seconds of a product; products of a size, and seconds for them


def main() -> None:
    """Measure and print."""
    attach()
    best = 0.0
    for size in _SIZES:
        fastest = _fastest(size)
        best = max(best, 2 * size**3 / fastest)
        if fastest > _SOON:
            break
    tell(json.dumps({"step_seconds": TERA / best}))


def _fastest(size: int) -> float:
    """Seconds of the quickest of some square products; the first loads the library."""
    import numpy as np  # here: who asks for the times of steps needs nothing of this file but TERA

    a, b = np.ones((2, size, size), dtype=np.float32)
    times: list[float] = []
    while len(times) < _LEAST or sum(times) < _SECONDS:
        begin = time.perf_counter()
        np.matmul(a, b)
        times.append(time.perf_counter() - begin)
    return min(times)


if __name__ == "__main__":
    main()
