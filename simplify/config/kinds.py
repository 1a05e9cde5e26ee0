"""What each setting takes, read off its type: the same answer for whoever reads words, checks them or explains them."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from simplify.config.base import show


@dataclass(frozen=True)
class Takes:
    """The kinds of value that a setting takes."""

    null: bool = False
    text: bool = False
    number: bool = False
    boolean: bool = False
    words: tuple[str, ...] = ()
    groups: tuple[type[BaseModel], ...] = ()
    items: Takes | None = None  # of a list
    values: Takes | None = None  # of keys with values
    anything: bool = False

    @property
    def only_text(self) -> bool:
        """Whether a number can only be meant as a text."""
        return self.text and not (self.number or self.boolean or self.anything)


TEXT = Takes(text=True)
_PLAIN = {
    str: TEXT,
    int: Takes(number=True),
    float: Takes(number=True),
    bool: Takes(boolean=True),
    type(None): Takes(null=True),
    None: Takes(null=True),
    Any: Takes(anything=True),
}


def takes(annotation: Any) -> Takes:
    """What a type takes."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Takes(groups=(annotation,))
    if origin is Annotated:
        return takes(inner[0])
    if origin is Literal:
        words = tuple(show(word) for word in inner)
        return Takes(words=words, boolean=any(isinstance(word, bool) for word in inner))
    if origin in (Union, types.UnionType):
        return functools.reduce(_either, map(takes, inner))
    if origin in (tuple, list):
        return Takes(items=functools.reduce(_either, (takes(kind) for kind in inner if kind is not Ellipsis)))
    return Takes(values=takes(inner[1])) if origin is dict else Takes(anything=True)


def _either(one: Takes, other: Takes) -> Takes:
    return Takes(
        null=one.null or other.null,
        text=one.text or other.text,
        number=one.number or other.number,
        boolean=one.boolean or other.boolean,
        words=one.words + other.words,
        groups=one.groups + other.groups,
        items=one.items or other.items,
        values=one.values or other.values,
        anything=one.anything or other.anything,
    )


@functools.cache
def fields(model: type[BaseModel]) -> Mapping[str, Takes]:
    """What each setting of a group takes, by the name that is typed."""
    return {field.alias or name: takes(field.annotation) for name, field in model.model_fields.items()}


def takes_at(model: type[BaseModel], path: Sequence[str]) -> Takes | None:
    """What the setting at `path` below `model` takes; None where there is none."""
    found: Takes | None = Takes(groups=(model,))
    for name in path:
        found = within(found, name)
    return found


def within(whole: Takes | None, name: str) -> Takes | None:
    """What a value takes that stands under `name` (a number, in a list) in a value that takes `whole`."""
    if whole is None:
        return None
    members = [own[name] for group in whole.groups if name in (own := fields(group))]
    if members:
        return functools.reduce(_either, members)
    return whole.items if name.isdigit() and whole.items else whole.values


def full_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The full key of every setting below `model`, members of alternatives included."""
    for name, kind in fields(model).items():
        yield f"{prefix}{name}"
        for group in kind.groups:
            yield from full_keys(group, f"{prefix}{name}.")


def filled(groups: Sequence[type[BaseModel]], data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with the defaults of the settings that it does not name; of alternatives by their `kind`."""
    whole = dict(data)
    fitting = [g for g in groups if "kind" not in g.model_fields or data.get("kind") in fields(g)["kind"].words]
    for group in fitting if len(groups) > 1 else groups:
        for name, field in group.model_fields.items():
            if name not in whole and not field.is_required():
                default = field.default
                whole[name] = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
            inner, value = fields(group)[name].groups, whole.get(name)
            kinds = {word for member in inner if "kind" in fields(member) for word in fields(member)["kind"].words}
            if isinstance(value, str) and value in kinds:  # `value: identity` is short for `value: {kind: identity}`
                value = {"kind": value}
            if inner and isinstance(value, Mapping):
                whole[name] = filled(inner, value)
    return whole


def as_typed(kind: Takes | None, value: Any, text: Any) -> Any:
    """`value` with the characters that were typed, `text`, wherever a number or a boolean can only mean a text."""
    if kind is None:
        return value
    if isinstance(value, (bool, int, float)):
        return text if kind.only_text and isinstance(text, str) else value
    if isinstance(value, Mapping) and isinstance(text, Mapping):
        texts = {str(key): inner for key, inner in text.items()}
        return {key: as_typed(within(kind, str(key)), inner, texts.get(str(key))) for key, inner in value.items()}
    if isinstance(value, list) and isinstance(text, list) and len(value) == len(text):
        return [as_typed(kind.items, inner, typed) for inner, typed in zip(value, text, strict=True)]
    return value


def needs(kind: Takes) -> str:
    """What a setting takes, in words."""
    found = [
        *kind.words,
        *(word for group in kind.groups if "kind" in fields(group) for word in fields(group)["kind"].words),
    ]
    found += ["a number"] if kind.number else []
    found += ["true or false"] if kind.boolean and not kind.words else []
    found += ["a text"] if kind.text else []
    found += ["a list such as [a,b]"] if kind.items else []
    found += ["keys with values"] if kind.values or (kind.groups and not found) else []
    return ", ".join(found) or "a value"
