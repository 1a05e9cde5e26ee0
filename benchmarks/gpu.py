"""The whole table of a GPU in one command, under eight minutes on one H100.

    python benchmarks/gpu.py --out FOLDER [--minutes 8] [--only gpt2,paper,...] [--small]

Parts, in the order of their worth; one that would begin after the time is left out and said to be:

    gpt2      Pre-LN at GPT-2's shape (12 layers, d 768, T 1024, vocabulary 50,304): tokens/s and MFU, and the minimal
              GPT of reference.py, compiled alike, beside it
    paper     the blocks at the paper's width and T 128, training
    long      the same at T 1024, training
    epilogue  what the shaped attention's own terms cost: SAS-P beside itself with plain attention, at T 128 and 1024
    memory    peak memory of a training step at growing context, Pre-LN and SAS, up to 32,768
    profile   where a step's time goes, by operation, Pre-LN and SAS-P; traces for Perfetto in FOLDER
    decode    the blocks in cached decoding of 1 and 8 sequences, eager and as CUDA graphs

All in bf16 under torch.compile where the device is CUDA, but for `memory`. All but `gpt2` have 6 layers, since
compiling 18 takes the time that the table has. `--small` is for trying the script on a CPU: tiny models, no results.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from decoding import measure_decoding
from step import MinimalStep

from simplify.bench.record import Asked
from simplify.bench.rounds import Terms, measure
from simplify.bench.run import run_bench
from simplify.bench.statistics import compare, median
from simplify.bench.work import TrainingStep, build_variant
from simplify.compose import compose_run
from simplify.config import RunConfig
from simplify.display.progress import quiet_meter
from simplify.training.device import choose_device
from simplify.zoo.counts import TRAINING_FLOPS, count_flops

PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bf16 FLOPs a second, NVIDIA's data sheets
BLOCKS = ("pre_ln", "parallel", "v_skipinit", "sas", "sas_p", "sas_p_no_norm")
AS_REFERENCE = ["model.activation=relu", "model.norm=rmsnorm", "model.norm_eps=1e-8"]
GPT2 = ["model=gpt2", "data.vocab_size=50304", "train.batch_tokens=32768", "train.micro_batch=32", *AS_REFERENCE]
PAPER = ["model=gpt_small", "model.n_layers=6", "data.vocab_size=50000"]
SHORT = [*PAPER, "model.seq_len=128", "train.batch_tokens=32768", "train.micro_batch=256"]
LONG = [*PAPER, "model.seq_len=1024", "train.batch_tokens=32768", "train.micro_batch=32"]
PLAIN = ["block.alpha=0", "block.gamma=0", "block.trainable_gains=[attn_branch,mlp_branch]"]  # beta alone, fixed at 1
SMALL = ["model.n_layers=2", "model.d_model=64", "model.n_heads=4", "model.d_ff=128", "data.vocab_size=512"]
SMALLER = ["model.seq_len=32", "train.batch_tokens=128", "train.micro_batch=4", "train.steps=1"]


class Table:
    """What is measured, printed as it comes and kept in FOLDER/gpu.json."""

    def __init__(self, out: Path, small: bool) -> None:
        self.out, self.small, self.found = out, small, dict[str, Any]()

    def words(self, *words: str) -> list[str]:
        return [*words, *(SMALL + SMALLER if self.small else ["train.steps=1"])]

    def config(self, block: str, *words: str) -> RunConfig:
        return compose_run([f"block={block}", *self.words(*words)])

    def keep(self, part: str, found: Any) -> None:
        self.found[part] = found
        (self.out / "gpu.json").write_text(json.dumps(self.found, indent=1))


def bench(table: Table, part: str, words: list[str], only: tuple[str, ...], seconds: float) -> None:
    """The blocks in turn, as `simplify bench` does it."""
    configs = {name: table.config(name, *words) for name in BLOCKS}
    with quiet_meter() as meter:
        record = run_bench(configs, Asked("pre_ln", only, seconds=seconds), ["benchmarks/gpu.py", part], meter)
    for mode, said in record["modes"].items():
        print(f"{part}, {mode}: {said['what']}; {said['rounds']} rounds")
        for name, entry in said["variants"].items():
            ratio = entry["ratio"] or {"median": 1.0, "low": 1.0, "high": 1.0}
            speed = entry["tokens_per_second"]
            print(
                f"  {name:14} {speed:12,.0f} tokens/s   {ratio['median']:.3f} times pre_ln "
                f"({ratio['low']:.3f} to {ratio['high']:.3f})   {of_peak(entry['flops_per_token'] * speed)}"
            )
    table.keep(part, record)


def of_peak(flops: float) -> str:
    """A model's FLOPs a second as a share of the data sheet's, where the device has one here."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((value for key, value in PEAK.items() if key in name), None)
    return f"MFU {100 * flops / peak:.1f}% of {peak / 1e12:.0f} TFLOP/s" if peak else f"{flops / 1e9:,.1f} GFLOP/s"


