"""Hydra at the edge: config groups and command-line words become plain data, then a RunConfig.

The only module that knows Hydra. Hydra composes the chosen YAML files; settings typed as
`key=value` are applied to a copy afterwards (2 ms instead of 0.1 s each), and the typed
configuration judges the result, so a misspelt key gets the same one-line error wherever it stands.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from simplify.choices import GROUPS, choices, conf_dir, overlay_dir
from simplify.config import BUDGETS, RunConfig, nearest, show, validate
from simplify.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


def compose_run(overrides: Sequence[str], overlay: str | Path | None = None, base: Path | None = None) -> RunConfig:
    """The run that `overrides` (Hydra's grammar, one value a key) describe.

    `overlay` is the user's own folder of YAML files (default: $SIMPLIFY_CONF); its files win over
    ours of the same name. `base` is the config.yaml of a run, to start from instead of the groups.
    Raises ConfigError with one line for each thing that is wrong.
    """
    return validate(RunConfig, compose_data(overrides, overlay, base))


def compose_zoo(
    overrides: Sequence[str], overlay: str | Path | None = None, names: Sequence[str] | None = None
) -> dict[str, RunConfig | ConfigError]:
    """The run of `overrides` with each block of the zoo, or of `names`, in one composition instead of one each.

    A block that does not fit the other settings (identity values with few key/value heads, say) has
    its error in its place. Raises ConfigError for what is wrong with all of them.
    """
    folder = overlay_dir(overlay)
    chosen, settings = split(parse(overrides), folder)
    wanted = tuple(_choice("block", name, folder) for name in names or choices("block", folder))
    ours = [setting for setting in settings if setting.key_or_group.startswith("block.")]
    rest = [setting for setting in settings if setting not in ours]
    others = _plain(_composed(tuple(sorted(chosen.items())), folder).copy(), rest)
    config = OmegaConf.create(others)
    found: dict[str, RunConfig | ConfigError] = {}
    for name in wanted:
        config.block = OmegaConf.merge({"name": name}, _block_file(name, folder))
        for setting in ours:
            _apply(config, setting)
        try:
            found[name] = validate(RunConfig, {**others, "block": OmegaConf.to_container(config.block, resolve=True)})
        except ConfigError as error:
            found[name] = error
    errors = [error for error in found.values() if isinstance(error, ConfigError)]
    if len(errors) == len(found):
        raise errors[0]
    return found


def compose_data(
    overrides: Sequence[str], overlay: str | Path | None = None, base: Path | None = None
) -> dict[str, Any]:
    """The composed, resolved configuration as plain data, before the typed configuration sees it."""
    folder = overlay_dir(overlay)
    chosen, settings = split(parse(overrides), folder)
    config = _read(base, chosen) if base else _composed(tuple(sorted(chosen.items())), folder).copy()
    return _plain(config, settings)


def _plain(config: DictConfig, settings: Sequence[Override]) -> dict[str, Any]:
    """`config` with the typed settings applied, resolved, as plain data."""
    OmegaConf.set_struct(config, False)
    for setting in settings:
        _apply(config, setting)
    _clear_other_budgets(config, settings)
    try:
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_one_line(error)) from None
    assert isinstance(data, dict)
    return {str(key): value for key, value in data.items()}


def parse(overrides: Sequence[str]) -> list[Override]:
    """Words of the command line by Hydra's own grammar."""
    parser = OverridesParser.create()
    parsed: list[Override] = []
    for word in overrides:
        try:
            parsed.append(parser.parse_override(word))
            if not parsed[-1].key_or_group:
                raise HydraException("no key")
        except (HydraException, OmegaConfBaseException):
            raise ConfigError(
                f"{word}: not understood; valid: key=value, as in block=sas or optimiser.lr=3e-4; "
                "quote a value that holds spaces, accents or one of , = ( ) [ ] { }, as in 'data.path=\"my text\"'"
            ) from None
    return parsed


def split(parsed: Sequence[Override], overlay: Path | None) -> tuple[dict[str, str], list[Override]]:
    """Group choices, and the other settings in the order typed."""
    chosen: dict[str, str] = {}
    settings: list[Override] = []
    for override in parsed:
        key = override.key_or_group
        if override.is_delete():
            raise ConfigError(f"~{key}: settings are not deleted; set a value, or null, as in {key}=null")
        if override.is_sweep_override():
            raise ConfigError(f"{override.input_line}: several values; valid here: one value for each key")
        if key in GROUPS:
            chosen[key] = _choice(key, override.value(), overlay)
        else:
            settings.append(override)
    return chosen, settings


def _choice(group: str, value: object, overlay: Path | None) -> str:
    valid = choices(group, overlay)
    if str(value) not in valid:
        raise ConfigError(f"{group}={show(value)}: {nearest(str(value), valid)}valid: {', '.join(valid)}")
    return str(value)


def _read(base: Path, chosen: dict[str, str]) -> DictConfig:
    """The configuration of an earlier run, complete as it was frozen."""
    if chosen:
        group, choice = next(iter(chosen.items()))
        raise ConfigError(
            f"{group}={choice}: a choice of a group cannot be combined with --config={base}, which holds one already; "
            "valid beside --config: settings such as seed=1"
        )
    try:
        config = OmegaConf.load(base)
    except OSError as error:
        raise ConfigError(f"--config={base}: {error.strerror}; valid: the config.yaml of a run folder") from None
    except yaml.MarkedYAMLError as error:
        raise _yaml_error(error, str(base)) from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise ConfigError(f"--config={base}: is no YAML text; valid: the config.yaml of a run folder") from None
    if not isinstance(config, DictConfig) or not config:
        raise ConfigError(f"--config={base}: holds no settings; valid: the config.yaml of a run folder")
    return config


def _yaml_error(error: yaml.MarkedYAMLError, file: str = "a YAML file") -> ConfigError:
    mark = error.problem_mark
    place = f"{mark.name or file}, line {mark.line + 1}, column {mark.column + 1}" if mark else file
    return ConfigError(f"{place}: {error.problem}; valid: YAML of the form key: value")


def _block_file(name: str, overlay: Path | None) -> DictConfig:
    """What Hydra makes of a block's YAML, for defaults that are blocks and `_self_`: 3 ms, not 20.

    A file whose defaults say anything else is left to Hydra.
    """
    folders = [folder for folder in (overlay, conf_dir()) if folder]
    path = next((p for p in (folder / "block" / f"{name}.yaml" for folder in folders) if p.is_file()), None)
    if path is None:
        raise ConfigError(f"block={name}: named under defaults, but there is no such file; valid: a block's name")
    try:
        own = OmegaConf.load(path)
    except yaml.MarkedYAMLError as error:
        raise _yaml_error(error, str(path)) from None
    if not isinstance(own, DictConfig):
        raise ConfigError(f"{path}: holds no settings; valid: YAML of the form key: value")
    parents = list(own.pop("defaults", ["_self_"]))
    if "_self_" not in parents or not all(isinstance(p, str) and p.replace("_", "a").isalnum() for p in parents):
        return _composed((("block", name),), overlay).block
    parts = [own if parent == "_self_" else _block_file(parent, overlay) for parent in parents]
    merged = OmegaConf.merge(*parts)
    assert isinstance(merged, DictConfig)
    return merged


class _Overlay(SearchPathPlugin):
    """Puts the user's folder in front of ours, so that its files win (hydra.searchpath only appends)."""

    folder: Path | None = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if _Overlay.folder is not None:
            search_path.prepend(provider="simplify-overlay", path=f"file://{_Overlay.folder}")


@functools.lru_cache(maxsize=256)
def _composed(chosen: tuple[tuple[str, str], ...], overlay: Path | None) -> DictConfig:
    """Hydra's composition of a distinct choice of groups, with the choices' names filled in."""
    Plugins.instance().register(_Overlay)
    _Overlay.folder = overlay
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            full = hydra_compose("config", [f"{g}={c}" for g, c in chosen], return_hydra_config=True)
    except yaml.MarkedYAMLError as error:
        raise _yaml_error(error) from None
    except (HydraException, OmegaConfBaseException, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(_one_line(error)) from None
    names = {group: str(full.hydra.runtime.choices[group]) for group in GROUPS}
    OmegaConf.set_struct(full, False)
    del full["hydra"]
    for group, name in names.items():
        if full.get(group) is None:
            full[group] = {}
        if "name" not in full[group]:
            full[group].name = name
    return full


def _apply(config: DictConfig, setting: Override) -> None:
    """Set one key. What is typed replaces the old value, groups of settings included."""
    key = setting.key_or_group
    parents = key.split(".")[:-1]
    for depth in range(1, len(parents) + 1):
        parent = ".".join(parents[:depth])
        found = OmegaConf.select(config, parent)
        if found is not None and not isinstance(found, DictConfig):
            raise ConfigError(
                f"{key}: {parent} is {found}, which has no settings of its own; set it whole, as in '{parent}={{...}}'"
            )
    OmegaConf.update(config, key, setting.value(), merge=False, force_add=True)


def _clear_other_budgets(config: DictConfig, settings: Sequence[Override]) -> None:
    """A budget typed by the user replaces the one in the model's YAML."""
    typed = {s.key_or_group.removeprefix("train.") for s in settings if s.value() is not None}
    if typed.intersection(BUDGETS):
        for name in set(BUDGETS) - typed:
            OmegaConf.update(config, f"train.{name}", None, force_add=True)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
