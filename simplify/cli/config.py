"""`simplify config`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from simplify.compose import compose_run
from simplify.config import RunConfig, Settings, differing, show
from simplify.zoo.counts import count_parameters


def config_command(overrides: list[str], conf: Path | None, config: Path | None, diff: bool) -> None:
    """Print the resolved configuration, or what in it differs from the code's defaults."""
    run = compose_run(overrides, conf, config)
    if diff:
        for key, value in _flat(differing(run)):
            print(f"{key}: {show(value)}{_default(run, key)}")
        return
    print(yaml.safe_dump(run.model_dump(mode="json"), sort_keys=False), end="")
    total = sum(count_parameters(run.block, run.model, run.data.vocab_size).values())
    print(f"# parameters: {total:,} ({total / 1e6:.1f}M)")


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _default(run: RunConfig, key: str) -> str:
    """The default of the setting `key`, where the code has one."""
    at: Any = run
    *groups, name = key.split(".")
    for group in groups:
        at = getattr(at, group)
        if not isinstance(at, Settings):
            return ""
    field = type(at).model_fields[name]
    return "" if field.is_required() else f"    # default: {show(_plain(field.default))}"


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Settings) else value
