"""A report before there are runs: what a block is by itself, whether there is a baseline, what labels name nothing."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simplify.compose import compose_run
from simplify.config import RunConfig
from simplify.errors import ConfigError
from simplify.runs.identity import identity
from simplify.runs.words import as_word
from simplify.sweep.report import GAINS

if TYPE_CHECKING:
    from simplify.compare.variants import Variant
    from simplify.sweep.file import SweepFile
    from simplify.sweep.plan import Plan

Held = tuple[list["Variant"], list["Variant"]]  # the variants of a plan, and those that the others are held against


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


def planned_line(plan: Plan, wanted: str | None, held: Held | None = None) -> str:
    """What to name as a baseline where a report over these runs could give no verdict; empty where it can."""
    variants, chosen = held or bases_of(plan, wanted)
    if not variants:
        return ""
    from simplify.compare.baseline import missing_line

    line = missing_line(variants, wanted, chosen)
    return f"report: {line}, or in the file: report: {{baseline: ...}}" if line else ""


def bases_of(plan: Plan, wanted: str | None) -> Held:
    """The variants of a plan, and those that a report would hold the others against."""
    if len(plan.runs) < 2:
        return [], []
    from simplify.compare.baseline import bases

    variants = _variants([run.config for run in plan.runs])
    return variants, bases(variants, wanted, home)


def label_slips(plan: Plan, source: SweepFile) -> list[str]:
    """A line for each label of a sweep file that is for nothing which its report could show, at any of its sizes."""
    if not source.report.labels or not plan.runs:
        return []
    from simplify.compare.variants import unused_labels
    from simplify.compare.wording import usual_words

    x = [figure.x for figure in source.report.figures if figure.x]
    others = usual_words([*x, *GAINS]) | _of_axes(source)
    labels = {name: label for name, label in source.report.labels.items() if name not in others}
    return (
        [f"report: {line}" for line in unused_labels(_variants([run.config for run in plan.runs]), labels)]
        if labels
        else []
    )


def _of_axes(source: SweepFile) -> set[str]:
    """The values of all axes of a file, as names have them."""
    sizes = [source, *source.scales.values()]
    axes = [pair for size in sizes for group in (size.grid, *size.zip) for pair in group.items()]
    axes += [(key, [value]) for size in sizes for point in (size.set, *size.add) for key, value in point.items()]
    words = [(key, as_word(value)) for key, values in axes for value in values]
    return {form for key, word in words for form in (word, f"{key}={word}", f"{key.rpartition('.')[2]}={word}")}


def _variants(configs: Sequence[RunConfig]) -> list[Variant]:
    from simplify.compare.variants import variants_of

    return variants_of([(config.model_dump(mode="json"), _identity(config), None) for config in configs], {})


def baselines(plan: Plan, wanted: str | None) -> list[bool]:
    """Of each run whether it is of a baseline. Raises ConfigError where `wanted` is none of them."""
    from simplify.compare.baseline import missing_line

    variants, chosen = bases_of(plan, wanted)
    if wanted is not None and (line := missing_line(variants, wanted, chosen)):
        raise ConfigError(f"report.baseline: {line}")
    whose = [json.dumps(variant.identity, sort_keys=True) for variant in chosen]
    own = [{name: value for name, value in _identity(run.config).items() if name != "seeds"} for run in plan.runs]
    return [json.dumps(identity, sort_keys=True) in whose for identity in own]


def _identity(config: RunConfig) -> dict[str, Any]:
    """Its corpus may not be here yet; what it is made of tells runs of one plan apart as well."""
    return identity(config, config.data.model_dump_json(exclude={"seed"}))
