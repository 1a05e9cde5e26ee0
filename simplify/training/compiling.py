"""torch.compile for a run: when it is used, and where the compiler's work is kept for the next run."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn

from simplify.config import TrainConfig
from simplify.data.corpus import cache_dir
from simplify.training.device import Device

# A compiler's work is found again by later runs of the same shapes, on other nodes too: the folder is the user's.
_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def wants_compiling(train: TrainConfig, device: Device) -> bool:
    """Whether the run asks for it; `auto` does on CUDA, where a block's small operations cost most of what they can."""
    return device.kind == "cuda" if train.compile == "auto" else train.compile


def compiled(model: nn.Module, mode: str) -> Any:
    """The model, to be compiled at its first call, for the shapes of that call only."""
    os.environ.setdefault(_CACHE, str(cache_dir() / "compile"))
    return torch.compile(model, mode=mode, dynamic=False)
