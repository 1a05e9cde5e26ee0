"""A training step of ours beside a minimal GPT's, and of the simplified blocks beside Pre-LN's.

    .venv/bin/python benchmarks/step.py [key=value ...] [--blocks pre_ln,sas,...] [--rounds N] [--profile FOLDER]

The paper's shape with fewer layers and a small vocabulary unless overridden, so that the blocks are most of the work.
All models do an optimiser update of one micro-batch on the same device, in turn, round after round; what counts is the
ratio of two times of one round. `--profile` prints in addition where the time of each goes by kind of operation, and
keeps traces for Perfetto and tables by operation.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import torch
from reference import GPT, optimiser, take

from simplify.bench.build import choose_devices
from simplify.bench.rounds import Terms, Work, measure
from simplify.bench.statistics import compare, median
from simplify.bench.work import TrainingStep, build_variant, settle
from simplify.compose import compose_zoo
from simplify.config import RunConfig
from simplify.errors import ConfigError
from simplify.training.device import Device
from simplify.training.timing import Noise

SHAPE = [
    "model=gpt_small",
    "model.n_layers=4",
    "data.vocab_size=1024",
    "train.batch_tokens=2048",
    "train.micro_batch=16",
    "train.precision=fp32",
]
BLOCKS = "pre_ln,parallel,sas,sas_p,sas_p_no_norm"
MINIMAL = "minimal GPT"


class MinimalStep:
    """An update of the reference model, as a training script without a harness does it."""

    def __init__(self, config: RunConfig, device: Device, ours: torch.nn.Module, compiled: bool = False) -> None:
        model = config.model
        gpt = GPT(model.n_layers, model.d_model, model.n_heads, model.d_ff, config.data.vocab_size, model.position_rows)
        self._model, self._device = gpt.to(device.torch), device
        take(self._model, ours)
        self._forward: Callable[..., torch.Tensor] = torch.compile(self._model) if compiled else self._model
        batch = Noise(config, config.batch_sequences).batch(0)
        self._inputs, self._targets = (torch.from_numpy(half.copy()).to(device.torch) for half in batch)
        self._optimiser = optimiser(self._model)
        self.loss = torch.zeros(())

    def prepare(self) -> None:
        """Nothing."""

    def call(self) -> None:
        with self._device.autocast():
            loss = self._forward(self._inputs, self._targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.loss = loss.detach()


def works_of(words: list[str], blocks: list[str]) -> tuple[dict[str, Work], Device]:
    """What is timed: the reference and our blocks."""
    configs: dict[str, RunConfig] = {}
    for name, run in compose_zoo([*SHAPE, *words], None, blocks).items():
        if isinstance(run, ConfigError):
            raise SystemExit(str(run))
        configs[name] = run
    device = choose_devices(configs)[blocks[0]]
    settle()
    variants = {name: build_variant(name, config, device) for name, config in configs.items()}
    works: dict[str, Work] = {name: TrainingStep(variant) for name, variant in variants.items()}
    if "pre_ln" in variants:
        ours = variants["pre_ln"]
        minimal = MinimalStep(ours.config, device, ours.trainer.model)
        minimal.call()
        loss = float(ours.trainer.step(0, 0.0, lambda _: None)[0])
        assert abs(float(minimal.loss) - loss) < 1e-2, f"not the same model: {float(minimal.loss)} and {loss}"
        works = {MINIMAL: minimal, **works}
    return works, device


def table(times: dict[str, list[float]]) -> None:
    """Ratios to the first two: to the minimal GPT and to Pre-LN."""
    bases = [name for name in (MINIMAL, "pre_ln") if name in times]
    print(f"{'model':16} {'median s':>9}" + "".join(f"   {'times as fast as ' + base:>36}" for base in bases))
    for name, seconds in times.items():
        cells = ""
        for base in bases:
            ratio = compare(times[base], seconds)
            cells += f"   {ratio.median:15.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
        print(f"{name:16} {median(seconds):9.4f}{cells}")


KINDS = {  # the first that fits an operation's name
    "matrix products": ("::mm", "::addmm", "::bmm", "::matmul"),
    "fused attention": ("scaled_dot_product",),
    "activation": ("threshold_backward", "clamp_min", "relu", "gelu"),
    "optimiser": ("adamw", "linalg_vector_norm"),
    "sums over positions": ("cumsum", "flip"),
    "loss": ("softmax", "logsumexp", "nll_loss", "gather", "scatter", "exp_"),
}


def profile(name: str, call: Callable[[], object], out: Path, calls: int = 3) -> None:
    """Where the time goes, by kind of operation, without the time in what it calls; the trace into `out`."""
    call()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        for _ in range(calls):
            call()
    spent = dict.fromkeys((*KINDS, "all else"), 0.0)
    for event in found.key_averages():
        kind = next((k for k, words in KINDS.items() if any(word in event.key for word in words)), "all else")
        spent[kind] += event.self_cpu_time_total
    total = sum(spent.values())
    print(f"{name}: " + ", ".join(f"{kind} {100 * time / total:.1f}%" for kind, time in spent.items()))
    out.mkdir(parents=True, exist_ok=True)
    found.export_chrome_trace(str(out / f"{name.replace(' ', '_')}.json.gz"))
    table = found.key_averages().table(sort_by="self_cpu_time_total", row_limit=40, max_name_column_width=60)
    (out / f"{name.replace(' ', '_')}.txt").write_text(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="key=value")
    parser.add_argument("--blocks", default=BLOCKS)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--profile", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    works, device = works_of(given.words, given.blocks.split(","))
    print(f"{device.facts()['device']}, torch {torch.__version__}, load {os.getloadavg()[0]:.2f}")
    if given.profile:
        for name, work in works.items():
            work.prepare()
            profile(name, work.call, given.profile)
    table(measure(works, Terms(given.rounds), device.synchronise).seconds)


if __name__ == "__main__":
    main()
