"""The words of a command line, by Hydra's own grammar."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Glob, ValueType
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from simplify.choices import GROUPS, choices
from simplify.compose.base import Setting
from simplify.compose.words import read_word, taken_by
from simplify.config import nearest, show
from simplify.config.kinds import fields
from simplify.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


def parse(overrides: Sequence[str]) -> list[Override]:
    """Words of the command line by Hydra's own grammar."""
    parsed: list[Override] = []
    for word in overrides:
        try:
            parsed.append(read_word(word))
            if not parsed[-1].key_or_group or parsed[-1].package is not None:
                raise HydraException("no key, or Hydra's key@package")
        except (HydraException, OmegaConfBaseException, ValueError):
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
        _refuse_deletion(override, overlay)
        if override.is_sweep_override():
            words = shlex.join([str(one.input_line) for one in parsed])
            raise ConfigError(
                f"{override.input_line}: several values; valid here: one value for each key; a run of each: "
                f"simplify sweep {words}"
            )
        if key in GROUPS:
            chosen[key] = choice(key, override.value(), overlay)
        else:
            settings.append((key, override.value()))
    return chosen, settings


def _refuse_deletion(override: Override, overlay: Path | None) -> None:
    """Hydra's ~key has no meaning here: a run has every setting. Say what does."""
    if not override.is_delete():
        return
    key = override.key_or_group
    kind = taken_by(key)
    if key in GROUPS:
        raise ConfigError(f"~{key}: a run needs one; valid: {key}= and one of {', '.join(choices(key, overlay))}")
    instead = f"give it another value, as in {key}=VALUE"
    if kind is not None and kind.null:
        instead = f"set null, as in {key}=null"
    elif kind is not None and kind.groups:
        members = {f"{key}.{name}": inner for group in kind.groups for name, inner in fields(group).items()}
        off = [f"{name}=disabled" for name, inner in members.items() if "disabled" in inner.words]
        instead = f"set {off[0]}" if off else f"set single ones: {', '.join(members)}"
    raise ConfigError(f"~{key}: settings are not deleted; {instead}")


def axes(overrides: Sequence[str], overlay: Path | None) -> dict[str, list[Any]]:
    """The values of each key, one or several: Hydra's whole sweep grammar (a,b choice() range() glob())."""
    found: dict[str, list[Any]] = {}
    for override in parse(overrides):
        key = override.key_or_group
        _refuse_deletion(override, overlay)
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
