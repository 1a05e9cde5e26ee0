"""Where a result comes from: code, versions, machine, command."""

from __future__ import annotations

import functools
import platform
import socket
import sys
from importlib import metadata
from typing import Any

from simplify import __version__
from simplify.runs.code import code_hash, git_state

_PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf", "pydantic", "tokenizers", "wandb")


def provenance(command: list[str]) -> dict[str, Any]:
    """Facts for run.json that do not depend on the device."""
    return {
        "command": command,
        "code": code_hash(),
        "git": git_state(),
        "versions": {"simplify": __version__, "python": platform.python_version(), **_versions()},
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "executable": sys.executable,
    }


@functools.cache
def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
