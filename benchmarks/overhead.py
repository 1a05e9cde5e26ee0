"""What the harness costs: a step of `simplify train` beside the bare model's forward, backward and update.

    .venv/bin/python benchmarks/overhead.py [key=value ...] [--rounds N] [--steps N]

Both are processes of their own, in turn, round after round, on the same corpus, model, batch and number of threads. The
bare one is a loop of ten lines around the same model with the same optimiser and clipping, its batches ready in memory.
The whole one writes metrics, logs to W&B offline and draws its line; validation and checkpoints are outside both. What
counts is the ratio of two neighbours' seconds a step.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from simplify.bench.statistics import median, spread

SHAPE = ["block=pre_ln", "model=gpt_small", "model.n_layers=2", "data.vocab_size=1024"]
BATCH = ["train.batch_tokens=1024", "train.micro_batch=8", "train.compile=false", "train.precision=fp32"]
WARM_UP = 4


def bare(words: list[str], steps: int) -> float:
    """Seconds a step of the bare loop, in this process."""
    import torch

    from simplify.compose import compose_run
    from simplify.data.batches import Batches
    from simplify.data.corpus import open_corpus
    from simplify.training.device import choose_device
    from simplify.training.optimisers import make_optimiser
    from simplify.zoo.model import build_model

    config = compose_run(words)
    device, batches = choose_device(config, None), Batches(open_corpus(config.data), config)
    model = build_model(config.block, config.model, config.data.vocab_size, config.init_seed).to(device.torch)
    optimiser = make_optimiser(model, config.optimiser)
    ready = [tuple(torch.from_numpy(h.copy()).to(device.torch) for h in batches.batch(n)) for n in range(steps)]
    start = 0.0
    for number, (inputs, targets) in enumerate(ready):
        if number == WARM_UP:
            device.synchronise()
            start = time.perf_counter()
        with device.autocast():
            loss = model(inputs, targets=targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    device.synchronise()
    return (time.perf_counter() - start) / (steps - WARM_UP)


def whole(words: list[str], steps: int, folder: Path) -> float:
    """Seconds a step of `simplify train`, by the clock of its metrics: between two logged rows, all inclusive."""
    settings = [f"train.steps={steps + 1}", "train.val_every=1000000", "train.log_every=1", f"run_root={folder}"]
    command = [sys.executable, "-m", "simplify", "train", *words, *settings, "train.checkpoint_every=1000000"]
    subprocess.run(command, check=True, capture_output=True)
    (metrics,) = folder.glob("*/metrics.jsonl")
    seconds = {row["step"]: row["seconds"] for row in map(json.loads, metrics.read_text().splitlines())}
    return (seconds[steps] - seconds[WARM_UP]) / (steps - WARM_UP)


def main() -> None:
    """Measure in turn and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="key=value")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    words = [*SHAPE, *BATCH, *given.words]
    if given.bare:
        print(bare(given.words, given.steps))
        return
    ratios: list[float] = []
    for _ in range(given.rounds):
        command = [sys.executable, __file__, "--bare", "--steps", str(given.steps), "--", *words, "train.steps=1"]
        alone = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
        with tempfile.TemporaryDirectory() as folder:
            ratios.append(whole(words, given.steps, Path(folder)) / alone)
        print(f"bare {alone:.4f} s, whole {alone * ratios[-1]:.4f} s, ratio {ratios[-1]:.3f}", flush=True)
    low, high = spread(ratios)
    print(f"whole / bare: median {median(ratios):.3f} ({low:.3f} to {high:.3f}), load {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
