"""Runs grouped into variants: the same but for the seed."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from simplify.compare.kinds import Kind, Kinds, without
from simplify.compare.names import labelled, names_of, without_maths
from simplify.compare.styles import INK, Style, dealt
from simplify.config import nearest
from simplify.runs.costs import Costs, costs_of
from simplify.runs.settings import flat
from simplify.runs.store import RunView
from simplify.runs.words import as_word, rank

_MOST = 12  # names that a line lists
_FIRST = (False, -math.inf, "")  # what lacks a setting stands before what has it
DIVERGED = "non_finite"  # the cause in error.json of a loss that is no number


@dataclass(eq=False)
class Variant:
    """Runs of one configuration over seeds."""

    name: str  # what tells it from the others, as in "sas" or "sas, n_layers=16"; a label without formulas
    block: str
    config: Mapping[str, Any] = field(repr=False)
    identity: Mapping[str, Any]  # without seeds
    runs: list[RunView] = field(repr=False)  # none of a variant that is only planned
    cells: Mapping[str, str]  # the settings that tell it apart, by full key
    label: str  # its name, or what a paper calls it, with formulas between dollars
    printed: str  # its name as settings
    unsaid: Mapping[str, str]  # settings that names leave out where they are as most variants have them
    style: Style = field(default=INK, repr=False)  # of its line, in all figures
    kind: Kind | None = None  # of a tuned comparison
    units: Mapping[str, Hashable] = field(default_factory=dict, repr=False)  # by run id, where pairs are not of seeds

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Its configuration, flat."""
        return flat(self.config)

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
        return costs_of(self.config)

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
        return devices_of(self.settings)

    def final(self, key: str = "val/loss") -> dict[Hashable, float]:
        """A number of the finished runs' results by what pairs them: their seeds, or the mean over those of a unit."""
        found: dict[Hashable, list[float]] = {}
        for run in self.done:
            if run.last.get(key) is not None:
                found.setdefault(self.unit(run), []).append(run.last[key])
        return {unit: math.fsum(values) / len(values) for unit, values in found.items()}

    def unit(self, run: RunView) -> Hashable:
        """What pairs one of its runs with one of another variant's: the seeds, else the whole of which it is a part."""
        return self.units.get(run.run_id, seeds(run))

    @cached_property
    def data(self) -> str:
        """What decides the batches beside the seed: two runs with the same answer and seed see the same ones."""
        train = self.identity["train"]
        decide = {name: train.get(name) for name in ("batch_tokens", "mlm_probability", "batch_ramp", "micro_batch")}
        wanted = {**decide, "data": self.identity["data"], "length": self.settings["model.seq_len"]}
        return json.dumps(wanted, sort_keys=True)


def devices_of(settings: Mapping[str, Any]) -> int:
    """How many devices train a run of these settings, flat."""
    per_node = max(settings.get(f"cluster.{name}") or 1 for name in ("gpus_per_node", "tasks_per_node"))
    return int(settings.get("cluster.nodes") or 1) * int(per_node)


def seeds(run: RunView) -> Hashable:
    """Initial and data seed: what pairs two runs."""
    return tuple(sorted(run.about["identity"]["seeds"].items()))


def value_of(config: Mapping[str, Any], key: str) -> Any:
    """A setting by its full key; None where there is none."""
    found: Any = config
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def setting(config: Mapping[str, Any], key: str) -> Any:
    """The same, a group by its name, a matrix by its kind, a gain by rule of depth by its value."""
    found = value_of(config, key)
    if isinstance(found, Mapping):
        return next((found[key] for key in ("name", "value", "kind") if key in found), None)
    return found


def group(
    runs: Sequence[RunView],
    colour: str = "block",
    labels: Mapping[str, str] | None = None,
    as_given: bool = True,
    kinds: Kinds | None = None,
) -> tuple[list[Variant], list[RunView]]:
    """Variants in the order of the runs or of their settings, and the runs that have not begun and so belong to none.

    `colour`: the setting whose values have a colour each. `labels`: what names and their parts are called. `kinds`:
    which variant each run is of, in that order.
    """
    begun = [run for run in runs if isinstance(run.about.get("identity"), dict)]
    if kinds is not None:
        begun.sort(key=lambda run: kinds.order.index(kinds.of[run.run_id]))
    variants = variants_of([(run.config, run.about["identity"], run) for run in begun], labels or {}, kinds)
    if not as_given:
        variants = _by_settings(variants)
    for variant, style in zip(variants, _styles(variants, colour), strict=True):
        variant.style = style
    known = {id(run) for run in begun}
    return variants, [run for run in runs if id(run) not in known]


