"""The words of a command line, by Hydra's own grammar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, ValueType
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from simplify.choices import GROUPS, choices
from simplify.compose.base import Setting
from simplify.config import nearest, show
from simplify.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


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


def split(parsed: Sequence[Override], overlay: Path | None) -> tuple[dict[str, str], list[Setting]]:
    """Group choices, and the other settings in the order typed."""
    chosen: dict[str, str] = {}
    settings: list[Setting] = []
    for override in parsed:
        key = override.key_or_group
        if override.is_delete():
            raise ConfigError(f"~{key}: settings are not deleted; set a value, or null, as in {key}=null")
        if override.is_sweep_override():
            raise ConfigError(f"{override.input_line}: several values; valid here: one value for each key")
        if key in GROUPS:
            chosen[key] = choice(key, override.value(), overlay)
        else:
            settings.append((key, override.value()))
    return chosen, settings


def axes(overrides: Sequence[str], overlay: Path | None) -> dict[str, list[Any]]:
    """The values of each key, one or several: Hydra's whole sweep grammar (a,b choice() range() glob())."""
    found: dict[str, list[Any]] = {}
    for override in parse(overrides):
        key = override.key_or_group
        if override.is_delete():
            raise ConfigError(f"~{key}: settings are not deleted; set a value, or null, as in {key}=null")
        if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
            if key not in GROUPS:
                raise ConfigError(f"{override.input_line}: glob() chooses among files; valid with {', '.join(GROUPS)}")
            glob = override.value()
            assert isinstance(glob, Glob)
            found[key] = list(glob.filter(choices(key, overlay)))
        elif override.is_sweep_override():
            if not override.is_discrete_sweep():
                raise ConfigError(f"{override.input_line}: has no end of values; valid: a,b choice() range() glob()")
            words = override.sweep_string_iterator()
            found[key] = [parse([f"{key}={word}"])[0].value() for word in words]
        else:
            found[key] = [override.value()]
        if not found[key]:
            raise ConfigError(f"{override.input_line}: no values; valid: at least one")
    return found


def choice(group: str, value: object, overlay: Path | None) -> str:
    valid = choices(group, overlay)
    if str(value) not in valid:
        raise ConfigError(f"{group}={show(value)}: {nearest(str(value), valid)}valid: {', '.join(valid)}")
    return str(value)
