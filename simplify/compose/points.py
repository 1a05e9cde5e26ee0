"""Many runs at once: one composition for each distinct choice of groups, the rest on plain data.

Composing a thousand runs one by one with Hydra takes minutes; this takes a second or two.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from simplify.choices import GROUPS, overlay_dir
from simplify.compose.base import apply, clear_other_budgets, composed, load, plain
from simplify.compose.grammar import choice
from simplify.compose.tracking import with_shell
from simplify.config import RunConfig, validate
from simplify.errors import ConfigError


def compose_points(
    points: Sequence[Mapping[str, Any]], overlay: str | Path | None = None
) -> list[RunConfig | ConfigError]:
    """The run that each point (full key -> value, group choices too) describes, or what is wrong with it."""
    folder = overlay_dir(overlay)
    found: list[RunConfig | ConfigError] = []
    for point in points:
        try:
            found.append(validate(RunConfig, with_shell(_data(point, folder), len(points) > 1)))
        except ConfigError as error:
            found.append(error)
    return found


def _data(point: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    chosen = tuple(sorted((key, choice(key, value, folder)) for key, value in point.items() if key in GROUPS))
    settings = [(key, value) for key, value in point.items() if key not in GROUPS]
    base = _base(chosen, folder)
    if base is None:  # a YAML of the user's refers to other settings: those are set first, then it is resolved
        return plain(composed(chosen, folder).copy(), settings)
    data = copy.deepcopy(base)
    for key, value in settings:
        apply(data, key, copy.deepcopy(value))
    clear_other_budgets(data, settings)
    return data


@functools.lru_cache(maxsize=256)
def _base(chosen: tuple[tuple[str, str], ...], folder: Path | None) -> dict[str, Any] | None:
    """The plain data of a choice of groups, or None where it holds interpolations."""
    config = composed(chosen, folder)
    return None if "${" in OmegaConf.to_yaml(config) else plain(config.copy(), [])


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """A YAML file as plain data. Raises ConfigError, also where it is empty; `what` is a valid file."""
    data = OmegaConf.to_container(load(path, str(path), what), resolve=True)
    if not isinstance(data, dict) or not data:
        raise ConfigError(f"{path}: holds no settings; valid: {what}")
    return {str(key): value for key, value in data.items()}
