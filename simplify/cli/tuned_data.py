"""The plan of a tuned sweep for --json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from simplify.cli.plan import plan_as_data
from simplify.cli.tuned_plan import Ahead
from simplify.runs.precision import Answer
from simplify.sweep.decisions import choice_data
from simplify.sweep.estimate import Estimate
from simplify.sweep.outlook import Where
from simplify.sweep.plan import Plan
from simplify.sweep.record import Recorded
from simplify.sweep.steps import Time
from simplify.tune.study import Arm, Part

_PARTS: tuple[Part, ...] = get_args(Part)


def tuned_as_data(
    ahead: Ahead, plan: Plan, gone: Sequence[Recorded], auto: Answer | None, shown: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The runs that are wanted by now, which `plan` has, as in every plan, and the study under `tuning`."""
    runs = ahead.replay.runs
    times = [
        Time.around(0.0, "budget", 1.0) if run.state == "done" else ahead.times.get((trial.part, trial.arm, trial.cell))
        for trial, run in runs.items()
    ]
    data = plan_as_data(plan, Estimate(tuple(times)), gone, auto, shown)
    for row, trial in zip(data["runs"], runs, strict=True):
        row |= {"part": trial.part, "study": trial.study, "arm": trial.arm}
    return {**data, "tuning": _study_data(ahead)}


def _study_data(ahead: Ahead) -> dict[str, Any]:
    replay = ahead.replay
    rules, spent = replay.record.study.rules, (ahead.spent(ahead.outlook.fewest), ahead.spent(ahead.outlook.most))
    return {
        "phase": replay.decision.phase,
        "seeds": [[*seeds] for seeds in rules.seeds],
        "final_seeds": [[*seeds] for seeds in rules.finals],
        "arms": [_arm_data(ahead, arm) for arm in replay.record.study.arms],
        "fewest_seconds": spent[0] and spent[0].seconds,
        "most_seconds": spent[1] and spent[1].seconds,
        "choices": [choice_data(replay.record, choice, replay.results) for choice in replay.decision.choices.values()],
    }


def _arm_data(ahead: Ahead, arm: Arm) -> dict[str, Any]:
    done = [trial for trial in ahead.replay.results if trial.arm == arm.name]
    return {
        "arm": arm.name,
        "baseline": arm.is_baseline,
        "cells": arm.cells,
        "over": {ladder.key: [*ladder.values] for ladder in arm.ladders},
        "windows": {ladder.key: [ladder.values[end] for end in ladder.window] for ladder in arm.ladders},
        "fewest": _by_part(ahead.outlook.fewest, arm),
        "most": _by_part(ahead.outlook.most, arm),
        "done": {part: sum(trial.part == part for trial in done) for part in _PARTS},
    }


def _by_part(which: Mapping[Where, int], arm: Arm) -> dict[str, int]:
    return {part: sum(number for where, number in which.items() if where[:2] == (part, arm.name)) for part in _PARTS}
