"""Runs grouped into variants: the same but for the seed. What can be paired, and with what."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from simplify.config import show
from simplify.runs.costs import Costs, costs_of
from simplify.runs.settings import differing_settings, flat
from simplify.runs.store import RunView

# Settings of `train` that are no part of a run's identity: they tell no variant from another.
_NO_PART = {
    f"train.{name}"
    for name in (
        *("log_every", "val_every", "checkpoint_every", "checkpoint_minutes", "micro_batch", "device"),
        *("compile", "compile_mode"),
        "precision",
    )
}
DIVERGED = "non_finite"  # the cause in error.json of a loss that is no number


@dataclass(eq=False)
class Variant:
    """Runs of one configuration over seeds."""

    name: str  # what tells it from the others, as in "sas" or "sas, n_layers=16"
    block: str
    settings: Mapping[str, Any]  # its configuration, flat
    identity: Mapping[str, Any]  # without seeds
    runs: list[RunView] = field(repr=False)
    colour: str = ""  # what it shares its colour with: the value of the setting that has the colours

    @cached_property
    def done(self) -> list[RunView]:
        """Its finished runs."""
        return [run for run in self.runs if run.state == "done"]

    @cached_property
    def diverged(self) -> list[RunView]:
        """Its runs whose loss was no number any more."""
        return [run for run in self.runs if run.state == "failed" and (run.facts.error or {}).get("cause") == DIVERGED]

    @property
    def drawn(self) -> list[RunView]:
        """The runs that its curves are the mean of: finished ones; where there are none, all that have begun."""
        return self.done or self.runs

    @cached_property
    def costs(self) -> Costs | None:
        """Parameters and FLOPs."""
        return costs_of(self.runs[0].config)

    @property
    def batch_tokens(self) -> int:
        """Tokens in a step; at the end, where batches grow."""
        return int(self.settings["train.batch_tokens"])

    @property
    def grows(self) -> bool:
        """Whether its batches grow over the budget, so that a step does not say how many tokens there were."""
        return self.settings.get("train.batch_ramp") is not None

    @property
    def devices(self) -> int:
        """How many devices train one of its runs."""
        per_node = max(self.settings.get(f"cluster.{name}") or 1 for name in ("gpus_per_node", "tasks_per_node"))
        return int(self.settings.get("cluster.nodes") or 1) * int(per_node)

    def final(self, key: str = "val/loss") -> dict[Hashable, float]:
        """A number of the finished runs' results by seed."""
        return {seeds(run): run.last[key] for run in self.done if run.last.get(key) is not None}

    @cached_property
    def data(self) -> str:
        """What decides the batches beside the seed: two runs with the same answer and seed see the same ones."""
        train = self.identity["train"]
        decide = {name: train.get(name) for name in ("batch_tokens", "mlm_probability", "batch_ramp", "micro_batch")}
        wanted = {**decide, "data": self.identity["data"], "length": self.settings["model.seq_len"]}
        return json.dumps(wanted, sort_keys=True)


def seeds(run: RunView) -> Hashable:
    """Initial and data seed: what pairs two runs."""
    return tuple(sorted(run.about["identity"]["seeds"].items()))


def setting(config: Mapping[str, Any], path: str) -> Any:
    """A setting by its full key, a group by its name, a matrix by its kind, a gain by rule of depth by its value."""
    found: Any = config
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        return next((found[key] for key in ("name", "value", "kind") if key in found), None)
    return found


def group(runs: Sequence[RunView], colour: str = "block") -> tuple[list[Variant], list[RunView]]:
    """Variants in the order of the runs, and the runs that have not begun and so belong to none yet.

    `colour`: the setting whose values have a colour each.
    """
    begun = [run for run in runs if isinstance(run.about.get("identity"), dict)]
    found: dict[str, list[RunView]] = {}
    for run in begun:
        key = {name: value for name, value in run.about["identity"].items() if name != "seeds"}
        found.setdefault(json.dumps(key, sort_keys=True), []).append(run)
    names = _names([members[0] for members in found.values()])
    variants = [
        _variant(name, json.loads(key), members, colour)
        for name, (key, members) in zip(names, found.items(), strict=True)
    ]
    known = {id(run) for run in begun}
    return variants, [run for run in runs if id(run) not in known]


