"""Cached decoding: tokens a second of several blocks, eager and compiled, batch 1 and 8, in interleaved rounds.

    .venv/bin/python benchmarks/decoding.py --threads 1
    .venv/bin/python benchmarks/decoding.py --device cuda --dtype bfloat16 model=codeparrot

Words such as `model=...` or `model.n_layers=8` are those of `simplify train`. Each ratio is the median over the
rounds of the first block's eager time over the row's, both of one round; above 1 is faster. Whether blocks differ
is decided by `simplify bench --only decode`, which sets no eager time against a compiled one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from simplify.bench.build import let_all_compile
from simplify.bench.rounds import Terms, measure
from simplify.bench.statistics import compare, median
from simplify.compose import compose_zoo
from simplify.errors import ConfigError
from simplify.zoo.decoding import Decoder
from simplify.zoo.model import Transformer, build_model

BLOCKS = ("pre_ln", "parallel", "sas", "sas_p", "sas_p_no_norm")
BATCHES, VOCAB = (1, 8), 8192
SMALL = ("model=gpt_nano",)


@dataclass
class Row:
    """One block, eager or compiled, at one batch size."""

    batch: int
    block: str
    way: str  # eager or compiled, as it was in the end
    tokens_per_second: float
    ratio: float  # to the first block in eager mode
    low: float  # 10th and 90th percentile of the rounds' ratios
    high: float
    first_seconds: float  # of the first call, which compiles


class Rollout:
    """`drawn` greedy tokens after a prompt of half the context; the prompt is not timed."""

    def __init__(self, model: Transformer, prompt: Tensor, drawn: int, compiled: bool, dtype: torch.dtype) -> None:
        self.decoder = Decoder(model, compiled)
        self._prompt, self._drawn, self._dtype = prompt, drawn, dtype
        self._stream: Iterator[Tensor] = iter(())

    def prepare(self) -> None:
        """The prompt into the cache."""
        self._stream = self.decoder.stream(self._prompt, 1 + self._drawn, temperature=0.0)
        self._next(1)

    def call(self) -> None:
        """One token after the other."""
        self._next(self._drawn)

    def _next(self, count: int) -> None:
        kind = self._prompt.device.type
        with nullcontext() if self._dtype == torch.float32 else torch.autocast(kind, dtype=self._dtype):
            for _ in range(count):
                next(self._stream)


def measure_decoding(
    device: str = "cpu",
    words: Sequence[str] = SMALL,
    blocks: Sequence[str] = BLOCKS,
    batches: Sequence[int] = BATCHES,
    ways: Sequence[str] = ("eager", "compiled"),
    rounds: int = 21,
    dtype: torch.dtype = torch.float32,
) -> list[Row]:
    """Time every block in every way and at every batch size. Ratios are to blocks[0] in ways[0]."""
    place = torch.device(device)
    models: dict[str, Transformer] = {}
    context = 0  # the same in all: only the block differs
    for name, run in compose_zoo(list(words), None, list(blocks)).items():
        if isinstance(run, ConfigError):
            raise run
        models[name], context = build_model(run.block, run.model, VOCAB, 0).to(place), run.model.seq_len
    let_all_compile(len(models) * len(batches))
    length, found = context // 2, list[Row]()
    drawn = min(64, context - length - 1)  # one more comes with the prompt
    for batch in batches:
        prompt = torch.randint(VOCAB, (batch, length), generator=torch.Generator().manual_seed(0)).to(place)
        works = {
            f"{name} {way}": Rollout(model, prompt, drawn, way == "compiled", dtype)
            for way in ways
            for name, model in models.items()
        }
        found += _rows(works, batch, drawn, rounds, place)
    return found


def _rows(works: dict[str, Rollout], batch: int, drawn: int, rounds: int, place: torch.device) -> list[Row]:
    def synchronise() -> None:
        if place.type == "cuda":
            torch.cuda.synchronize()

    times = measure(works, Terms(rounds, unit_seconds=0.0), synchronise)
    base, rows = next(iter(times.seconds.values())), []
    for name, seconds in times.seconds.items():
        ratio, way = compare(base, seconds), "compiled" if works[name].decoder.compiled else "eager"
        speed = batch * drawn / median(seconds)
        row = Row(batch, name.split()[0], way, speed, ratio.median, ratio.low, ratio.high, times.warm_up[name][0])
        rows.append(row)
    return rows


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="cached decoding, eager and compiled")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", help="of autocast: float32 (none), bfloat16, float16")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--blocks", default=",".join(BLOCKS))
    parser.add_argument("--ways", default="eager,compiled")
    parser.add_argument("--threads", type=int)
    parser.add_argument("words", nargs="*", default=SMALL)
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    rows = measure_decoding(
        asked.device,
        asked.words,
        asked.blocks.split(","),
        ways=asked.ways.split(","),
        rounds=asked.rounds,
        dtype=getattr(torch, asked.dtype),
    )
    print(f"{'batch':>5} {'block':16} {'way':9} {'tokens/s':>9} {'times':>7} {'spread':>16} {'first call s':>13}")
    for row in rows:
        spread = f"{row.low:.3f} to {row.high:.3f}"
        print(
            f"{row.batch:5} {row.block:16} {row.way:9} {row.tokens_per_second:9.0f} {row.ratio:7.3f} {spread:>16} "
            f"{row.first_seconds:13.1f}"
        )


if __name__ == "__main__":
    main()
