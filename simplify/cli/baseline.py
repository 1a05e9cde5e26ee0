"""The baseline of a report: what a block is by itself, and a word at planning where no verdict could come of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simplify.compose import compose_run
from simplify.config import RunConfig
from simplify.errors import ConfigError
from simplify.runs.identity import identity

if TYPE_CHECKING:
    from simplify.compare.variants import Variant
    from simplify.sweep.plan import Plan


def home(variant: Variant) -> Mapping[str, Any] | None:
    """The configuration of a variant's block and model without a setting on top; None where no file has them."""
    return _composed(variant.block, str(variant.config["model"]["name"]))


@functools.lru_cache(maxsize=64)
def _composed(block: str, model: str) -> Mapping[str, Any] | None:
    for words in ([f"block={block}", f"model={model}"], [f"block={block}"]):
        try:
            return compose_run(words).model_dump(mode="json")
        except ConfigError:  # a file that is not here, or a label of somebody's own
            continue
    return None


def planned_line(plan: Plan, wanted: str | None) -> str:
    """What to name as a baseline where a report over these runs could give no verdict; empty where it can."""
    if len(plan.runs) < 2:
        return ""
    from simplify.compare.baseline import bases, missing_line
    from simplify.compare.variants import variants_of

    variants = variants_of([(run.config.model_dump(mode="json"), _identity(run.config), None) for run in plan.runs], {})
    line = missing_line(variants, wanted, bases(variants, wanted, home))
    return f"report: {line}, or in the file: report: {{baseline: ...}}" if line else ""


def _identity(config: RunConfig) -> dict[str, Any]:
    """Its corpus may not be here yet; what it is made of tells runs of one plan apart as well."""
    return identity(config, config.data.model_dump_json(exclude={"seed"}))
