"""Which seeds each variant is asked for with, in what order: what a verdict waits for, and what looks count.

A run that was cancelled is not asked for any more. One that failed or was stopped is: dropping it would choose among
the results.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from simplify.compare.difference import is_beside
from simplify.compare.pairs import finals_of
from simplify.compare.reading import Evidence, Seen
from simplify.compare.variants import Variant, value_of
from simplify.runs.settings import flat
from simplify.runs.store import RunView

Looked = Callable[[Variant, Variant], Sequence[Seen]]  # the earlier looks at a variant's difference from its baseline
_SEEDS = ("seed", "model.seed", "data.seed")


class Asked:
    """The seeds of each variant's runs, begun or not; `as_given`: in the order of the runs, else by number."""

    def __init__(self, runs: Sequence[RunView], variants: Sequence[Variant], as_given: bool) -> None:
        owners = {id(run): [variant] for variant in variants for run in variant.runs}
        waiting = [run for run in runs if id(run) not in owners and run.config]
        if waiting:
            alike: dict[Hashable, list[Variant]] = {}
            for variant in variants:
                alike.setdefault(_key(variant.config), []).append(variant)
            owners |= {id(run): alike.get(_key(run.config), []) for run in waiting}
        self._seeds: dict[int, list[Hashable]] = {}
        for run in runs:
            for variant in owners.get(id(run), []) if run.state != "cancelled" else []:
                self._seeds.setdefault(id(variant), []).append(_seeds(run, variant))
        if not as_given:
            for found in self._seeds.values():
                found.sort(key=lambda pair: sorted(as_data(pair).items()))

    def evidence(self, variant: Variant, base: Variant, seen: Looked) -> Evidence:
        """What is known of a variant's difference from its baseline."""
        mine, its = finals_of(variant, base)
        asked, both = set(self._seeds.get(id(base), [])), [one.final() for one in (variant, base)]
        pairs = dict.fromkeys(seed for seed in self._seeds.get(id(variant), []) if seed in asked)
        # Two runs of one seed that are done and yet no pair, as those of two precisions, are waited for by nobody.
        planned = [seed for seed in pairs if seed in mine or not all(seed in one for one in both)]
        return Evidence(mine, its, planned, seen(variant, base), not (variant.diverged or base.diverged))


def as_data(pair: Hashable) -> dict[str, int]:
    """The seeds of a pair, by name: `init` and `data`."""
    return dict(pair)  # type: ignore[call-overload]


def _seeds(run: RunView, variant: Variant) -> Hashable:
    if isinstance(run.about.get("identity"), dict):
        return variant.unit(run)
    seed = run.config.get("seed")
    own = {"init": value_of(run.config, "model.seed"), "data": value_of(run.config, "data.seed")}
    return tuple(sorted((name, seed if value is None else value) for name, value in own.items()))


def _key(config: Mapping[str, Any]) -> Hashable:
    """What a configuration is but for its seeds and what cannot change a result."""
    settings = flat(config).items()
    return tuple(sorted((key, str(value)) for key, value in settings if key not in _SEEDS and not is_beside(key, True)))
