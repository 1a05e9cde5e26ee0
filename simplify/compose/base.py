"""Hydra's composition of groups, and settings applied to it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from simplify.choices import GROUPS, conf_dir
from simplify.config import BUDGETS
from simplify.errors import ConfigError

Setting = tuple[str, Any]  # a full key and its value


def plain(config: DictConfig, settings: Sequence[Setting]) -> dict[str, Any]:
    """`config` with the settings applied, resolved, as plain data."""
    OmegaConf.set_struct(config, False)
    for key, value in settings:
        apply(config, key, value)
    clear_other_budgets(config, settings)
    try:
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(one_line(error)) from None
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}


def read_run(base: Path, chosen: dict[str, str]) -> DictConfig:
    """The configuration of an earlier run, complete as it was frozen."""
    if chosen:
        group, choice = next(iter(chosen.items()))
        raise ConfigError(
            f"{group}={choice}: a choice of a group cannot be combined with --config={base}, which holds one already; "
            "valid beside --config: settings such as seed=1"
        )
    config = load(base, f"--config={base}", "the config.yaml of a run folder")
    if not config:
        raise ConfigError(f"--config={base}: holds no settings; valid: the config.yaml of a run folder")
    return config


def load(path: Path, said: str, valid: str) -> DictConfig:
    """A YAML file with settings, by OmegaConf's reading of numbers (1e-3 is one); empty is allowed.

    Errors begin with `said` and end with what is `valid`.
    """
    try:
        config = OmegaConf.load(path)
    except OSError as error:
        raise ConfigError(f"{said}: {error.strerror}; valid: {valid}") from None
    except yaml.MarkedYAMLError as error:
        raise yaml_error(error, str(path)) from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise ConfigError(f"{said}: is no YAML text; valid: {valid}") from None
    if not isinstance(config, DictConfig):
        raise ConfigError(f"{said}: holds no settings; valid: {valid}")
    return config


def yaml_error(error: yaml.MarkedYAMLError, file: str = "a YAML file") -> ConfigError:
    mark = error.problem_mark
    place = f"{mark.name or file}, line {mark.line + 1}, column {mark.column + 1}" if mark else file
    return ConfigError(f"{place}: {error.problem}; valid: YAML of the form key: value")


class _Overlay(SearchPathPlugin):
    """Puts the user's folder in front of ours, so that its files win (hydra.searchpath only appends)."""

    folder: Path | None = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if _Overlay.folder is not None:
            search_path.prepend(provider="simplify-overlay", path=f"file://{_Overlay.folder}")


@functools.lru_cache(maxsize=256)
def composed(chosen: tuple[tuple[str, str], ...], overlay: Path | None) -> DictConfig:
    """Hydra's composition of a distinct choice of groups, with the choices' names filled in."""
    Plugins.instance().register(_Overlay)
    _Overlay.folder = overlay
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            full = hydra_compose("config", [f"{g}={c}" for g, c in chosen], return_hydra_config=True)
    except yaml.MarkedYAMLError as error:
        raise yaml_error(error) from None
    except (HydraException, OmegaConfBaseException, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(one_line(error)) from None
    names = {group: str(full.hydra.runtime.choices[group]) for group in GROUPS}
    OmegaConf.set_struct(full, False)
    del full["hydra"]
    for group, name in names.items():
        if full.get(group) is None:
            full[group] = {}
        if "name" not in full[group]:
            full[group].name = name
    return full


def apply(config: DictConfig | dict[str, Any], key: str, value: Any) -> None:
    """Set one key. The value replaces the old one, groups of settings included."""
    *parents, last = key.split(".")
    place: Any = config
    for depth, name in enumerate(parents, start=1):
        if place.get(name) is None:
            place[name] = {}
        place = place[name]
        if not isinstance(place, (dict, DictConfig)):
            parent = ".".join(parents[:depth])
            raise ConfigError(
                f"{key}: {parent} is {place}, which has no settings of its own; set it whole, as in '{parent}={{...}}'"
            )
    place[last] = value


def clear_other_budgets(config: DictConfig | dict[str, Any], settings: Sequence[Setting]) -> None:
    """A budget given by the user replaces the one in the model's YAML."""
    given = {key.removeprefix("train.") for key, value in settings if value is not None}
    if given.intersection(BUDGETS):
        for name in set(BUDGETS) - given:
            apply(config, f"train.{name}", None)


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
