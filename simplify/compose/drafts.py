"""A run some of whose settings are still to come; all else is frozen, whatever is edited later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simplify.choices import GROUPS, overlay_dir
from simplify.compose.checked import checked
from simplify.compose.grammar import choice
from simplify.compose.points import unresolved_run, with_changes
from simplify.compose.resolve import with_environment
from simplify.config import RunConfig

_FILES = ("path", "tokeniser", "train_set", "val_set")  # of data: they mean the same from another folder


def draft_of(point: Mapping[str, Any], overlay: str | Path | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings of a point, which `compose_points` reads in the same way, with references as they stand, and the
    YAML file of each group. What the shell's variables and the current folder say is in it. Raises ConfigError."""
    folder = overlay_dir(overlay)
    chosen = {key: choice(key, value, folder) for key, value in point.items() if key in GROUPS}
    settings, files = unresolved_run(chosen, [pair for pair in point.items() if pair[0] not in GROUPS], folder, True)
    found = with_environment(settings)
    data, run = found["data"], drafted_run(found, files, {})
    for name in _FILES:
        if isinstance(data.get(name), str) and "${" not in data[name]:
            data[name] = getattr(run.data, name)
    return found, files


def drafted_run(settings: Mapping[str, Any], files: Mapping[str, str], changes: Mapping[str, Any]) -> RunConfig:
    """The run of a draft with more settings, by full key, as if they were typed last. Raises ConfigError."""
    return checked(with_changes(settings, [*changes.items()], files))