def gpt2(table: Table) -> None:
    """Ours and the reference's, compiled alike, in turn."""
    config = table.config("pre_ln", *GPT2)
    device = choose_device(config, None)
    ours = build_variant("pre_ln", config, device)
    minimal = MinimalStep(config, device, ours.trainer.model, compiled=ours.trainer.compiled is not None)
    times = measure({"minimal": minimal, "ours": TrainingStep(ours)}, Terms(25), device.synchronise).seconds
    ratio, tokens = compare(times["minimal"], times["ours"]), config.train.batch_tokens
    flops = TRAINING_FLOPS * count_flops(config.block, config.model, config.data.vocab_size)
    for name, seconds in times.items():
        speed = tokens / median(seconds)
        print(f"gpt2, {name:8} {speed:12,.0f} tokens/s   {of_peak(flops * speed)}   {ours.trainer.compiled or 'eager'}")
    print(f"gpt2: ours is {ratio.median:.3f} times as fast ({ratio.low:.3f} to {ratio.high:.3f})")
    table.keep("gpt2", times)


def epilogue(table: Table) -> None:
    """The decision on a kernel of its own: is it more than 3% of the step that the compiler's version costs?"""
    found: dict[str, Any] = {}
    for length, words in (("128", SHORT), ("1024", LONG)):
        configs = {"shaped": table.config("sas_p", *words), "plain": table.config("sas_p", *words, *PLAIN)}
        device = choose_device(configs["shaped"], None)
        works = {name: TrainingStep(build_variant(name, config, device)) for name, config in configs.items()}
        times = measure(works, Terms(25), device.synchronise).seconds
        ratio = compare(times["shaped"], times["plain"])
        cost = [100 * (1 - 1 / value) for value in (ratio.median, ratio.low, ratio.high)]
        print(f"epilogue, T {length}: {cost[0]:.1f}% of the step ({cost[1]:.1f} to {cost[2]:.1f})")
        found[length] = times
    table.keep("epilogue", found)


def memory(table: Table) -> None:
    """Eager, two layers, one sequence: what grows with the context."""
    found: dict[str, dict[int, float]] = {}
    if not torch.cuda.is_available():
        print("memory: on CUDA only; benchmarks/memory.py has the CPU's")
        return
    for name in ("pre_ln", "sas"):
        for length in (128, 1024, 4096, 16384, 32768):
            sizes = [f"model.seq_len={length}", f"model.n_positions={length}", f"train.batch_tokens={length}"]
            words = table.words(*PAPER, "model.n_layers=2", "data.vocab_size=512", "train.compile=false")
            config = compose_run([f"block={name}", *words, *sizes, "train.micro_batch=1"])
            variant = build_variant(name, config, choose_device(config, None))
            step = TrainingStep(variant)
            step.call()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            step.call()
            found.setdefault(name, {})[length] = (variant.device.peak_memory_gib() * 2**30 - before) / 2**20
        print(f"memory, {name}: " + ", ".join(f"T {length} {mib:,.0f} MiB" for length, mib in found[name].items()))
    table.keep("memory", found)


def profile(table: Table) -> None:
    """Three steps of each, by operation; on a GPU by kernel."""
    for name in ("pre_ln", "sas_p"):
        config = table.config(name, *SHORT)
        step = TrainingStep(build_variant(name, config, choose_device(config, None)))
        for _ in range(3):
            step.call()
        with torch.profiler.profile() as found:
            for _ in range(3):
                step.call()
        key = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        text = found.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=70)
        (table.out / f"profile_{name}.txt").write_text(text)
        found.export_chrome_trace(str(table.out / f"profile_{name}.json.gz"))
        print(f"profile, {name}: three steps\n{text}")


def decode(table: Table) -> None:
    """Eager, and as a CUDA graph."""
    kind = choose_device(table.config("pre_ln", *LONG), None).kind
    dtype = torch.bfloat16 if kind == "cuda" else torch.float32
    ways = ("eager", "compiled") if kind == "cuda" else ("eager",)
    rows = measure_decoding(kind, table.words(*LONG, "train.compile=false"), BLOCKS, ways=ways, rounds=11, dtype=dtype)
    for row in rows:
        print(
            f"decode, {row.batch} at a time, {row.block:14} {row.way:9} {row.tokens_per_second:10,.0f} tokens/s   "
            f"{row.ratio:.3f} times pre_ln eager ({row.low:.3f} to {row.high:.3f})"
        )
    table.keep("decode", [asdict(row) for row in rows])


PARTS: dict[str, Callable[[Table], None]] = {
    "gpt2": gpt2,
    "paper": lambda table: bench(table, "paper", SHORT, ("train",), 20),
    "long": lambda table: bench(table, "long", LONG, ("train",), 20),
    "epilogue": epilogue,
    "memory": memory,
    "profile": profile,
    "decode": decode,
}


def main() -> None:
    """Measure part after part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    table, start = Table(given.out, given.small), time.monotonic()
    device = choose_device(table.config("pre_ln", *SHORT), None)
    print(f"{device.facts()['device']}, torch {torch.__version__}")
    for part in given.only.split(","):
        spent = time.monotonic() - start
        if spent > 60 * given.minutes:
            print(f"{part}: left out, {spent:.0f} s are over")
            continue
        torch._dynamo.reset()
        PARTS[part](table)
        print(f"{part}: {time.monotonic() - start - spent:.0f} s", flush=True)


if __name__ == "__main__":
    main()
