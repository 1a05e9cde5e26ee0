"""What all typed settings share: strict, frozen, and with errors a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from simplify.errors import ConfigError

# pydantic's words for a wrong value, and ours: what is needed instead.
_NEEDED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list such as [a,b]",
    "tuple_type": "a list such as [a,b]",
    "dict_type": "keys with values, as in {{a: 1}}",
    "missing": "a value (it has no default)",
    "model_type": "a group of settings",
    "model_attributes_type": "a group of settings",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "string_too_short": "at least {min_length} character(s)",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "a name of 1 to 64 letters, digits or _ . + - that begins with none of . + -",
    "too_short": "at least {min_length} item(s)",
    "too_long": "at most {max_length} item(s)",
}


# A label that becomes part of a folder's name: no separators, no leading dash or dot.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}$")]


class Settings(BaseModel):
    """A frozen group of settings. Unknown keys are refused; NaN and infinity are no settings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )


def nearest(word: str, valid: Iterable[str]) -> str:
    """A clause that proposes the valid word most like `word`, or nothing."""
    near = closest(word, valid)
    return f"did you mean {near}? " if near else ""


def closest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word most like `word`, if one is."""
    return next(iter(difflib.get_close_matches(word, list(valid), n=1, cutoff=0.5)), None)


def fields_at(model: type[BaseModel], path: Iterable[str]) -> list[str]:
    """The names of the settings in the group at `path` below `model`; [] where there is no group."""
    groups: list[type[BaseModel]] = [model]
    for name in path:
        annotations = [g.model_fields[name].annotation for g in groups if name in g.model_fields]
        groups = [g for a in annotations for g in _groups_in(a)]
    return sorted({name for g in groups for name in g.model_fields})


def _groups_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [g for a in get_args(annotation) for g in _groups_in(a)]


def show(value: object) -> str:
    """A value as the user would type it on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{show(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(show(v) for v in value) + "]"
    return str(value)


def differing(settings: Settings) -> dict[str, Any]:
    """The settings that differ from the code's defaults, nested as they are, as plain JSON data.

    The `kind` of a union member is always stated, since its other defaults depend on it.
    """
    result: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        required = field.is_required()
        tag = name == "kind" and len(get_args(field.annotation)) == 1
        if not required and value == field.default and not tag:
            continue
        if isinstance(value, Settings):
            inner = differing(value)
            if inner or not required:
                result[name] = inner
        else:
            result[name] = list(value) if isinstance(value, tuple) else value
    return result


def validate(model: type[Settings], data: Mapping[str, Any]) -> Any:
    """Build `model` from plain data; every wrong setting becomes one line of a ConfigError."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        details = error.errors(include_url=False)
        # A union reports each of its members; the first complaint about a key is enough.
        lines = dict.fromkeys(_line(model, detail) for detail in details)
        raise ConfigError(*lines) from None


def _line(model: type[Settings], detail: Any) -> str:
    """One pydantic error as: full key, what was found, what is valid."""
    # Tags of a union ("identity", "float") stand in pydantic's path but are no keys.
    path: list[str] = []
    for part in detail["loc"]:
        if (
            isinstance(part, int)
            or part in fields_at(model, path)
            or (detail["type"] == "extra_forbidden" and part == detail["loc"][-1])
        ):
            path.append(str(part))
    key, found, kind = ".".join(path), detail["input"], detail["type"]
    if kind == "extra_forbidden":
        valid = fields_at(model, path[:-1])
        where = ".".join(path[:-1]) or "the top level"
        full = [".".join([*path[:-1], name]) for name in valid]
        return f"{key}: unknown key; {nearest(key, full)}valid in {where}: {', '.join(valid)}"
    if kind in ("value_error", "assertion_error"):
        return str(detail["ctx"]["error"])
    if kind in ("literal_error", "union_tag_invalid"):
        context = detail["ctx"]
        expected = context.get("expected") or context.get("expected_tags", "")
        valid = [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")]
        valid = [word.lower() if word in ("True", "False") else word for word in valid]  # as they are typed
        found = context.get("tag", found)
        return f"{key}={show(found)}: {nearest(str(found), valid)}valid: {', '.join(valid)}"
    if kind == "union_tag_not_found":
        return f"{key}.kind: needs a value beside {show(found)}; valid: a kind, as in {key}={{kind:reparam,...}}"
    needed = _NEEDED[kind].format(**detail.get("ctx", {})) if kind in _NEEDED else detail["msg"]
    if kind == "missing":
        return f"{key}: needs {needed}"
    return f"{key}={show(found)}: needs {needed}"
