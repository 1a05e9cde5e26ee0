"""Who has a choice of its own in a tuned sweep: the runs of a plan, taken apart into arms, cells and seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simplify.config import RunConfig, nearest, show
from simplify.errors import ConfigError
from simplify.runs.words import as_word
from simplify.sweep.plan import Plan, PlannedRun
from simplify.sweep.points import varying
from simplify.sweep.tuned import Tune


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed; `words` are what tells its arm from the others."""

    point: dict[str, Any]  # without the seed
    seeds: tuple[int, ...]
    run: PlannedRun  # of the first seed
    words: tuple[tuple[str, str], ...]  # keys and values; () where nothing tells its arm apart
    is_covered: bool  # whether it has a choice
    is_baseline: bool

    @property
    def where(self) -> str:
        """The words by which a message names it."""
        return " ".join(f"{key}={value}" for key, value in self.words) or f"block={self.run.config.block.name}"


def groups_of(plan: Plan, tune: Tune, is_baseline: Sequence[bool]) -> list[Group]:
    """The groups of a plan's runs, in order. `is_baseline`: of each run. Raises ConfigError."""
    apart = [key for key in varying([run.point for run in plan.runs]) if key != "seed"]
    _check_keys(plan, tune, apart)
    members: dict[str, list[int]] = {}
    for number, run in enumerate(plan.runs):
        check_seeds(run.config)
        rest = {key: value for key, value in run.point.items() if key != "seed"}
        members.setdefault(json.dumps(rest, sort_keys=True, default=str), []).append(number)
    found: list[Group] = []
    for numbers in members.values():
        runs = [plan.runs[number] for number in numbers]
        point = {key: value for key, value in runs[0].point.items() if key != "seed"}
        own = _own(runs[0], tune, apart)
        words = tuple((key, _word(runs[0], key)) for key in (own if own else apart))
        seeds = tuple(run.config.seed for run in runs)
        found.append(Group(point, seeds, runs[0], words, own is not None, any(is_baseline[n] for n in numbers)))
    _check_groups(found)
    return found


def _own(run: PlannedRun, tune: Tune, apart: Sequence[str]) -> list[str] | None:
    """The settings that tell the run's arm from the others; None where `each` does not cover it."""
    if tune.each is None:
        return [*apart]
    keys: dict[str, None] = {}
    covered = False
    for item in tune.each:
        pairs = [word.partition("=") for word in item.split()]
        if all(not sign or value in (_word(run, key), show(run.point.get(key))) for key, sign, value in pairs):
            covered = True
            keys |= {key: None for key, _, _ in pairs}
    return list(keys) if covered else None


def _word(run: PlannedRun, key: str) -> str:
    return as_word(run.point[key] if key in run.point else setting(run.config, key))


def setting(config: RunConfig, key: str) -> Any:
    """A setting by its full key; a group's is its name."""
    found: Any = config
    for part in key.split("."):
        found = getattr(found, part, None)
    return getattr(found, "name", found) if "." not in key else found


def _check_keys(plan: Plan, tune: Tune, apart: Sequence[str]) -> None:
    """Raise ConfigError where a tuned setting is an axis, or `each` names what no run has."""
    for key in tune.over:
        if key in apart:
            raise ConfigError(f"tune.over.{key}: is an axis too; valid: one of them, an axis or tuned")
    known = dict.fromkeys([*apart, *(key for run in plan.runs for key in run.point), "block"])
    for item in tune.each or ():
        pairs = [word.partition("=") for word in item.split()] or [("", "", "")]
        for key, _, _ in pairs:
            if key not in known or key == "seed" or key in tune.over:
                valid = [name for name in known if name != "seed" and name not in tune.over]
                raise ConfigError(f"tune.each={show(item)}: {nearest(key, valid)}valid here: {', '.join(valid)}")
        if not any(_own(run, tune.model_copy(update={"each": (item,)}), apart) is not None for run in plan.runs):
            there = dict.fromkeys(f"{key}={_word(run, key)}" for run in plan.runs for key, _, _ in pairs)
            raise ConfigError(f"tune.each={show(item)}: no run has that; valid here: {', '.join(there)}")


def check_seeds(config: RunConfig) -> None:
    """Raise ConfigError where a fixed seed would be the same in tuning and final runs."""
    for key, value in (("model.seed", config.model.seed), ("data.seed", config.data.seed)):
        if value is not None:
            raise ConfigError(f"{key}={value}: would be the same in tuning and final runs; with tune valid: null")


def _check_groups(groups: Sequence[Group]) -> None:
    seeds = groups[0].seeds
    for group in groups:
        if group.seeds != seeds:
            raise ConfigError(
                f"seed={show(group.seeds)} in {group.where}: with tune all are compared on the same seeds; valid: "
                f"{show(seeds)}, as in {groups[0].where}"
            )
    missing = next((group for group in groups if group.is_baseline and not group.is_covered), None)
    if missing is not None:
        raise ConfigError(
            f"tune.each: leaves out the baseline, {missing.where}, which has to be at its best too; valid: with it, or "
            "another report.baseline"
        )


def names_of(groups: Sequence[Group]) -> list[str]:
    """The name of each group's arm: a block by its name, else words; one for all where nothing tells them apart."""
    found: list[str] = []
    for group in groups:
        own = sorted(group.words, key=lambda word: word[0] != "block")
        words = [value if key == "block" else f"{key}={value}" for key, value in own]
        found.append(" ".join(words) or group.run.config.block.name)
    tuned = {name for name, group in zip(found, groups, strict=True) if group.is_covered}
    return [
        f"{name} untuned" if not group.is_covered and name in tuned else name
        for name, group in zip(found, groups, strict=True)
    ]


def mapping_of(groups: Sequence[Group]) -> Mapping[str, list[Group]]:
    """The groups of each arm by its name, in order: its cells."""
    found: dict[str, list[Group]] = {}
    for name, group in zip(names_of(groups), groups, strict=True):
        found.setdefault(name, []).append(group)
    return found
