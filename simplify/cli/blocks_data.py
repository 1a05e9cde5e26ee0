"""Blocks for programs: what `simplify blocks` shows, whole, of the zoo or of some."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simplify.choices import first_line
from simplify.config import RunConfig, differing
from simplify.errors import ConfigError
from simplify.zoo.counts import count_flops, count_parameters, count_parts
from simplify.zoo.describe import differences, equations


def blocks_as_data(found: Mapping[str, RunConfig | ConfigError], folder: Path | None) -> dict[str, Any]:
    """Each block with its settings beyond the defaults, equations, parameters and FLOPs of the forward pass a token."""
    runs = [run for run in found.values() if isinstance(run, RunConfig)]
    model = runs[0].model.model_dump(mode="json") if runs else None
    return {"model": model, "blocks": [_block(name, run, folder) for name, run in found.items()]}


def _block(name: str, run: RunConfig | ConfigError, folder: Path | None) -> dict[str, Any]:
    told = {"name": name, "what": first_line("block", name, folder)}
    if isinstance(run, ConfigError):
        return {**told, "wrong": list(run.lines)}
    sizes = (run.block, run.model, run.data.vocab_size)
    return {
        **told,
        "differs_from_pre_ln": differences(run.block, run.model),
        "settings": {key: _plain(value) for key, value in differing(run.block).items()},
        "equations": equations(run.block, run.model),
        "parameters": count_parameters(*sizes),
        "flops_a_token": count_flops(*sizes),
        "parts": [vars(part) for part in count_parts(*sizes)],
    }


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
