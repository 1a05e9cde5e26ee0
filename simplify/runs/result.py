"""The result of a run, derived from its metrics: what done.json says."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from simplify.config import RunConfig
from simplify.data.account import CorpusFacts
from simplify.zoo.counts import count_parameters


def result_of(rows: Sequence[dict[str, Any]], config: RunConfig, corpus: CorpusFacts) -> dict[str, Any]:
    """Final metrics, median speed, and what they are to be compared with."""
    last = rows[-1]
    speeds = [row["tokens_per_sec"] for row in rows if row.get("tokens_per_sec")]
    keys = ("step", "tokens", "seconds", "train/loss", "val/loss", "val/bits_per_byte")
    return {
        **{key: last[key] for key in keys if key in last},
        "tokens_per_sec": statistics.median(speeds) if speeds else None,
        "peak_mem_gib": max(row["peak_mem_gib"] for row in rows),
        "parameters": count_parameters(config.block, config.model, config.data.vocab_size),
        "unigram_entropy": corpus.unigram_entropy,
    }
