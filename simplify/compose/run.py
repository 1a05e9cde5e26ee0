"""One run from the words of a command line."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simplify.choices import overlay_dir
from simplify.compose.base import apply, composed, plain, read_run
from simplify.compose.grammar import parse, split
from simplify.compose.tracking import with_shell
from simplify.config import RunConfig, validate
from simplify.errors import ConfigError


def compose_run(overrides: Sequence[str], overlay: str | Path | None = None, base: Path | None = None) -> RunConfig:
    """The run that `overrides` (Hydra's grammar, one value a key) describe.

    `overlay` is the user's own folder of YAML files (default: $SIMPLIFY_CONF); its files win over
    ours of the same name. `base` is the config.yaml of a run, to start from instead of the groups.
    Raises ConfigError with one line for each thing that is wrong.
    """
    return validate(RunConfig, compose_data(overrides, overlay, base))


def compose_data(
    overrides: Sequence[str], overlay: str | Path | None = None, base: Path | None = None
) -> dict[str, Any]:
    """The composed, resolved configuration as plain data, before the typed configuration sees it."""
    folder = overlay_dir(overlay)
    chosen, settings = split(parse(overrides), folder)
    config = read_run(base, chosen) if base else composed(tuple(sorted(chosen.items())), folder).copy()
    data = plain(config, settings)
    return data if base else with_shell(data)


def with_settings(config: Mapping[str, Any], overrides: Sequence[str]) -> RunConfig:
    """A complete configuration with settings typed as words on top. Raises ConfigError."""
    chosen, settings = split(parse(overrides), None)
    if chosen:
        group, choice = next(iter(chosen.items()))
        raise ConfigError(f"{group}={choice}: a group cannot be chosen anew here; valid: single settings")
    data = copy.deepcopy(dict(config))
    for key, value in settings:
        apply(data, key, value)
    return validate(RunConfig, data)
