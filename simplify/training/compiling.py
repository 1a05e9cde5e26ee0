"""torch.compile for a run: when it is used, and where the compiler's work is kept for the next run."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Any

import torch
from torch import nn

from simplify.config import TrainConfig
from simplify.data.cache import cache_dir
from simplify.display import tell
from simplify.training.device import Device

_CACHE = "TORCHINDUCTOR_CACHE_DIR"
_GIVEN = os.environ.get(_CACHE)  # by the user: the compiler sets it itself, as soon as it is loaded


def wants_compiling(train: TrainConfig, device: Device) -> bool:
    """Whether the run asks for it; `auto` does on CUDA, where a block's small operations cost most of what they can."""
    return device.kind == "cuda" if train.compile == "auto" else train.compile


def _kept() -> str:
    """Where the compiler's work is kept: with the corpora, or for this run alone where that cannot be written."""
    folder = cache_dir() / "compile"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return str(folder)
    except OSError as error:
        tell(f"torch.compile: {folder} cannot be written ({error.strerror}); the next run will compile anew")
        alone = tempfile.mkdtemp(prefix="simplify-compile-")
        atexit.register(shutil.rmtree, alone, ignore_errors=True)
        return alone


def compiled(model: nn.Module, mode: str) -> Any:
    """The model, to be compiled at its first call, for the shapes of that call only.

    Later runs of the same shapes find its work in the folder that also keeps the corpora, on other nodes too.
    """
    os.environ[_CACHE] = _GIVEN or _kept()
    import torch._functorch.config as cache

    if hasattr(cache, "autograd_cache_allow_custom_autograd_functions"):
        # Ours (zoo/fused.py, zoo/loss.py) depend on their inputs alone; without this no graph of ours is found again.
        cache.autograd_cache_allow_custom_autograd_functions = True
    return torch.compile(model, mode=mode, dynamic=False)
