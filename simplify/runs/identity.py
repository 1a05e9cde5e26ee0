"""A run's identity: a hash of the settings that can change its result.

Out of it stay labels, machine facts (device, micro-batch, compile, threads, paths, cadence of logs
and checkpoints) and W&B. Two spellings of one run have one id: depth rules are resolved, and a
setting that repeats what it would be anyway counts as not set. Only what differs from the code's
defaults enters, so a new setting renames no run; a changed default must raise SCHEMA.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, get_args

from simplify.config import BlockConfig, ModelConfig, RunConfig, differing, gain_at
from simplify.config.block import GainName

SCHEMA = 1
_RESIDUAL_GAINS = ("attn_skip", "attn_branch", "mlp_skip", "mlp_branch")


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
        },
        "seeds": {"init": config.init_seed, "data": config.data_seed},
    }


def label(config: RunConfig) -> str:
    """What a person reads in a run folder's name."""
    return f"{config.block.name}-{config.model.name}"


def _plain_block(block: BlockConfig, model: ModelConfig) -> BlockConfig:
    """The block with gains as numbers, its trained gains by name, and no repetition."""
    numbers = {
        name: gain_at(value, model.n_layers) for name in _RESIDUAL_GAINS if (value := getattr(block, name)) is not None
    }
    present = [
        name
        for name in get_args(GainName)
        if getattr(block, name) is not None and not (name.endswith("_skip") and numbers[name] == 0.0)
    ]
    trained = tuple(name for name in present if block.trains(name))
    first = None if block.first_value == block.value else block.first_value
    return block.model_copy(update={**numbers, "trainable_gains": trained or "none", "first_value": first})


def _plain_model(config: RunConfig) -> ModelConfig:
    """The model without settings that repeat what they would be anyway."""
    model = config.model
    implied = {
        "d_head": model.d_model // model.n_heads,
        "n_kv_heads": model.n_heads,
        "n_positions": model.seq_len,
        "final_norm": model.norm,
        "embedding_norm": config.block.norm == "none",
    }
    return model.model_copy(update={name: None for name, value in implied.items() if getattr(model, name) == value})


def _without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in names}
