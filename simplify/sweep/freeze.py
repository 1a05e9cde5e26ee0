"""From the plan of a sweep and its `tune` to a study: who chooses between which values, and all runs but for these."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simplify.compose import draft_of, drafted_run
from simplify.config import RunConfig, show
from simplify.errors import ConfigError
from simplify.runs.identity import identity
from simplify.sweep.arms import Group, check_seeds, groups_of, mapping_of
from simplify.sweep.ladders import check_key, ladder_of, typed, untuned
from simplify.sweep.plan import Here, Plan
from simplify.sweep.points import varying
from simplify.sweep.study import Cell, Draft, StudyRecord
from simplify.sweep.tuned import Tune
from simplify.tune.study import Arm, Ladder, Study


@dataclass(frozen=True)
class Facts:
    """Where and how a study was asked for."""

    name: str  # of the sweep's record
    created: str
    command: Sequence[str]
    cwd: str
    code: str  # the folder of the package to train with
    cache: str
    fail_fast: bool


def freeze(
    plan: Plan, tune: Tune, is_baseline: Sequence[bool], overlay: Path | None, facts: Facts
) -> tuple[StudyRecord, list[str]]:
    """The study of a plan, whose runs are the final ones at the untuned values, and a line for each missing corpus.

    `is_baseline`: of each run of the plan. Raises ConfigError.
    """
    if not tune.over:
        raise ConfigError("tune.over: names no setting; valid: {optimiser.lr: start}")
    for key in tune.over:
        check_key(key)
    groups = groups_of(plan, tune, is_baseline)
    _check_at(tune, plan)
    rules = tune.rules(groups[0].seeds)
    here = Here(plan.root)
    drafts: dict[str, list[Cell]] = {}
    arms: list[Arm] = []
    for name, cells in mapping_of(groups).items():
        drafts[name] = [_cell(group, tune, overlay, here) for group in cells]
        ladders = _ladders(tune, cells, drafts[name]) if cells[0].is_covered else ()
        arms.append(Arm(name, ladders, len(cells), any(group.is_baseline for group in cells)))
    study = Study(tuple(arms), rules, _ceiling(drafts.values()))
    missing = [line for line in here.missing.values() if line not in plan.missing]
    return StudyRecord(tune=tune, study=study, cells=drafts, **_as_fields(facts)), missing


def _as_fields(facts: Facts) -> dict[str, Any]:
    return {**facts.__dict__, "command": list(facts.command)}


def _cell(group: Group, tune: Tune, overlay: Path | None, here: Here) -> Cell:
    """A group of final runs, and what its tuning runs differ in."""
    final = Draft(group.point, *draft_of(group.point, overlay), group.run.corpus)
    if not tune.at or not group.is_covered:
        return Cell(final)
    point = {**group.point, **tune.at}
    try:
        settings, files = draft_of(point, overlay)
        config = drafted_run(settings, files, {})
        check_seeds(config)
    except ConfigError as error:
        raise ConfigError(*(f"tune.at: {line}" for line in error.lines)) from None
    if config.run_root != group.run.config.run_root:
        raise ConfigError(
            f"tune.at={{run_root: {config.run_root}}}: all runs of a sweep lie in one run root; valid: none"
        )
    _check_algebra(group, config)
    return Cell(final, Draft(point, settings, files, here.fingerprint(config, point)))


_ALGEBRA = ("kind", "activation", "leaky_slope")  # of the model, which a block's formula needs


def _check_algebra(group: Group, tuning: RunConfig) -> None:
    """Raise ConfigError where a tuning run has another block: what is best for that one says nothing of this."""
    final = group.run.config
    pairs = [("block", final.block, tuning.block)]
    pairs += [(f"model.{name}", getattr(final.model, name), getattr(tuning.model, name)) for name in _ALGEBRA]
    pairs += [("model.norm", final.block.norm_of(final.model), tuning.block.norm_of(tuning.model))]
    for key, wanted, found in pairs:
        if wanted != found:
            said = f"{key}={show(found)}" if key != "block" else "a block with other settings"
            raise ConfigError(
                f"tune.at: tunes {said} for final runs of {group.where}, which says nothing of these; valid: settings "
                "that leave the block's formula as it is, such as model=gpt_nano or train.steps=600"
            )


def _check_at(tune: Tune, plan: Plan) -> None:
    apart = varying([run.point for run in plan.runs])
    for key in tune.at:
        taken = next((one for one in (*tune.over, "seed", *apart) if key in (one, one.partition(".")[0])), None)
        if taken is not None:
            why = "is tuned" if taken in tune.over else "is set by tune.seeds" if taken == "seed" else "is compared"
            raise ConfigError(f"tune.at={{{key}: ...}}: {taken} {why}; valid: settings that all runs share")


def _ladders(tune: Tune, groups: Sequence[Group], cells: Sequence[Cell]) -> tuple[Ladder, ...]:
    """The values that an arm may try. Raises ConfigError."""
    ladders: list[Ladder] = []
    where = groups[0].where
    for key, window in tune.over.items():
        values = dict.fromkeys(untuned(group.run.config, key, group.where) for group in groups)
        if window == "start" and len(values) > 1:
            raise ConfigError(
                f"tune.over.{key}=start: has the values {show([*values])} within {where}, which has one choice; "
                "valid: a range or a list; or name in tune.each what tells them apart"
            )
        tried = _Tried(key, cells)
        try:
            ladders.append(ladder_of(key, window, tune.edge_of(key), next(iter(values)), tried))
        except ConfigError as error:
            raise ConfigError(*(f"{line} (in {where})" for line in error.lines)) from None
        if tried.are_alike(ladders[-1].values):
            raise ConfigError(
                f"tune.over.{key}: changes no result in {where}; valid: a setting that does, such as optimiser.lr"
            )
        if len(values) > 1:
            ladders[-1] = replace(ladders[-1], default=None)
    return tuple(ladders)


class _Tried:
    """Whether all runs of an arm exist with a value of a setting; what they are is kept."""

    def __init__(self, key: str, cells: Sequence[Cell]) -> None:
        self._key = key
        self._drafts = [draft for cell in cells for draft in (cell.final, cell.tuning) if draft is not None]
        self._runs: dict[float, str] = {}

    def __call__(self, value: float) -> ConfigError | None:
        runs: list[RunConfig] = []
        try:
            for draft in self._drafts:
                runs.append(drafted_run(draft.settings, draft.files, {self._key: typed(value)}))
        except ConfigError as error:
            return error
        self._runs[value] = json.dumps(identity(runs[0], ""), sort_keys=True)
        return None

    def are_alike(self, values: Sequence[float]) -> bool:
        """Whether two of the values are one run."""
        return len({self._runs[value] for value in values}) < len(values)


def _ceiling(cells: Any) -> float:
    """The loss at initialisation: that of a guess among all tokens."""
    return math.log(max(_vocabulary(draft.settings) for own in cells for cell in own for draft in _both(cell)))


def _both(cell: Cell) -> list[Draft]:
    return [cell.final, *([cell.tuning] if cell.tuning else [])]


def _vocabulary(settings: Mapping[str, Any]) -> int:
    return drafted_run(settings, {}, {}).data.vocab_size
