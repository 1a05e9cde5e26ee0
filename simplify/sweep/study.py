"""A tuned sweep as it was asked for: frozen beside the sweep's record, so that what is edited later does not reach it.

<run root>/.sweeps/<name>.study.json        the question: who chooses between which values on which seeds, and all runs
                                            but for the tuned settings and the seed
<run root>/.sweeps/<name>.decisions.jsonl   one line a decision: when, by whom, the runs it added, why (`decisions.py`)

What to do next is a pure function of the first file and of finished runs (`simplify.tune.decide`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, model_validator

from simplify.errors import RunFolderError
from simplify.runs.files import read_json, write_json
from simplify.runs.identity import run_id
from simplify.runs.shapes import Shape
from simplify.runs.studies import decisions_path, study_path
from simplify.sweep.ladders import typed
from simplify.sweep.record import Recorded
from simplify.sweep.shapes import RecordedRun
from simplify.sweep.tuned import Tune
from simplify.tune.study import DIVERGED, Arm, Results, Study, Trial

if TYPE_CHECKING:
    from simplify.config import RunConfig
    from simplify.runs.store import RunView


@dataclass(frozen=True)
class Draft:
    """A run but for its tuned settings and its seed."""

    point: dict[str, Any]  # the settings that the sweep gave it
    settings: dict[str, Any]  # composed, with references as they stand
    files: dict[str, str]  # the YAML file of each group, which errors name
    corpus: str | None  # its fingerprint; None: its corpus is not here yet


@dataclass(frozen=True)
class Cell:
    """What an arm is compared at. `tuning`: the draft of its tuning runs, where `tune.at` makes it another."""

    final: Draft
    tuning: Draft | None = None


class StudyRecord(Shape):
    """A tuned sweep, complete."""

    model_config = ConfigDict(strict=False, frozen=True, extra="ignore")

    name: str  # of the sweep's record
    tune: Tune
    study: Study
    cells: dict[str, list[Cell]]  # of each arm
    created: str
    command: list[str]
    cwd: str
    code: str  # the folder of the package to train with
    cache: str
    fail_fast: bool

    @model_validator(mode="after")
    def _is_whole(self) -> StudyRecord:
        rules, ladders = self.study.rules, [ladder for arm in self.study.arms for ladder in arm.ladders]
        if not all((*rules.seeds, *rules.finals)) or len(rules.seeds) != len(rules.finals):
            raise ValueError("study.rules: lacks seeds")
        if any(len(self.cells.get(arm.name, ())) != arm.cells for arm in self.study.arms):
            raise ValueError("cells: are not those of study.arms")
        if not all(0 <= one.window[0] <= one.window[1] < len(one.values) for one in ladders):
            raise ValueError("study.arms: a window is not among the values")
        return self

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.study.arms if arm.name == name)

    def draft(self, trial: Trial) -> Draft:
        """The run of a trial but for its tuned settings and its seed."""
        cell = self.cells[trial.arm][trial.cell]
        return cell.tuning if trial.part == "tune" and cell.tuning is not None else cell.final


def write_study(root: Path, record: StudyRecord) -> None:
    """Keep a study."""
    path = study_path(root, record.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record.model_dump(mode="json", by_alias=True))


def read_study(root: Path, name: str) -> StudyRecord | None:
    """A study; None where there is none, or none that can be read."""
    data = read_json(study_path(root, name), StudyRecord)
    return StudyRecord.model_validate(data) if data else None


def chosen_settings(arm: Arm, place: tuple[int, ...]) -> dict[str, float | int]:
    """The tuned settings at a place, by full key; {} at the untuned values."""
    return {ladder.key: typed(ladder.values[index]) for ladder, index in zip(arm.ladders, place, strict=False)}


def trial_point(record: StudyRecord, trial: Trial) -> dict[str, Any]:
    """The settings that the study gives to the run of a trial."""
    return {**record.draft(trial).point, **_changes(record, trial)}


def trial_config(record: StudyRecord, trial: Trial) -> RunConfig:
    """The run of a trial. Raises ConfigError where a later version of the code does not take it."""
    from simplify.compose import drafted_run  # Hydra, which nobody needs who only looks

    draft = record.draft(trial)
    return drafted_run(draft.settings, draft.files, _changes(record, trial))


def trial_run_id(record: StudyRecord, trial: Trial, config: RunConfig) -> str | None:
    """The identity of that run; None where its corpus is not here yet."""
    corpus = record.draft(trial).corpus
    return run_id(config, corpus) if corpus else None


def _changes(record: StudyRecord, trial: Trial) -> dict[str, Any]:
    return {**chosen_settings(record.arm(trial.arm), trial.place), "seed": trial.seed}


def read_trials(root: Path, name: str) -> dict[Trial, Recorded]:
    """The runs that were asked for so far, in order. Lines that are not whole are left out: a crash tears the last."""
    found: dict[Trial, Recorded] = {}
    for line in read_decisions(root, name):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            for one in line["added"]:
                run = RecordedRun.model_validate(one)
                found[trial_of(one["trial"])] = Recorded(run.run_id, run.folder, run.point)
    return found


def read_decisions(root: Path, name: str) -> list[dict[str, Any]]:
    """The decisions so far, in order, without lines that are not whole."""
    try:
        lines = decisions_path(root, name).read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RunFolderError(
            f"{decisions_path(root, name)}: cannot be read: {error.strerror or error}; repair it, or move it away: "
            "what was decided follows from the runs again, and none is trained twice"
        ) from None
    found: list[dict[str, Any]] = []
    for line in lines:
        with contextlib.suppress(ValueError):
            data = json.loads(line)
            found += [data] if isinstance(data, dict) else []
    return found


def trial_of(data: Any) -> Trial:
    """A trial as it stands in JSON: a list in the order of its fields."""
    part, study, arm, cell, place, seed = data
    return Trial(part, int(study), str(arm), int(cell), tuple(map(int, place)), int(seed))


def results_of(
    trials: Mapping[Trial, Recorded], views: Iterable[RunView]
) -> tuple[Results, dict[str, list[tuple[Trial, Recorded]]]]:
    """The losses of trials that have ended, and those that ended without one, by state: failed, lost, ...

    A run whose loss was no number any more is DIVERGED; it has ended with a result.
    """
    found = {view.run_id: view for view in views}
    results: dict[Trial, float] = {}
    dead: dict[str, list[tuple[Trial, Recorded]]] = {}
    for trial, run in trials.items():
        view = found.get(run.run_id)
        if view is None:
            continue
        loss = (view.facts.done or {}).get("val/loss") if view.state == "done" else None
        if loss is not None:
            results[trial] = float(loss)
        elif view.state == "failed" and (view.facts.error or {}).get("cause") == "non_finite":
            results[trial] = DIVERGED
        elif view.state in ("failed", "cancelled", "lost", "stopped", "done"):
            dead.setdefault("failed" if view.state == "done" else view.state, []).append((trial, run))
    return results, dead
