"""One run from the words of a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simplify.choices import overlay_dir
from simplify.compose.base import read_run
from simplify.compose.checked import checked
from simplify.compose.grammar import parse, split
from simplify.compose.points import run_data, with_changes
from simplify.config import RunConfig
from simplify.errors import ConfigError


def compose_run(overrides: Sequence[str], overlay: str | Path | None = None, base: Path | None = None) -> RunConfig:
    """The run that `overrides` (Hydra's grammar, one value a key) describe.

    `overlay` is the user's own folder of YAML files (default: $SIMPLIFY_CONF); its files win over
    ours of the same name. `base` is the config.yaml of a run, to start from instead of the groups.
    Raises ConfigError with one line for each thing that is wrong.
    """
    return checked(compose_data(overrides, overlay, base))


def compose_data(
    overrides: Sequence[str], overlay: str | Path | None = None, base: Path | None = None
) -> dict[str, Any]:
    """The composed, resolved configuration as plain data, before the typed configuration sees it."""
    folder = overlay_dir(overlay)
    chosen, settings = split(parse(overrides), folder)
    if base:
        return with_changes(read_run(base, chosen), settings)
    return run_data(chosen, settings, folder)


def with_settings(config: Mapping[str, Any], overrides: Sequence[str]) -> RunConfig:
    """A complete configuration with settings typed as words on top. Raises ConfigError."""
    chosen, settings = split(parse(overrides), None)
    if chosen:
        group, choice = next(iter(chosen.items()))
        raise ConfigError(f"{group}={choice}: a group cannot be chosen anew here; valid: single settings")
    return checked(with_changes(config, settings))