def _variant(name: str, identity: Mapping[str, Any], runs: list[RunView], colour: str) -> Variant:
    config = runs[0].config
    value = show(setting(config, colour))
    key = value if colour == "block" else f"{colour}={value}"  # only blocks have colours of their own
    return Variant(name, str(config["block"]["name"]), flat(config), identity, runs, key)


def _names(runs: Sequence[RunView]) -> list[str]:
    """A short name for each variant; the same name twice gets a number."""
    told = differing_settings([{k: v for k, v in run.config.items() if k != "seed"} for run in runs])
    unsaid = _NO_PART | _repeated(told)
    names: list[str] = []
    for run, cells in zip(runs, told, strict=True):
        block = str(run.config["block"]["name"])
        cells = {key: value for key, value in cells.items() if key not in unsaid}
        others = [f"{_short(key, cells)}={_text(value)}" for key, value in cells.items() if key != "block"]
        names.append(", ".join([block, *others]))
    for name in {name for name in names if names.count(name) > 1}:
        places = [i for i, other in enumerate(names) if other == name]
        for number, place in enumerate(places, start=1):
            names[place] = f"{name} ({number})"
    return names


def _repeated(told: Sequence[Mapping[str, Any]]) -> set[str]:
    """Settings inside a setting that are the same as another's of that name in all runs: W_P's where W_V's say it."""
    keys = [key for key in dict.fromkeys(key for cells in told for key in cells) if key.count(".") > 1]
    first: dict[str, str] = {}
    for key in keys:
        column = [str(cells.get(key)) for cells in told]
        first.setdefault(f"{key.rpartition('.')[2]} {column}", key)
    return set(keys) - set(first.values())


def _short(key: str, among: Mapping[str, Any]) -> str:
    """A key without its group, unless two keys are alike then."""
    inner = key.partition(".")[2]
    return inner if inner and sum(other.partition(".")[2] == inner for other in among) == 1 else key


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(map(_text, value.values()))
    return f"{value:g}" if isinstance(value, float) else show(value)


def baseline_of(variant: Variant, bases: Sequence[Variant]) -> Variant | None:
    """The baseline a variant is held against: on the same batches, and otherwise differing least outside the block.

    Of several that differ as little the one of the same block.
    """
    fit = [base for base in bases if base.data == variant.data and _budget(base) == _budget(variant)]
    if variant in fit:
        return variant
    return min(fit, key=lambda base: (len(apart(base, variant)), base.block != variant.block), default=None)


def _budget(variant: Variant) -> tuple[Any, ...]:
    return tuple(variant.identity["train"].get(name) for name in ("steps", "hours"))


def apart(base: Variant, variant: Variant) -> list[str]:
    """The settings, beside those of the block, in which two variants differ: part of what is compared."""
    parts = [(name, base.identity[name], variant.identity[name]) for name in ("model", "optimiser", "train")]
    return [
        f"{name}.{key}"
        for name, mine, other in parts
        for key in sorted({*mine, *other})
        if mine.get(key) != other.get(key)
    ]


def bases(variants: Sequence[Variant], wanted: str | None) -> list[Variant]:
    """The variants that `wanted` names: a block, or settings such as "block=sas optimiser.lr=1e-3".

    Without a wish Pre-LN where there is any, else the first variant.
    """
    if not variants:
        return []
    if wanted is None:
        return [v for v in variants if v.block == "pre_ln"] or list(variants[:1])
    return [v for v in variants if is_meant(v, wanted)]


def is_meant(variant: Variant, words: str) -> bool:
    """Whether words with spaces between name a variant: a block, or settings such as "block=sas optimiser.lr=1e-3"."""
    pairs = [word.partition("=") if "=" in word else ("block", "=", word) for word in words.split()]
    return all(_has(variant, key, value) for key, _, value in pairs)


def _has(variant: Variant, key: str, value: str) -> bool:
    found = setting(variant.runs[0].config, key)
    if found is None:
        return value == "null"
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        try:
            return float(value) == found
        except ValueError:
            return False
    return str(found).lower() == value.lower()
