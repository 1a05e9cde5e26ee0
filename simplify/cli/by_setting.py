"""Runs by a setting: `block=sas,sas_p`, `state=failed`, `data.path=my/text`."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from typing import Any

from simplify.config import nearest, show
from simplify.config.data import PATHS
from simplify.disk import expanded
from simplify.errors import RunFolderError
from simplify.runs.settings import flat
from simplify.runs.state import STATES
from simplify.runs.store import RunView
from simplify.runs.words import as_word, in_order

_RANGE = re.compile(r"(\d+)(?:\.{2,3}|-|:)(\d+)")
_MOST = 20  # values that an error lists


def with_setting(runs: Sequence[RunView], key: str, value: str) -> list[RunView]:
    """Runs whose setting is `value`; several, with commas, mean any of them. A group means its name."""
    values = [typed for one in value.split(",") for typed in _spelled(key, one)]
    found = [run for run in runs if any(_same(typed, _setting(run, key)) for typed in values)]
    if key == "state" and set(values) <= set(STATES):
        return found
    if not found and runs:
        there = in_order(_text(_setting(run, key)) for run in runs)
        if there == ["-"]:
            keys = {name.removesuffix(".name") for run in runs[:50] for name in flat(run.config)}
            same = sorted(name for name in keys if name.rpartition(".")[2] == key)  # lr: optimiser.lr
            meant = f"did you mean {' or '.join(same[:3])}? " if same else nearest(key, keys)
            raise RunFolderError(
                f"{key}={value}: {meant}no run has the setting {key}; valid: state, block, model, data, "
                "optimiser, or a full key such as optimiser.lr (simplify train --help lists them)"
            )
        if typed := _RANGE.fullmatch(value):
            value = f"{value}: of several each is typed, as in {key}={typed[1]},{typed[2]}"
            raise RunFolderError(f"{key}={value}; found among {len(runs)} runs: {', '.join(there[:_MOST])}")
        listed = ", ".join([*there[:_MOST], *["..."] * (len(there) > _MOST)])
        raise RunFolderError(f"{key}={value}: no run has that; found among {len(runs)} runs: {listed}")
    return found


def _spelled(key: str, typed: str) -> list[str]:
    """A value as it was typed; of a path also as a run's configuration has it: without quotes, absolute."""
    group, _, name = key.partition(".")
    if group != "data" or name not in PATHS:
        return [typed]
    plain = typed[1:-1] if len(typed) > 1 and typed[0] == typed[-1] and typed[0] in "'\"" else typed
    with contextlib.suppress(FileNotFoundError):  # the current folder was removed
        return [typed, plain, os.path.abspath(expanded(plain, key))]
    return [typed, plain]


def _setting(run: RunView, key: str) -> Any:
    if key == "state":
        return run.state
    settings = flat(run.config)
    return settings.get(key, settings.get(f"{key}.name"))


def _same(typed: str, value: object) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(typed) == value  # 3e-4 is 0.0003
        except ValueError:
            return False
    return typed in (_text(value), show(value)) or (value is None and typed == "null")


def _text(value: object) -> str:
    return "-" if value is None else as_word(value)
