"""What decides how long an optimiser step takes, from the configuration alone: no torch, nothing built.

Two runs of equal work share one measurement. Numbers that are only multiplied or added with, and initial values,
change no cost; whether a gain is there, trained, or a fixed 1, which costs no multiplication, does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import get_args

from simplify.config import BlockConfig, Dense, Identity, ModelConfig, Reparam, RunConfig, gain_at
from simplify.config.block import GainName

# Labels, seeds, initial values and constants of functions. What is trained is said gain by gain.
_FREE_IN_BLOCK = {"name", "init_scale", "output_init_scale", "query_init", "trainable_gains"}
_FREE_IN_MODEL = {"name", "seed", "leaky_slope", "norm_eps", "init_std"}


def work_of(config: RunConfig) -> str:
    """The model and the batch as a text that is equal for runs whose steps do the same work."""
    block, model, train = config.block, config.model, config.train
    parts = {
        **block.model_dump(mode="json", exclude=_FREE_IN_BLOCK),
        **{name: _gain(block, model, name) for name in get_args(GainName)},
        "input_gain": _fixed([gain_at(block.input_gain, model.n_layers, n) for n in range(model.n_layers)]),
        "soft_cap": block.soft_cap is not None,
        "value": _matrix(block.value),
        "projection": _matrix(block.projection),
        "first_value": None if block.first_value is None else _matrix(block.first_value),
        "model": model.model_dump(mode="json", exclude=_FREE_IN_MODEL),
        "vocabulary": config.data.vocab_size,
        "batch": [train.batch_tokens, config.micro_batch],
    }
    return json.dumps(parts, sort_keys=True)


def _gain(block: BlockConfig, model: ModelConfig, name: GainName) -> str:
    if not block.has(name):
        return "absent"
    if block.trains(name):
        return "trained"
    start = getattr(block, name)
    return _fixed([gain_at(start, model.n_layers, layer) for layer in range(model.n_layers)])


def _fixed(values: Sequence[float]) -> str:
    """Fixed factors, one a layer. A 1 is no multiplication; a 0 might be no work at all one day."""
    kinds = [f"{value:g}" if value in (0.0, 1.0) else "some" for value in values]
    return kinds[0] if len(set(kinds)) == 1 else " ".join(kinds)


def _matrix(matrix: Dense | Reparam | Identity) -> list[str]:
    """W_V or W_P. A fixed W_init that is not the identity is a product of its own."""
    if isinstance(matrix, Reparam):
        gains = ["trained"] if matrix.trainable else [_fixed([matrix.skip]), _fixed([matrix.branch])]
        return [matrix.kind, matrix.init, *gains]
    return [matrix.kind]
