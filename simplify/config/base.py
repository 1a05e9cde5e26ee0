"""What all typed settings share: strict, frozen, and shown as they are typed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints

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


def closest(word: str, valid: Iterable[str], likeness: float = 0.5) -> str | None:
    """The valid word most like `word`, if one is, by a `likeness` of 0 to 1."""
    return next(iter(difflib.get_close_matches(word, list(valid), n=1, cutoff=likeness)), None)


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
