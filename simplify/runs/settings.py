"""Settings of several runs side by side: flat keys, and only what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_GROUPS = ("block", "model", "data", "optimiser", "cluster")
_UNSHOWN = ("cluster", "wandb", "run_root")  # they cannot change a result


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as full keys. Groups that are one value (a gain by rule, a list) stay whole."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and not prefix:
            found |= flat(value, f"{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def differing_settings(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each run what it takes to tell it from the others, by key; a group that its name explains is its name.

    So five blocks are `block`, not the thirty settings behind each; `model` and `model.n_layers` where two
    depths go by one name.
    """
    shown: list[dict[str, Any]] = [{} for _ in configs]
    for group in dict.fromkeys(key for config in configs for key in config):
        if group in _UNSHOWN:
            continue
        values = [config.get(group) for config in configs]
        if group in _GROUPS:
            _add_group(shown, group, [value if isinstance(value, Mapping) else {} for value in values])
        elif isinstance(values[0], Mapping):
            _add_keys(shown, group, [value or {} for value in values], range(len(values)))
        elif any(value != values[0] for value in values):
            for cells, value in zip(shown, values, strict=True):
                cells[group] = value
    return shown


def _add_group(shown: list[dict[str, Any]], group: str, values: list[Mapping[str, Any]]) -> None:
    names = [value.get("name") for value in values]
    if any(name != names[0] for name in names):
        for cells, name in zip(shown, names, strict=True):
            cells[group] = name
    for name in dict.fromkeys(names):
        same = [index for index, other in enumerate(names) if other == name]
        _add_keys(shown, group, values, same)


def _add_keys(shown: list[dict[str, Any]], group: str, values: list[Mapping[str, Any]], among: Sequence[int]) -> None:
    """The keys of a group that differ among some of the runs."""
    first = values[among[0]]
    if all(values[index] == first for index in among):
        return
    for key in dict.fromkeys(key for index in among for key in values[index]):
        if all(values[index].get(key) == first.get(key) for index in among):
            continue
        _add_values(shown, f"{group}.{key}", {index: values[index].get(key) for index in among})


def _add_values(shown: list[dict[str, Any]], key: str, values: Mapping[int, Any]) -> None:
    """A setting of some runs; of one that is settings itself, W_V's say, only those that differ."""
    maps = {index: value for index, value in values.items() if isinstance(value, Mapping)}
    first = next(iter(maps.values()), {})
    if "kind" in first and all(value == first for value in maps.values()):  # some have it, the others do not
        for index, value in values.items():
            shown[index][key] = first["kind"] if index in maps else value
        return
    if len(maps) < len(values) or len({tuple(sorted(value)) for value in maps.values()}) > 1:
        for index, value in values.items():
            shown[index][key] = value
        return
    for part in first:
        if len({str(value[part]) for value in maps.values()}) > 1:
            for index, value in maps.items():
                shown[index][f"{key}.{part}"] = value[part]
