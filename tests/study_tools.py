"""Tuned sweeps whose runs are made by hand: frozen, decided and kept as real ones are."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import TINY
from report_tools import falling, write_run

from simplify.compose import axes
from simplify.config import validate
from simplify.runs.folder import RunFolder
from simplify.runs.identity import run_id
from simplify.sweep.decisions import append_decision, decision_line
from simplify.sweep.file import Size
from simplify.sweep.freeze import Facts, freeze
from simplify.sweep.plan import make_plan
from simplify.sweep.points import points_of
from simplify.sweep.record import Record, Recorded, write_record
from simplify.sweep.study import StudyRecord, chosen_settings, trial_config, trial_point, write_study
from simplify.sweep.tuned import Tune
from simplify.tune.decide import decide
from simplify.tune.study import DIVERGED, Results, Trial

Loss = Callable[[dict[str, Any], Trial], "float | None"]  # of the tuned settings and a trial; None: does not end
NAME = "a-sweep"
RATES = [2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3]


def parabola(optima: dict[str, float], depth: dict[str, float] | None = None, noise: float = 0.01) -> Loss:
    """A loss that rises with the square of the octaves from each block's best rate, and noise of seed and run."""

    def loss(settings: dict[str, Any], trial: Trial) -> float:
        rate = settings.get("optimiser.lr", 1e-3)
        own = random.Random(f"{rate} {trial.arm} {trial.cell} {trial.seed}").gauss(0, noise)
        away = math.log2(rate / optima[trial.arm])
        return 4.0 + (depth or {}).get(trial.arm, 0.0) + 0.02 * away**2 + random.Random(trial.seed).gauss(0, 0.03) + own

    return loss


def make_study(root: Path, words: list[str], loss: Loss, **tune: Any) -> StudyRecord:
    """The study of typed words, with Pre-LN as its baseline, as far as its runs end."""
    plan = make_plan(points_of(Size.model_validate({}), axes([*TINY, "seed=0,1,2", *words], None)))
    asked = validate(Tune, {"over": {"optimiser.lr": RATES}, "seeds": (1000, 1001, 1002), **tune})
    facts = Facts(NAME, "now", ["simplify"], "/", "/code", "/cache", False)
    bases = [run.config.block.name == "pre_ln" for run in plan.runs]
    record = freeze(plan, asked, bases, None, facts)[0]
    write_study(root, record)
    results: dict[Trial, float] = {}
    trials: dict[Trial, Recorded] = {}
    while fresh := [trial for trial in decide(record.study, results).wanted if trial not in trials]:
        added = {trial: _made(root, record, trial, loss, results) for trial in fresh}
        trials |= added
        append_decision(root, NAME, decision_line(record, decide(record.study, results), results, added))
    runs = {run.run_id: run for run in trials.values()}
    write_record(root, Record(NAME, None, "paper", (), (), (), "now", None, "", None, tuple(runs.values())))
    return record


def _made(root: Path, record: StudyRecord, trial: Trial, loss: Loss, results: Results) -> Recorded:
    """The run of a trial with its result, if it comes to one."""
    config = trial_config(record, trial)
    identifier = run_id(config, "corpus")
    folder = f"{config.block.name}-{config.model.name}-{identifier}"
    found = loss(chosen_settings(record.arm(trial.arm), trial.place), trial)
    if not (root / folder).exists():
        curve = falling(4.0 if found in (None, DIVERGED) else float(found or 0))
        write_run(root, config, curve, {None: "stopped", DIVERGED: "diverged"}.get(found, "done"))
    if found is not None:
        results[trial] = RunFolder(root / folder, identifier).done()["val/loss"] if found != DIVERGED else DIVERGED  # type: ignore[index]
    return Recorded(identifier, folder, trial_point(record, trial))
