"""Where a result comes from: code, versions, machine, command."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from simplify import __version__

_PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf", "pydantic", "tokenizers", "wandb")


def provenance(command: list[str]) -> dict[str, Any]:
    """Facts for run.json that do not depend on the device."""
    return {
        "command": command,
        "git": git_state(),
        "versions": {"simplify": __version__, "python": platform.python_version(), **_versions()},
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "executable": sys.executable,
    }


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def git_state() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout this code runs from; None for an installed wheel."""
    top = Path(__file__).resolve().parents[2]
    if not (top / ".git").exists():
        return None
    try:
        commit = _git(top, "rev-parse", "HEAD")
        dirty = bool(_git(top, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": dirty}


def _git(top: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(top), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
