"""`${...}`: the same meaning wherever it was written, against the whole configuration with all its defaults."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from simplify.compose.words import taken_by
from simplify.config import RunConfig, nearest, show
from simplify.config.kinds import filled, full_keys, within
from simplify.errors import ConfigError

_OPEN = "???"  # OmegaConf's word for a value that is still to be given
Place = tuple[str | int, ...]


def resolved(data: Mapping[str, Any], files: Mapping[str, str], typed: set[str]) -> dict[str, Any]:
    """`data` of a run with every reference replaced by what it refers to.

    `files` names the YAML file of each group and `typed` the keys that were given beside them: an error names the
    file where it stands. Raises ConfigError with a line for each reference that leads nowhere.
    """
    places = list(references(data))
    if not places:
        return dict(data)
    whole, lines = _tree(_needed(filled([RunConfig], data), places)), []
    found = copy.deepcopy(dict(data))
    for place, text in places:
        key = ".".join(map(str, place))
        try:
            _put(found, place, _as_text(place, _value(whole, place, text)))
        except OmegaConfBaseException as error:
            group = str(place[0])
            own = any(key == name or key.startswith(f"{name}.") for name in typed)
            where = "" if own or group not in files else f"{files[group]}: "
            lines.append(f"{where}{key}={text}: {_why(text, error)}")
    if lines:
        raise ConfigError(*lines)
    return found


def resolved_within(data: Mapping[str, Any], own: Sequence[str]) -> dict[str, Any]:
    """`data` of a file with those references replaced that the file itself and the environment answer.

    The others stay, but for those below the keys `own`: of them a ConfigError has a line each.
    """
    places = list(references(data))
    whole, found = _tree(data) if places else None, copy.deepcopy(dict(data))
    lines: list[str] = []
    for place, text in places:
        try:
            _put(found, place, _value(whole, place, text))
        except OmegaConfBaseException as error:
            if place[0] in own:
                lines.append(f"{'.'.join(map(str, place))}={text}: {_why(text, error, in_file=True)}")
    if lines:
        raise ConfigError(*lines)
    return found


def with_environment(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with the shell's variables filled in, also where they are part of a longer text; the rest stays."""
    found = copy.deepcopy(dict(data))
    for place, text in references(data):
        _put(found, place, _VARIABLE.sub(_of_the_shell, text))
    return found


_VARIABLE = re.compile(r"\$\{oc\.env:[^${}]*\}")


def _of_the_shell(found: re.Match[str]) -> str:
    """What a variable holds; the reference itself where that is nothing, or refers to something again."""
    try:
        value = OmegaConf.create({"x": found[0]}).x
    except OmegaConfBaseException:
        return found[0]
    return found[0] if value is None or "${" in str(value) else str(value)


def references(data: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Where in plain data a reference stands, or a value is left open."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from references(value, (*place, key))
    elif isinstance(data, (list, tuple)):
        for number, value in enumerate(data):
            yield from references(value, (*place, number))
    elif isinstance(data, str) and ("${" in data or data == _OPEN):
        yield place, data


_SIMPLE = re.compile(r"\$\{(?:([A-Za-z_][\w.]*)|oc\.env:[^${}]*)\}")  # a full key, or a variable of the shell


def _needed(data: Mapping[str, Any], places: Sequence[tuple[Place, str]]) -> Mapping[str, Any]:
    """What of `data` its references and what they refer to stand in: OmegaConf takes 7 ms for all of a run.

    All of it where a reference is more than a full key, or leads nowhere.
    """
    found: dict[str, Any] = {}
    for place, text in places:
        keys = [place, *(tuple(key[1].split(".")) for key in _SIMPLE.finditer(text) if key[1])]
        if "${" in _SIMPLE.sub("", text) or not all(_copy(data, found, key) for key in keys):
            return data
    return found


def _copy(data: Any, found: Any, place: Place) -> bool:
    """Copy the value at `place`, its list as a whole where it stands in one; False where there is no such place."""
    for part in place[:-1]:
        if not isinstance(data, Mapping) or part not in data:
            return False
        if not isinstance(data[part], Mapping):
            found[part] = data[part]
            return isinstance(data[part], (list, tuple))
        data, found = data[part], found.setdefault(part, {})
    if not isinstance(data, Mapping) or place[-1] not in data:
        return False
    found[place[-1]] = data[place[-1]]
    return True


def _tree(data: Mapping[str, Any]) -> DictConfig:
    try:
        return OmegaConf.create(dict(data))
    except OmegaConfBaseException as error:  # say which one: the tree as a whole does not
        for place, text in references(data):
            try:
                OmegaConf.create({"x": text})
            except OmegaConfBaseException as own:
                raise ConfigError(f"{'.'.join(map(str, place))}={text}: {_why(text, own)}") from None
        raise ConfigError(" ".join(str(error).split())) from None


def _value(whole: Any, place: Place, text: str) -> Any:
    if text == _OPEN:
        raise InterpolationKeyError(_OPEN)
    node = whole
    for part in place:
        node = node[part]
    return OmegaConf.to_container(node, resolve=True) if isinstance(node, (DictConfig, ListConfig)) else node


def _put(data: Any, place: Place, value: Any) -> None:
    for part in place[:-1]:
        data = data[part]
    data[place[-1]] = value


def _as_text(place: Place, value: Any) -> Any:
    """A number that a text setting refers to is shown as it would be typed."""
    kind = taken_by(str(place[0]))
    for part in place[1:]:
        kind = within(kind, str(part))
    return show(value) if kind and kind.only_text and isinstance(value, (bool, int, float)) else value


def _why(text: str, error: OmegaConfBaseException, in_file: bool = False) -> str:
    """Why a reference leads nowhere, and what it may refer to; `in_file`: in a file that is of no single run."""
    said = " ".join(str(error).split(" full_key:")[0].split())
    if text == _OPEN:
        return "needs a value; its YAML file leaves it open"
    if found := re.search(r"Interpolation key '([^']*)' not found", said):
        valid = "a full key, as in ${seed} or ${optimiser.lr}, or a variable of the shell, as in ${oc.env:HOME}"
        if in_file:
            return f"there is no {found[1]} in this file; valid: a variable of the shell, as in ${{oc.env:HOME}}"
        return f"there is no setting {found[1]}; {nearest(found[1], full_keys(RunConfig))}valid: {valid}"
    if found := re.search(r"Environment variable '([^']*)' not found", said):
        return f"the variable {found[1]} is not set; set it, or give a default, as in ${{oc.env:{found[1]},VALUE}}"
    if "recursi" in said.lower():
        return "refers to itself"
    return f"cannot be resolved: {said}; valid: ${{KEY}} with a full key, as in ${{optimiser.lr}}"
