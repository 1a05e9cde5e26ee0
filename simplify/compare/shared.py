"""What decides how big the runs of a report are, in one line: without it a table of losses says little.

    All runs: gpt_nano (4 layers, d_model 128, context 128), python_stdlib, 600 steps of 2,048 tokens, seeds 0 1 2,
    fp32 on AMD EPYC

Numbers that differ are told from the least to the largest, as in `4 to 16 layers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from simplify.compare.comparison import Comparison
from simplify.runs.store import RunView

_MOST = 3  # models, corpora or devices that are named one by one
_MOST_SEEDS = 8


@dataclass(frozen=True)
class Asked:
    """A sweep as it was dispatched."""

    name: str
    scale: str  # empty where it was typed, without a file
    words: Sequence[str]  # typed beside its file


def said_first(found: Comparison, asked: Sequence[Asked]) -> list[str]:
    """What a reader has to know before the numbers: how big the runs are, and what was typed for them."""
    runs = [run for variant in found.variants for run in variant.runs] + found.not_begun
    several = len(asked) > 1
    typed = [
        f"Typed at dispatch{_of(sweep) if several else ''}: {' '.join(sweep.words)}" for sweep in asked if sweep.words
    ]
    return [line for line in (said_of_all(runs), *typed) if line]


def _of(sweep: Asked) -> str:
    return f" of {sweep.name}" + (f" (scale={sweep.scale})" if sweep.scale else "")


def said_of_all(runs: Sequence[RunView]) -> str:
    """The line; empty where nothing is known of any run."""
    known = [run for run in runs if run.config]
    if not known:
        return ""
    size = f"{_span(known, 'model.n_layers')} layers, d_model {_span(known, 'model.d_model')}"
    parts = [
        f"{_names(known, 'model.name', 'models')} ({size}, context {_span(known, 'model.seq_len')})",
        _names(known, "data.name", "corpora"),
        _budget(known),
        _seeds(known),
        _device(known),
    ]
    return f"{'All runs' if len(runs) > 1 else 'The run'}: {', '.join(part for part in parts if part)}"


def _found(runs: Iterable[RunView], key: str) -> list[Any]:
    """The values of a setting of a group, those that are there."""
    group, _, name = key.partition(".")
    values = ((run.config.get(group) or {}).get(name) for run in runs)
    return [value for value in values if value is not None]


def _span(runs: Iterable[RunView], key: str) -> str:
    return _least_to_largest(_found(runs, key))


def _least_to_largest(values: Sequence[float]) -> str:
    least, largest = min(values), max(values)
    return f"{least:,}" if least == largest else f"{least:,} to {largest:,}"


def _names(runs: Iterable[RunView], key: str, many: str) -> str:
    return _listed(_found(runs, key), many)


def _listed(found: Iterable[str], many: str) -> str:
    names = sorted(set(found))
    return " and ".join(names) if len(names) <= _MOST else f"{len(names)} {many}"


def _budget(runs: Sequence[RunView]) -> str:
    """Steps or hours, and the tokens of a step; nothing of the budget where some runs have the one, some the other."""
    tokens = f"{'up to ' if _found(runs, 'train.batch_ramp') else ''}{_span(runs, 'train.batch_tokens')} tokens"
    hours, steps = _found(runs, "train.hours"), [run.total_steps for run in runs if run.total_steps]
    if len(steps) == len(runs):
        return f"{_least_to_largest(steps)} steps of {tokens}"
    return f"{_least_to_largest(hours)} hours, steps of {tokens}" if len(hours) == len(runs) else f"steps of {tokens}"


def _seeds(runs: Iterable[RunView]) -> str:
    seeds = sorted({run.config["seed"] for run in runs if run.config.get("seed") is not None})
    if len(seeds) > _MOST_SEEDS:
        return f"{len(seeds)} seeds"
    return f"seed{'s'[: len(seeds) != 1]} {' '.join(map(str, seeds))}" if seeds else ""


def _device(runs: Iterable[RunView]) -> str:
    """Where those that have begun were trained, and in what precision."""
    devices = [device for run in runs if (device := run.about.get("device"))]
    names = _listed((device["name"] for device in devices if device.get("name")), "kinds of device")
    precisions = _listed((device["precision"] for device in devices if device.get("precision")), "precisions")
    return " on ".join(part for part in (precisions, names) if part)
