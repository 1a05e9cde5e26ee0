"""Hydra's composition of groups, and settings applied to it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import MissingConfigException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from simplify.choices import GROUPS, choice_file, choices, conf_dir
from simplify.config import BUDGETS, nearest
from simplify.disk import check_folder
from simplify.errors import ConfigError

Setting = tuple[str, Any]  # a full key and its value


def read_run(base: Path, chosen: Mapping[str, str]) -> dict[str, Any]:
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
    config.pop("run_root", None)  # earlier versions kept it: where that run lay, which says nothing of this one
    return unresolved(config)


def unresolved(config: DictConfig) -> dict[str, Any]:
    """Plain data with its references as they stand."""
    data = OmegaConf.to_container(config, resolve=False)
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}


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
    except Exception as error:  # YAML's constructors raise what Python does: !!int x, !!timestamp x, a list in itself
        raise ConfigError(f"{said}: {_what_yaml_cannot(error)}; valid: {valid}") from None
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


def _what_yaml_cannot(error: Exception) -> str:
    if isinstance(error, OmegaConfBaseException):
        return one_line(error).split(" full_key:")[0]
    if isinstance(error, RecursionError):
        return "is nested too deep, or holds itself"
    return f"holds a value that cannot be read ({type(error).__name__}: {one_line(error)})"


@dataclass(frozen=True)
class Composed:
    """A choice of groups: its settings, with references as they stand, and the YAML file of each group."""

    settings: dict[str, Any]
    files: dict[str, str]


@functools.lru_cache(maxsize=256)
def composed(chosen: tuple[tuple[str, str], ...], overlay: Path | None) -> Composed:
    """Hydra's composition of a distinct choice of groups, with the choices' names filled in."""
    check_folder()
    Plugins.instance().register(_Overlay)
    _Overlay.folder = overlay
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            full = hydra_compose("config", [f"{g}={c}" for g, c in chosen], return_hydra_config=True)
    except MissingConfigException as error:
        raise ConfigError(_no_such_parent(error.missing_cfg_file or "", dict(chosen), overlay)) from None
    except yaml.MarkedYAMLError as error:
        raise yaml_error(error) from None
    except RecursionError:
        where = ", ".join(f"{group}={name}" for group, name in chosen)
        raise ConfigError(f"{where}: is nested too deep, or builds on itself; look at its defaults") from None
    except Exception as error:  # Hydra's own, OmegaConf's, and what YAML's constructors raise
        raise ConfigError(f"{_broken_file(chosen, overlay)}{one_line(error)}") from None
    names = {group: str(full.hydra.runtime.choices[group]) for group in GROUPS}
    OmegaConf.set_struct(full, False)
    del full["hydra"]
    settings = unresolved(full)
    for group, name in names.items():
        settings[group] = {"name": name, **(settings.get(group) or {})}
    files = {group: choice_file(group, name, overlay) for group, name in names.items()}
    return Composed(settings, {group: str(path) for group, path in files.items() if path})


def _no_such_parent(missing: str, chosen: Mapping[str, str], overlay: Path | None) -> str:
    """A file whose `defaults` name one that is not there; Hydra says which one is missing and not where it is named."""
    group, _, name = missing.rpartition("/")
    if group not in GROUPS:
        return f"{missing}: is named under the defaults of a YAML file, and there is no such file"
    return no_parent(group, str(chosen.get(group)), name, overlay)


def no_parent(group: str, child: str, name: str, overlay: Path | None) -> str:
    """What is said of a YAML file that builds on one that is not there."""
    valid = choices(group, overlay)
    where = choice_file(group, child, overlay) or f"{group}={child}"
    return f"{where}: defaults: {name}: no such {group}; {nearest(name, valid)}valid: {', '.join(valid)}"


def _broken_file(chosen: Sequence[tuple[str, str]], overlay: Path | None) -> str:
    """The first file of a choice that cannot be read by itself, as the beginning of an error; or nothing."""
    for group, name in chosen:
        path = choice_file(group, name, overlay)
        if path is not None:
            load(path, str(path), "YAML of the form key: value")
    return ""


def apply(config: dict[str, Any], key: str, value: Any) -> None:
    """Set one key. The value replaces the old one, groups of settings included."""
    *parents, last = key.split(".")
    place: Any = config
    for depth, name in enumerate(parents, start=1):
        if place.get(name) is None:
            place[name] = {}
        place = place[name]
        if not isinstance(place, dict):
            parent = ".".join(parents[:depth])
            raise ConfigError(
                f"{key}: {parent} is {place}, which has no settings of its own; set it whole, as in '{parent}={{...}}'"
            )
    place[last] = value


def clear_other_budgets(config: dict[str, Any], settings: Sequence[Setting]) -> None:
    """A budget given by the user replaces the one in the model's YAML."""
    given = {key.removeprefix("train.") for key, value in settings if value is not None}
    if given.intersection(BUDGETS):
        for name in set(BUDGETS) - given:
            apply(config, f"train.{name}", None)


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
