"""How a model is fine-tuned: the paper's recipe, every part of it a setting.

The paper (arXiv 2311.01906, appendix) names 5 epochs, dropout 0.1, batch 32, learning rate 1.5e-4, cosine decay and
AdamW with epsilon 1e-6. What it leaves open is Cramming's (arXiv 2212.14034, its code): betas 0.9 and 0.98, no weight
decay, no clipping, a tenth of the steps warming up, and a pooler of 1024 wide on token 0 with tanh.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from simplify.config import OptimiserConfig, Settings, differing, nearest, validate
from simplify.errors import ConfigError


class Recipe(Settings):
    """The settings of a fine-tuning."""

    epochs: int = Field(5, ge=1, description="passes over the training split")
    lr: float = Field(1.5e-4, gt=0, description="peak learning rate")
    batch: int = Field(32, ge=1, description="examples in one update")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the embedding, of each branch's output, of the pooler")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps that warms up linearly from 0")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "cosine", description="the learning rate after warm-up; linear and cosine end at 0"
    )
    weight_decay: float = Field(0.0, ge=0, description="decoupled decay of matrices")
    head: int = Field(1024, ge=1, description="width of the pooler")

    def optimiser(self) -> OptimiserConfig:
        """As a run's optimiser settings."""
        adam = {"lr": self.lr, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": self.weight_decay}
        return validate(OptimiserConfig, {**adam, "grad_clip": None, "schedule": self.schedule, "warmup": self.warmup})

    @property
    def folder(self) -> str:
        """Where results of this recipe lie below finetune/: there itself for the paper's, else in a folder."""
        other = differing(self)
        return hashlib.sha256(json.dumps(other, sort_keys=True).encode()).hexdigest()[:8] if other else ""


def read_recipe(words: Sequence[str]) -> tuple[Recipe, str, int]:
    """The recipe, the tasks' word and the number of seeds, from KEY=VALUE words. Raises ConfigError."""
    given = dict(word.split("=", 1) for word in words)
    task = given.pop("task", "glue")
    seeds = given.pop("seeds", "3")
    if not seeds.isdigit() or not int(seeds):
        raise ConfigError(f"seeds={seeds}: needs a whole number >= 1; the seeds are 0, 1, ...")
    valid = ["task", "seeds", *Recipe.model_fields]
    for name in given:
        if name not in valid:
            raise ConfigError(f"{name}: unknown key; {nearest(name, valid)}valid: {', '.join(valid)}")
    return validate(Recipe, given), task, int(seeds)