def variants_of(
    told: Sequence[tuple[Mapping[str, Any], Mapping[str, Any], RunView | None]],
    labels: Mapping[str, str],
    kinds: Kinds | None = None,
) -> list[Variant]:
    """The variants among configurations and their identities, with their runs where there are any."""
    found: dict[str | Kind, list[tuple[Mapping[str, Any], RunView | None]]] = {}
    identities: list[Mapping[str, Any]] = []
    for config, identity, run in told:
        plain = {name: value for name, value in identity.items() if name != "seeds"}
        key = json.dumps(plain, sort_keys=True) if kinds is None or run is None else kinds.of[run.run_id]
        identities += [plain] if key not in found else []
        found.setdefault(key, []).append((config, run))
    configs = [members[0][0] for members in found.values()]
    named = configs if kinds is None else [without(config, kinds.keys) for config in configs]
    names = names_of(_with_corpora(named, identities))
    shown = [labelled(name, cells, labels) for name, cells in zip(names.names, names.cells, strict=True)]
    plain = list(map(without_maths, shown))
    unlike = [plain.count(text) == 1 for text in plain]
    shown = [label if own else name for name, label, own in zip(names.names, shown, unlike, strict=True)]
    return [
        Variant(
            without_maths(label),
            str(config["block"]["name"]),
            config,
            identity,
            [run for _, run in members if run is not None and (kinds is None or run.run_id not in kinds.spare)],
            cells,
            label,
            name,
            names.usual,
            kind=key if isinstance(key, Kind) else None,
            units={} if kinds is None else kinds.units,
        )
        for (key, members), config, identity, cells, label, name in zip(
            found.items(), configs, identities, names.cells, shown, names.names, strict=True
        )
    ]


def _with_corpora(
    configs: Sequence[Mapping[str, Any]], identities: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Configurations with the beginning of their corpus' fingerprint, where the text alone tells some of them apart."""
    texts = [str(identity["data"]["corpus"]) for identity in identities]
    alike = [json.dumps({**one, "data": {**one["data"], "corpus": ""}}, sort_keys=True) for one in identities]
    if len(set(alike)) == len(alike):
        return list(configs)
    return [
        {**config, "data": {**config["data"], "corpus": text[:8]}} for config, text in zip(configs, texts, strict=True)
    ]


def _styles(variants: Sequence[Variant], colour: str) -> list[Style]:
    """The look of each variant's line. Where that setting is one for all, the first that differs has the colours."""
    keys = [as_word(setting(variant.config, colour)) for variant in variants]
    if len(set(keys)) == 1 and (first := next((key for variant in variants for key in variant.cells), None)):
        colour, keys = first, [variant.cells.get(first, "") for variant in variants]
    rests = [str([pair for pair in variant.cells.items() if pair[0] != colour]) for variant in variants]
    return dealt(keys, rests, blocks=colour == "block")


def _by_settings(variants: Sequence[Variant]) -> list[Variant]:
    """In the order of their settings: Pre-LN first, numbers by their size, words by the alphabet."""
    groups = [*variants[0].config] if variants else []  # in the order of a configuration
    keys = dict.fromkeys(key for variant in variants for key in variant.cells)
    keys = sorted(keys, key=lambda key: groups.index(key.partition(".")[0]))

    def place(variant: Variant) -> list[tuple[bool, float, str]]:
        cells = {**variant.cells, "block": "" if variant.block == "pre_ln" else variant.block}
        return [rank(cells[key]) if key in cells else _FIRST for key in keys]

    return sorted(variants, key=place)


def unused_labels(variants: Sequence[Variant], labels: Mapping[str, str]) -> list[str]:
    """A line for each label that is in no variant's name."""
    parts = list(dict.fromkeys(part for variant in variants for part in variant.printed.split(", ")))
    cut = [*parts[:_MOST], *["..."] * (len(parts) > _MOST)]
    return [
        f"label {key}: {nearest(key, parts)}nothing is called that; valid: {', '.join(cut)}, or the text of an axis"
        for key in labels
        if all(labelled(v.printed, v.cells, {key: "\0"}) == v.printed for v in variants)
    ]
