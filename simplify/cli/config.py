"""`simplify config`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from simplify.compose import compose_run
from simplify.config import RunConfig, Settings, differing, show
from simplify.display import answer, tell
from simplify.zoo.counts import count_parameters


def config_command(overrides: list[str], conf: Path | None, config: Path | None, diff: bool, as_json: bool) -> None:
    """Print the resolved configuration, or what in it differs from the code's defaults."""
    run = compose_run(overrides, conf, config)
    if as_json:
        answer("config", _as_data(run, diff))
        return
    if diff:
        for line in difference(run):
            tell(line)
        return
    tell(yaml.safe_dump(run.model_dump(mode="json"), sort_keys=False), end="")
    total = count_parameters(run.block, run.model, run.data.vocab_size)
    tell(f"# parameters: {total:,} ({total / 1e6:.1f}M)")


def _as_data(run: RunConfig, diff: bool) -> dict[str, Any]:
    whole = differing(run) if diff else run.model_dump(mode="json")
    return {"config": whole, "parameters": count_parameters(run.block, run.model, run.data.vocab_size)}


def difference(settings: Settings, prefix: str = "") -> Iterator[str]:
    """One line for each setting that differs from the code's default, with the default where there is one."""
    fields = type(settings).model_fields
    for name, value in differing(settings).items():
        field, now = fields[name], getattr(settings, name)
        default = None if field.is_required() else field.default
        if isinstance(now, Settings) and (field.is_required() or type(default) is type(now)):
            yield from difference(now, f"{prefix}{name}.")
        else:
            shown = "" if field.is_required() else f"    # default: {show(_plain(default))}"
            yield f"{prefix}{name}: {show(value)}{shown}"


def _plain(value: Any) -> Any:
    return differing(value) if isinstance(value, Settings) else value
