"""What one run is trained from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simplify.config import RunConfig
from simplify.data.account import CorpusFacts
from simplify.data.batches import Batches
from simplify.runs.folder import RunFolder
from simplify.training.world import World


@dataclass(frozen=True)
class Task:
    """What a run is trained from."""

    config: RunConfig
    folder: RunFolder
    corpus: CorpusFacts
    batches: Batches
    facts: dict[str, Any]  # provenance, for run.json
    tokeniser: Path  # the corpus' tokenizer.json, which the run keeps too
    origin: Mapping[str, Any] = field(default_factory=dict)  # who asked: a lane, or an element of a Slurm array
    max_stalled: int | None = None  # attempts of one origin that may end where they began; None: any number
    world: World = field(default_factory=World)
