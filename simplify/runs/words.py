"""One spelling of a setting's value wherever runs are told apart: plans, status, watch, reports, figures, frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simplify.config import DepthGain, Settings, gain_at, show

_RULE = {"rule", "value", "at_depth"}


def as_word(value: Any, n_layers: int | None = None) -> str:
    """A value in a word: a matrix is its kind, a gain by a rule of depth the number that it comes to.

    `n_layers`: of the model, without which such a gain is its value and where it holds, as in 0.2@18.
    """
    plain = _plain(value)
    if isinstance(plain, Mapping) and plain.keys() == _RULE:
        gain = DepthGain(**plain)
        if n_layers is not None and gain.of == "depth":
            return f"{gain_at(gain, n_layers):.4g}"
        return f"{gain.value:g}@{gain.at_depth}"
    if isinstance(plain, Mapping) and (name := plain.get("name", plain.get("kind"))) is not None:
        return str(name)
    return _whole(plain)


def words_of(values: Sequence[Any], layers: Sequence[int | None]) -> list[str]:
    """A setting of several runs, of models of so many layers, as texts as short as still tells them apart.

    As `as_word` has it; where that is one text for two values, first without what depth makes of a gain, then a matrix
    with the parts that differ among its kind, then the whole value.
    """
    plain = [_plain(value) for value in values]
    whole = list(map(_whole, plain))
    differ = len(set(zip(layers, whole, strict=True)))
    tries = (
        lambda: [as_word(value, n) for value, n in zip(plain, layers, strict=True)],
        lambda: [as_word(value) for value in plain],
        lambda: _by_parts(plain),
    )
    for attempt in tries:
        texts = attempt()
        if len(set(zip(layers, texts, strict=True))) == differ:
            return texts
    return whole


def in_order(texts: Iterable[str]) -> list[str]:
    """Each text once: numbers by their size, then words by the alphabet."""
    return sorted(set(texts), key=rank)


def rank(text: str) -> tuple[bool, float, str]:
    """What sorts texts of settings: numbers by their size, then words by the alphabet."""
    try:
        return (False, float(text), "")
    except ValueError:
        return (True, 0.0, text)


def _by_parts(values: Sequence[Any]) -> list[str]:
    """Words, and of matrices of one kind what differs among them: `dense init=orthogonal`."""
    return [" ".join([as_word(value), *_parts(value, values)]) for value in values]


def _parts(value: Any, among: Sequence[Any]) -> list[str]:
    if not isinstance(value, Mapping) or "kind" not in value:
        return []
    same = [other for other in among if isinstance(other, Mapping) and other.get("kind") == value["kind"]]
    return [f"{key}={as_word(value[key])}" for key in value if any(other.get(key) != value[key] for other in same)]


def _whole(value: Any) -> str:
    """The value as it is typed, numbers without the zero of a float: 1, not 1.0."""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_whole(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_whole, value)) + "]"
    return show(value)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Settings) else value
