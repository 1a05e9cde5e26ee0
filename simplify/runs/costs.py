"""What a configuration costs, counted from it alone: parameters and FLOPs."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simplify.config import BlockConfig, ModelConfig, validate
from simplify.errors import ConfigError
from simplify.zoo.counts import TRAINING_FLOPS, count_flops, count_parameters


@dataclass(frozen=True)
class Costs:
    """Counts of one model."""

    parameters: int
    forward_flops: int  # a token, of a full sequence

    @property
    def training_flops(self) -> int:
        """FLOPs of training on one token."""
        return TRAINING_FLOPS * self.forward_flops


def costs_of(config: Mapping[str, Any]) -> Costs | None:
    """The costs of a run from its configuration as plain data; None where today's code does not know a setting."""
    try:
        parts = {name: config[name] for name in ("block", "model")}
        return _costs(json.dumps(parts, sort_keys=True), int(config["data"]["vocab_size"]))
    except (KeyError, TypeError):
        return None


@functools.lru_cache(maxsize=4096)
def _costs(text: str, vocab_size: int) -> Costs | None:
    parts = json.loads(text)
    try:
        block, model = validate(BlockConfig, parts["block"]), validate(ModelConfig, parts["model"])
    except ConfigError:
        return None
    return Costs(count_parameters(block, model, vocab_size), count_flops(block, model, vocab_size))
