"""From plain data to typed settings: every wrong setting becomes one line that a user can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from simplify.config.base import Settings, closest, nearest, show
from simplify.config.kinds import Takes, fields, full_keys, needs, takes_at, within
from simplify.errors import ConfigError

# pydantic's words for a wrong value, and ours: what is needed instead.
_NEEDED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
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
_RANGE, _SEVERAL = re.compile(r"(\d{1,9})(?:\.{2,3}|-|:)(\d{1,9})"), 10
_NULLS = ("none", "nil", "~", "")  # what other languages, and people, write for null
Path = tuple[str, ...]


def validate(model: type[Settings], data: Mapping[str, Any]) -> Any:
    """Build `model` from plain data; every wrong setting becomes one line of a ConfigError."""
    lines = dict(_near_misses(Takes(groups=(model,)), data, ()))
    try:
        built = model.model_validate(dict(data))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            # A union reports each of its members; the first complaint about a key is enough.
            path = _path(model, detail)
            line = _line(model, path, detail)
            lines.setdefault(path or (line,), line)
        raise ConfigError(*dict.fromkeys(lines.values())) from None
    if lines:
        raise ConfigError(*dict.fromkeys(lines.values()))
    return built


def _near_misses(kind: Takes, value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """What Python or YAML take for something else than was meant, and pydantic would take all the same."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if (below := within(kind, str(name))) is not None:
                yield from _near_misses(below, inner, (*path, str(name)))
    elif isinstance(value, (list, tuple)) and kind.items:
        for place, inner in enumerate(value):
            yield from _near_misses(kind.items, inner, (*path, str(place)))
    elif isinstance(value, bool) and kind.number and not kind.boolean:
        yield path, f"{_said(path, value)}: needs {_or_null(kind, 'a number')}{_YES}"
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and kind.boolean and not kind.number:
        yield path, f"{_said(path, value)}: needs {_or_null(kind, ', '.join(kind.words) or 'true or false')}"
    elif isinstance(value, bytes):
        yield path, f"{'.'.join(path)}: is binary data in YAML; needs {_or_null(kind, needs(kind))}"
    elif isinstance(value, str) and kind.null and value.strip().lower() in _NULLS and value not in kind.words:
        yield path, f"{_said(path, value)}: did you mean null? valid: {_or_null(kind, needs(kind))}"


_YES = " (in YAML yes and on are true, no and off false)"


def _said(path: Sequence[str], value: object) -> str:
    return f"{'.'.join(path)}={show(value)}" if value != "" else f"{'.'.join(path)}=''"


def _or_null(kind: Takes | None, needed: str) -> str:
    return f"{needed} or null" if kind is not None and kind.null else needed


def _path(model: type[BaseModel], detail: Any) -> Path:
    """The full key that pydantic complains about. Tags of a union ("identity", "float") stand in its path too."""
    path: list[str] = []
    for part in detail["loc"]:
        known = takes_at(model, [*path, str(part)]) is not None
        if isinstance(part, int) or known or (detail["type"] == "extra_forbidden" and part == detail["loc"][-1]):
            path.append(str(part))
    return tuple(path)


def _line(model: type[BaseModel], path: Path, detail: Any) -> str:
    """One pydantic error as: full key, what was found, what is valid."""
    key, found, kind = ".".join(path), detail["input"], detail["type"]
    takes = takes_at(model, path) if path else None
    if kind == "extra_forbidden":
        return _unknown(model, path)
    if kind in ("value_error", "assertion_error"):
        return str(detail["ctx"]["error"])
    if kind in ("literal_error", "union_tag_invalid"):
        context = detail["ctx"]
        expected = context.get("expected") or context.get("expected_tags", "")
        valid = [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")]
        valid = [word.lower() if word in ("True", "False") else word for word in valid]  # as they are typed
        valid += ["null"] if takes is not None and takes.null else []
        found = context.get("tag", found)
        return f"{key}={show(found)}: {nearest(str(found), valid)}valid: {', '.join(valid)}"
    if kind == "union_tag_not_found":
        return f"{key}.kind: needs a value beside {show(found)}; valid: a kind, as in {key}={{kind:reparam,...}}"
    if kind in ("model_type", "model_attributes_type"):
        return _no_group(key, found, takes)
    needed = _NEEDED[kind].format(**detail.get("ctx", {})) if kind in _NEEDED else detail["msg"]
    if kind == "missing":
        return f"{key}: needs {needed}"
    if kind == "string_type" and isinstance(found, (bool, int, float)):  # from YAML, which has read it as it likes
        return f'{key}={show(found)}: needs {_or_null(takes, needed)}; in quotes in YAML, as in {path[-1]}: "..."'
    return f"{key}={show(found)}: needs {_or_null(takes, needed)}{_as_range(key, found)}"


def _as_range(key: str, found: object) -> str:
    """How several numbers are typed, for what looks like some: 0..3, 0-3, 0:3."""
    ends = _RANGE.fullmatch(found) if isinstance(found, str) else None
    if ends is None or int(ends[2]) <= int(ends[1]):
        return ""
    first, last = int(ends[1]), int(ends[2])
    each = f"{key}={','.join(map(str, range(first, last + 1)))} or " if last - first < _SEVERAL else ""
    return f"; for a run of each: simplify sweep with {each}'{key}=range({first},{last + 1})'"


def _unknown(model: type[BaseModel], path: Path) -> str:
    """A key that there is not: the one of the same name in another group, or the nearest."""
    here = takes_at(model, path[:-1])
    valid = sorted({name for group in (here.groups if here else ()) for name in group.model_fields})
    full = [".".join([*path[:-1], name]) for name in valid]
    elsewhere: dict[str, list[str]] = {}
    for key in dict.fromkeys(full_keys(model)):
        elsewhere.setdefault(key.rpartition(".")[2], []).append(key)
    near = closest(path[-1], valid) or closest(".".join(path), full)
    meant = elsewhere.get(path[-1]) or ([".".join([*path[:-1], near])] if near else None)
    meant = meant or elsewhere.get(closest(path[-1], elsewhere, 0.8) or "")
    hint = f"did you mean {' or '.join(meant[:3])}? " if meant else ""
    where = ".".join(path[:-1]) or "the top level"
    return f"{'.'.join(path)}: unknown key; {hint}valid in {where}: {', '.join(valid)}"


def _no_group(key: str, found: object, kind: Takes | None) -> str:
    """A value where single settings belong: the one among them that takes this word."""
    groups = kind.groups if kind else ()
    members = {f"{key}.{name}": inner for group in groups for name, inner in fields(group).items()}
    meant = [f"{name}={show(found)}" for name, of in members.items() if show(found) in of.words]
    off = [f"{name}=disabled" for name, of in members.items() if "disabled" in of.words]
    if not meant and (found is None or found is False):
        meant = off
    hint = f"did you mean {' or '.join(meant)}? " if meant else ""
    return f"{key}={show(found)}: is a group of settings; {hint}valid: one of them at a time: {', '.join(members)}"
