"""W&B's variables in the shell: what wandb.* is where neither a file nor a word on the command line says it.

They are looked at once, when a run is composed; from then on its config.yaml has the answer, on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from simplify.config import WandbConfig, show, validate
from simplify.errors import ConfigError

_VARIABLES = {
    "mode": "WANDB_MODE",
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
    "group": "WANDB_RUN_GROUP",
    "tags": "WANDB_TAGS",
    "notes": "WANDB_NOTES",
    "name": "WANDB_NAME",  # last: of one run alone
}
_MODES = {"dryrun": "offline", "run": "online"}  # as wandb once called them
_WITHOUT_EFFECT = {"WANDB_DIR": "W&B's files of a run lie in its folder"}


def with_shell(data: Mapping[str, Any], several: bool = False) -> dict[str, Any]:
    """Composed settings with what the shell says of W&B filled in; `several` runs do not share a name."""
    given = data.get("wandb")
    if given is not None and not isinstance(given, Mapping):
        return dict(data)  # the typed configuration says what is wrong
    known, _ = _from_shell()
    missing = {key: value for key, (_, value) in known.items() if key not in (given or {})}
    if several:
        missing.pop("name", None)
    return {**data, "wandb": {**missing, **(given or {})}} if missing else dict(data)


def shell_lines(wandb: WandbConfig, several: bool = False) -> list[str]:
    """What of the shell's variables came into `wandb`, and what did not and why: nothing, or a line each."""
    known, wrong = _from_shell()
    taken, lines = [], list(wrong)
    for key, (name, value) in known.items():
        now = getattr(wandb, key)
        if now == value:
            taken.append(f"wandb.{key}={show(value)} ({name})")
        elif several and key == "name":
            lines.append(f"{name}={value}: has no effect: all runs would have that name; valid: wandb.name=... of one")
        else:
            lines.append(f"{name}={_word(name)}: has no effect: wandb.{key}={show(now)} is set")
    lines += [f"{name}={_word(name)}: has no effect: {why}" for name, why in _WITHOUT_EFFECT.items() if _word(name)]
    if wandb.mode == "disabled":  # then nothing else of it matters
        taken, lines = [word for word in taken if word.startswith("wandb.mode")], []
    return [*([f"from the shell: {', '.join(taken)}"] if taken else []), *lines]


def _from_shell() -> tuple[dict[str, tuple[str, Any]], list[str]]:
    """Settings by name, each with the variable that it stands in and its value; a line for each that is no setting."""
    found: dict[str, tuple[str, Any]] = {}
    wrong: list[str] = []
    for key, name in _VARIABLES.items():
        if not (word := _word(name)):
            continue
        value: Any = tuple(tag.strip() for tag in word.split(",") if tag.strip()) if key == "tags" else word
        if key == "mode":
            value = _MODES.get(word.lower(), word.lower())
        try:
            found[key] = (name, getattr(validate(WandbConfig, {key: value}), key))
        except ConfigError as error:
            wrong.append(f"{name}={word}: has no effect: wandb.{error}")
    if _word("WANDB_DISABLED").lower() in ("1", "true", "yes", "on"):
        found.setdefault("mode", ("WANDB_DISABLED", "disabled"))
    return found, wrong


def _word(name: str) -> str:
    return os.environ.get(name, "").strip()
