"""A run's identity: a hash of the settings that can change its result.

Out of it stay labels, machine facts (device, micro-batch unless batches grow by it, compile, threads,
paths, cadence of logs and checkpoints) and W&B. Two spellings of one run have one id: depth rules are resolved, and a
setting that repeats what it would be anyway counts as not set. Only what differs from the code's
defaults enters, so a new setting renames no run; a changed default must raise SCHEMA.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, get_args

from simplify.config import BlockConfig, DepthGain, ModelConfig, RunConfig, differing, gain_at
from simplify.config.block import GainName

SCHEMA = 1
_DEPTH_GAINS = ("attn_skip", "attn_branch", "mlp_skip", "mlp_branch", "input_gain", "init_scale", "output_init_scale")


def run_id(config: RunConfig, corpus_fingerprint: str) -> str:
    """Ten hexadecimal digits."""
    text = json.dumps(identity(config, corpus_fingerprint), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def identity(config: RunConfig, corpus_fingerprint: str) -> dict[str, Any]:
    """The data that is hashed: plain, small, and stored in run.json."""
    budget = {"hours": config.train.hours} if config.train.hours else {"steps": config.total_steps}
    return {
        "schema": SCHEMA,
        "block": _without(differing(_plain_block(config.block, config.model)), "name"),
        "model": _without(differing(_plain_model(config)), "name", "seed"),
        "data": {
            "corpus": corpus_fingerprint,
            "vocab_size": config.data.vocab_size,
            **({"packing": config.data.packing} if config.data.packing != "stream" else {}),
        },
        "optimiser": differing(config.optimiser),
        "train": {
            **budget,
            "batch_tokens": config.train.batch_tokens,
            **{k: v for k, v in differing(config.train).items() if k in ("precision", "val_sequences")},
            **({"mlm_probability": config.mlm_probability} if config.model.kind == "encoder" else {}),
            **_ramp(config),
        },
        "seeds": {"init": config.init_seed, "data": config.data_seed},
    }


def of_any_seed(told: Mapping[str, Any]) -> str:
    """What an identity, as a run keeps it too, says beside its seeds: one text for all runs of a configuration."""
    return json.dumps({key: value for key, value in told.items() if key != "seeds"}, sort_keys=True)


def _ramp(config: RunConfig) -> dict[str, Any]:
    """A batch that grows does so by micro-batches, which are then no matter of the machine alone."""
    if config.train.batch_ramp is None:
        return {}
    return {"batch_ramp": config.train.batch_ramp, "micro_batch": config.micro_batch}


def label(config: RunConfig) -> str:
    """What a person reads in a run folder's name."""
    return f"{config.block.name}-{config.model.name}"


def folder_name(config: RunConfig, identifier: str) -> str:
    """The name that a run's folder gets at its first start."""
    return f"{label(config)}-{identifier}"


def _plain_block(block: BlockConfig, model: ModelConfig) -> BlockConfig:
    """The block with gains as numbers, its trained gains by name, and no repetition."""
    numbers = {name: _plain_gain(getattr(block, name), model.n_layers) for name in _DEPTH_GAINS}
    trained = tuple(name for name in get_args(GainName) if block.trains(name))
    first = None if block.first_value == block.value else block.first_value
    known = {"trainable_gains": trained or "none", "first_value": first, "norm_kind": None}
    return block.model_copy(update={**numbers, **known})


def _plain_gain(gain: DepthGain | float | None, n_layers: int) -> DepthGain | float | None:
    """A number, unless the gain differs between layers; then the rule as it is at layer 1."""
    if not isinstance(gain, DepthGain):
        return gain
    values = {gain_at(gain, n_layers, layer) for layer in range(n_layers)}
    if len(values) == 1:
        return values.pop()
    return DepthGain(rule=gain.rule, value=gain_at(gain, n_layers), at_depth=1)


def _plain_model(config: RunConfig) -> ModelConfig:
    """The model without settings that repeat what they would be anyway."""
    model = config.model
    implied = {
        "d_head": model.d_model // model.n_heads,
        "n_kv_heads": model.n_heads,
        "n_positions": model.seq_len,
        "final_norm": config.block.norm_of(model),
        "embedding_norm": config.block.norm == "none",
    }
    same = {name: None for name, value in implied.items() if getattr(model, name) == value}
    return model.model_copy(update={**same, "norm": config.block.norm_of(model)})


def _without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in names}
