"""A sweep file's data before it is checked: references that it answers itself, and texts as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simplify.compose import as_written, characters, read_yaml

_POINTS, _AXES = ("set", "add", "except"), ("grid", "zip")  # keys whose values are settings of runs, one or a list each


def read_file(path: Path, what: str) -> dict[str, Any]:
    """Plain data of a file; references to settings of the runs stay, and texts are as they were written."""
    return _as_written(read_yaml(path, what, ("report", "runs_of")), characters(path))


def _as_written(data: Mapping[str, Any], text: Any) -> dict[str, Any]:
    """A file's data, or a scale's, whose settings have the characters of the file where only a text can be meant."""
    found, texts = dict(data), text if isinstance(text, Mapping) else {}
    for name, value in data.items():
        own = texts.get(name)
        if name == "scales" and isinstance(value, Mapping) and isinstance(own, Mapping):
            found[name] = {
                scale: _as_written(size, own.get(scale)) if isinstance(size, Mapping) else size
                for scale, size in value.items()
            }
        elif name == "tune" and isinstance(value, Mapping) and isinstance(own, Mapping) and "at" in value:
            found[name] = {**value, "at": _points_as_written(value["at"], own.get("at"), axes=False)}
        elif name in (*_POINTS, *_AXES):
            found[name] = _points_as_written(value, own, axes=name in _AXES)
    return found


def _points_as_written(value: Any, text: Any, axes: bool) -> Any:
    if isinstance(value, list) and isinstance(text, list):
        return [_points_as_written(one, own, axes) for one, own in zip(value, text, strict=False)]
    if not (isinstance(value, Mapping) and isinstance(text, Mapping)):
        return value
    found = {str(key): inner for key, inner in value.items()}
    for key, inner in found.items():
        own = text.get(key)
        if axes and isinstance(inner, list) and isinstance(own, list):
            found[key] = [as_written(key, one, typed) for one, typed in zip(inner, own, strict=False)]
        else:
            found[key] = as_written(key, inner, own)
    return found
