"""Settings of several runs side by side: flat keys, and only what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simplify.runs.words import as_word, words_of

_GROUPS = ("block", "model", "data", "optimiser", "cluster")
_TRAIN = ("log_every", "val_every", "checkpoint_every", "checkpoint_minutes", "micro_batch", "device", "compile")
# Settings that are no part of a run's identity, or seeds: they tell no variant from another.
NO_PART = {"seed", "model.seed", "data.seed", *(f"train.{name}" for name in (*_TRAIN, "compile_mode", "precision"))}
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


def varied_words(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """`differing_settings`, each value in the one spelling that tables, figures and frames share."""
    found = differing_settings(configs)
    shown: list[dict[str, str]] = [{} for _ in found]
    for key in dict.fromkeys(key for cells in found for key in cells):
        rows = [number for number, cells in enumerate(found) if key in cells]
        layers = [layers_of(configs[number]) for number in rows]
        for number, text in zip(rows, words_of([found[number][key] for number in rows], layers), strict=True):
            shown[number][key] = text
    return [{key: texts[key] for key in cells} for texts, cells in zip(shown, found, strict=True)]


def as_cells(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All settings of each run by full key, as a table can be grouped by them: numbers and words as they are, a group
    of settings or a list in its word, and the parts of a group beside it."""
    whole = [flat(config) for config in configs]
    cells: list[dict[str, Any]] = [{} for _ in whole]
    for key in dict.fromkeys(key for row in whole for key in row):
        rows = [number for number, row in enumerate(whole) if key in row]
        values = [whole[number][key] for number in rows]
        if any(isinstance(value, (Mapping, list, tuple)) for value in values):
            values = words_of(values, [layers_of(configs[number]) for number in rows])
        for number, value in zip(rows, values, strict=True):
            cells[number][key] = value
            parts = whole[number][key]
            if isinstance(parts, Mapping):
                cells[number] |= {f"{key}.{name}": part for name, part in parts.items()}
    return cells


def as_words(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The settings that are settings themselves, each in its word below its group: what a chart can group runs by."""
    found: dict[str, dict[str, str]] = {}
    for key, value in flat(config).items():
        if isinstance(value, Mapping):
            group, _, name = key.partition(".")
            found.setdefault(group, {})[name] = as_word(value, layers_of(config))
    return found


def layers_of(config: Mapping[str, Any]) -> int | None:
    """How many layers a run's model has; None where its configuration does not say."""
    found = (config.get("model") or {}).get("n_layers")
    return found if isinstance(found, int) else None


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
