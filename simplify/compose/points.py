"""Runs from points: full key -> value, group choices too. One composition for each distinct choice of groups.

Composing a thousand runs one by one with Hydra takes minutes; this takes a second or two.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simplify.choices import GROUPS, overlay_dir
from simplify.compose.base import Setting, apply, clear_other_budgets, composed
from simplify.compose.checked import checked
from simplify.compose.grammar import choice
from simplify.compose.resolve import resolved
from simplify.compose.tracking import with_shell
from simplify.config import RunConfig
from simplify.errors import ConfigError


def compose_points(
    points: Sequence[Mapping[str, Any]], overlay: str | Path | None = None
) -> list[RunConfig | ConfigError]:
    """The run that each point describes, or what is wrong with it."""
    folder = overlay_dir(overlay)
    found: list[RunConfig | ConfigError] = []
    for point in points:
        try:
            chosen = {key: choice(key, value, folder) for key, value in point.items() if key in GROUPS}
            settings = [(key, value) for key, value in point.items() if key not in GROUPS]
            found.append(checked(run_data(chosen, settings, folder, len(points) > 1)))
        except ConfigError as error:
            found.append(error)
    return found


def run_data(
    chosen: Mapping[str, str], settings: Sequence[Setting], overlay: Path | None, several: bool = False
) -> dict[str, Any]:
    """Plain data of a run, or of one of several, complete and resolved, before the typed configuration sees it."""
    data, files = unresolved_run(chosen, settings, overlay, several)
    return resolved(data, files, _keys(settings))


def unresolved_run(
    chosen: Mapping[str, str], settings: Sequence[Setting], overlay: Path | None, several: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """The same with references as they stand, and the YAML file of each group."""
    base = composed(tuple(sorted(chosen.items())), overlay)
    return with_shell(_changed(base.settings, settings), several), base.files


def with_changes(
    data: Mapping[str, Any], settings: Sequence[Setting], files: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A copy of complete `data` with the settings applied, and references resolved."""
    return resolved(_changed(data, settings), files or {}, _keys(settings))


def _changed(data: Mapping[str, Any], settings: Sequence[Setting]) -> dict[str, Any]:
    """A copy of `data` with the settings applied; a budget replaces another one."""
    copied = copy.deepcopy(dict(data))
    for key, value in settings:
        apply(copied, key, copy.deepcopy(value))
    clear_other_budgets(copied, settings)
    return copied


def _keys(settings: Sequence[Setting]) -> set[str]:
    """The full keys of settings."""
    return {key for key, _ in settings}
