"""A training step in bf16 beside one in fp32, on this machine's CPU.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/precision.py [key=value ...] [--blocks pre_ln,sas] [--rounds N]

Both do the same update in turn, round after round, with one thread; what counts is the ratio of two times of one round.
Times are the process' own CPU seconds, which other programs' work does not lengthen. Beside it stands what
`train.precision=auto` goes by: the same ratio of one product of matrices.
"""

from __future__ import annotations

import argparse
import time

import torch

from simplify.bench.rounds import order
from simplify.bench.statistics import compare
from simplify.bench.work import TrainingStep, build_variant, settle
from simplify.compose import compose_run
from simplify.machine import processor
from simplify.training.bf16 import measure_bf16
from simplify.training.device import choose_device

PRECISIONS = ("fp32", "bf16")
_WARM_UP = 3


def steps_of(words: list[str]) -> dict[str, TrainingStep]:
    """An update in each precision."""
    found: dict[str, TrainingStep] = {}
    for precision in PRECISIONS:
        config = compose_run([*words, "train.device=cpu", "cluster.cpu_threads=1", f"train.precision={precision}"])
        found[precision] = TrainingStep(build_variant(precision, config, choose_device(config, None)))
    return found


def rounds_of(steps: dict[str, TrainingStep], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each, round by round, after a warm-up."""
    seconds: dict[str, list[float]] = {precision: [] for precision in steps}
    for number in range(_WARM_UP + rounds):
        for precision in order(list(steps), number):
            begin = time.process_time()
            steps[precision].call()
            seconds[precision].append(time.process_time() - begin)
    return {precision: times[_WARM_UP:] for precision, times in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="key=value")
    parser.add_argument("--blocks", default="pre_ln,sas")
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    settle()
    cpu, product = processor(), measure_bf16()
    print(f"{cpu.name} ({', '.join(cpu.bf16) or 'no bf16'}), torch {torch.__version__}")
    print(
        f"a product of matrices is {product.median:.2f} times as fast in bf16 (a quarter below {product.quarter:.2f})"
    )
    for block in given.blocks.split(","):
        times = rounds_of(steps_of([f"block={block}", *given.words]), given.rounds)
        ratio = compare(times["fp32"], times["bf16"])
        print(f"{block}: a step is {ratio.median:.2f} times as fast ({ratio.low:.2f} to {ratio.high:.2f})")


if __name__ == "__main__":
    main()
