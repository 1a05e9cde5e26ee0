"""YAML files of settings that are no part of Hydra's groups: sweep files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simplify.compose.base import load, unresolved
from simplify.compose.resolve import resolved_within
from simplify.compose.words import taken_by
from simplify.config.kinds import as_typed
from simplify.errors import ConfigError


def read_yaml(path: Path, what: str, own: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML file as plain data. Raises ConfigError, also where it is empty; `what` is a valid file.

    References that the file or the environment answers are replaced; others mean settings of the runs, and are
    refused below the keys `own`.
    """
    data = unresolved(load(path, str(path), what))
    if not data:
        raise ConfigError(f"{path}: holds no settings; valid: {what}")
    try:
        return resolved_within(data, own)
    except ConfigError as error:
        raise ConfigError(*(f"{path}: {line}" for line in error.lines)) from None


def as_written(key: str, value: Any, text: Any) -> Any:
    """The value of the setting `key`, with the characters `text` of its file where a number can only mean a text."""
    return as_typed(taken_by(key), value, text)
