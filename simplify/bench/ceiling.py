"""The most that a device does in matrix products: what a model's FLOPs a second are held against.

    python -m simplify.bench.ceiling < configurations.json

answers a plan, which has no torch: for the device of each of the whole run configurations a line
{"step_seconds": 0.02}, the seconds of 10^12 FLOPs of products, or {"error": "one line"}.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch

from simplify.bench.statistics import median
from simplify.config import RunConfig, validate
from simplify.display import answer_alone, attach, tell
from simplify.errors import ConfigError
from simplify.training.device import Device, choose_device

_SIZES = {"cpu": (512, 1024, 2048), "mps": (1024, 2048, 4096), "cuda": (2048, 4096, 8192)}
_LEAST, _SECONDS = 3, 0.2  # products of a size: so many, and for so long
_PATIENCE = 0.5  # seconds that one product may take
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def main() -> None:
    """Answer the configurations on stdin."""
    attach()
    for data in json.load(sys.stdin):
        try:
            with answer_alone():
                speed = matmul_ceiling(choose_device(validate(RunConfig, data), None))["flops_per_second"]
            answer: dict[str, float | str] = {"step_seconds": 1e12 / speed}
        except ConfigError as error:  # no such device or precision here
            answer = {"error": error.lines[0]}
        tell(json.dumps(answer))


def matmul_ceiling(device: Device) -> dict[str, Any]:
    """FLOPs a second of the fastest of a few square products in the precision of the runs.

    Of each size the median counts, of the sizes the best. On a CPU it is that of the threads torch uses now.
    """
    speeds: dict[int, float] = {}
    for size in _SIZES[device.kind]:
        if speeds and _flops(size) / max(speeds.values()) > _PATIENCE:
            break  # bf16 without instructions for it is a hundred times slower than fp32
        speeds[size] = _flops(size) / median(_products(size, device))
    best = max(speeds, key=lambda size: speeds[size])
    return {
        "flops_per_second": speeds[best],
        "shape": [best, best, best],
        "precision": device.precision,
        "threads": torch.get_num_threads() if device.kind == "cpu" else None,
        "by_size": {str(size): speed for size, speed in speeds.items()},
    }


def _flops(size: int) -> int:
    return 2 * size**3


def _products(size: int, device: Device) -> list[float]:
    """Seconds of each of several products."""
    a, b = (torch.randn(size, size, device=device.torch).to(_DTYPES[device.precision]) for _ in range(2))
    torch.mm(a, b)
    times: list[float] = []
    while len(times) < _LEAST or sum(times) < _SECONDS:
        device.synchronise()
        begin = time.perf_counter()
        torch.mm(a, b)
        device.synchronise()
        times.append(time.perf_counter() - begin)
    return times


if __name__ == "__main__":
    main()
