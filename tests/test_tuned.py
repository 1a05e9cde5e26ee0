"""Tuned sweeps: what is asked, who chooses between which values, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY

from simplify.compose import axes, compose_points
from simplify.config import validate
from simplify.sweep.decisions import append_decision, decision_line
from simplify.sweep.file import Size
from simplify.sweep.freeze import Facts, freeze
from simplify.sweep.plan import make_plan
from simplify.sweep.points import points_of
from simplify.sweep.record import Recorded
from simplify.sweep.study import (
    StudyRecord,
    decisions_path,
    read_study,
    read_trials,
    trial_config,
    trial_point,
    write_study,
)
from simplify.sweep.tuned import Tune
from simplify.tune.decide import decide

Cli = Callable[..., Any]
FACTS = Facts("a-sweep", "now", ["simplify"], "/", "/code", "/cache", False)


def frozen(*words: str, **tune: Any) -> StudyRecord:
    """The study of typed words, with Pre-LN as its baseline."""
    plan = make_plan(points_of(Size.model_validate({}), axes([*TINY, *words], None)))
    asked = validate(Tune, {"over": {"optimiser.lr": "start"}, **tune})
    return freeze(plan, asked, [run.config.block.name == "pre_ln" for run in plan.runs], None, FACTS)[0]


def test_a_study_is_read_as_it_was_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES", "as it was")
    words = ["wandb.notes=${oc.env:NOTES}-${optimiser.lr}", "wandb.group=${seed}"]
    record = frozen("block=pre_ln,sas", "seed=0,1", *words, at={"train.steps": 10})
    write_study(here, record)
    assert read_study(here, record.name) == record
    monkeypatch.setenv("NOTES", "edited")
    trial = decide(record.study, {}).wanted[0]
    config = trial_config(record, trial)
    assert (config.wandb.notes, config.wandb.group, config.total_steps) == ("as it was-0.0005", "1000", 10)
    monkeypatch.setenv("NOTES", "as it was")
    assert compose_points([trial_point(record, trial)] * 2)[0] == config  # so it has that run's identity
    final = trial_config(record, trial._replace(part="final", seed=0))
    assert (final.total_steps, final.optimiser.lr, final.seed) == (20, 0.0005, 0)


def test_a_torn_line_takes_no_other_with_it(here: Path) -> None:
    record = frozen("block=pre_ln,sas", "seed=0,1")
    decision = decide(record.study, {})
    runs = {trial: Recorded("0" * 10, "a-folder", trial_point(record, trial)) for trial in decision.wanted}
    first, second = dict([*runs.items()][:2]), dict([*runs.items()][2:])
    append_decision(here, record.name, decision_line(record, decision, {}, first))
    with open(decisions_path(here, record.name), "ab") as file:
        file.write(b'{"time": "now", "added": [{"tri')
    assert read_trials(here, record.name) == first
    append_decision(here, record.name, decision_line(record, decision, {}, second))
    assert read_trials(here, record.name) == runs
