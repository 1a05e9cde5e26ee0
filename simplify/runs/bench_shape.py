"""What a bench's record (`simplify.bench.record`) must hold to be used; see `simplify.runs.shapes`."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat, model_validator

from simplify.runs.shapes import Config, Count, Scalar, Shape


class BenchKey(Shape):
    """What has to be equal for speeds to be compared."""

    __pydantic_extra__: dict[str, Scalar]  # pyright: ignore[reportIncompatibleVariableOverride]
    device: str
    threads: Count | None
    precision: str
    compile: str
    torch: str


class BenchMemory(Shape):
    """What a training step took at most."""

    bytes: Count | None = None


class BenchVariant(Shape):
    """A variant of a bench."""

    config: Config
    key: BenchKey
    work: str
    memory: BenchMemory | None = None


class BenchRatio(Shape):
    """How many times as fast as the baseline."""

    median: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    verdict: str
    why: str


class BenchSplit(Shape):
    """What a ratio is made of."""

    flops: FiniteFloat
    overhead: FiniteFloat
    overhead_sure_low: FiniteFloat | None
    overhead_sure_high: FiniteFloat | None


class BenchEntry(Shape):
    """The figures of a variant in one kind of work."""

    seconds: list[FiniteFloat]
    median: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    tokens_per_second: FiniteFloat
    mfu: FiniteFloat | None
    ratio: BenchRatio | None
    split: BenchSplit | None


class BenchMode(Shape):
    """A kind of work."""

    variants: dict[str, BenchEntry]


class Bench(Shape):
    """A bench's record (`simplify.bench.record`)."""

    format: Literal[1]
    created: str
    baseline: str
    variants: dict[str, BenchVariant]
    modes: dict[str, BenchMode]

    @model_validator(mode="after")
    def _has_its_baseline(self) -> Bench:
        if self.baseline not in self.variants:
            raise ValueError("the baseline is none of the variants")
        return self
