"""How far a study is, and what it begins next: read, decide, write down, begin; each step mended by the next call.

    decided    a line in the decisions, on the disk before anything else knows of it
    recorded   in the sweep's record, which status, why, report and cancel go by
    begun      in the queue of the lanes, or with Slurm; then a line that says so

A run is begun once: one that has left the queue since was taken out by somebody, and waits until it is asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simplify.config import RunConfig
from simplify.errors import DataError, RunFolderError
from simplify.runs.folder import RunFolder, now
from simplify.runs.folders import RunFolders, read_folders
from simplify.runs.identity import folder_name
from simplify.runs.process import this_process
from simplify.runs.store import RunStore, RunView
from simplify.runs.studies import alone, decisions_path, is_held
from simplify.sweep.decisions import append_decision, decision_line
from simplify.sweep.record import Recorded, read_record, record_path, write_record
from simplify.sweep.study import (
    StudyRecord,
    read_decisions,
    read_study,
    read_trials,
    results_of,
    trial_config,
    trial_point,
    trial_run_id,
    write_study,
)
from simplify.tune.decide import Decision, decide
from simplify.tune.study import Results, Trial

Runs = Sequence[tuple[RunFolder, RunConfig]]
_UNBEGUN = ("new", "stopped", "cancelled", "lost")  # what a study takes over from others and begins
Begin = Callable[[StudyRecord, Runs, Mapping[str, str]], None]  # with the fingerprints of corpora, by run


@dataclass(frozen=True)
class Standing:
    """A study at one moment."""

    record: StudyRecord
    trials: Mapping[Trial, Recorded]  # asked for so far
    views: Mapping[str, RunView]  # their runs, by id; without those that are nowhere
    begun: frozenset[str]  # ids of those that were begun once
    results: Results
    decision: Decision
    held: bool

    @property
    def fresh(self) -> list[Trial]:
        """Wanted and not asked for yet."""
        return [trial for trial in self.decision.wanted if trial not in self.trials]

    def unbegun(self, again: Container[str] = ()) -> list[Trial]:
        """Asked for, without a result, and never begun; `again`: also those begun once that are in such a state now."""
        found: dict[str, Trial] = {}  # several may be one run
        for trial in self.decision.missing:
            run = self.trials.get(trial)
            states = again if run and run.run_id in self.begun else _UNBEGUN
            if run is not None and self.state(trial) in states:
                found.setdefault(run.run_id, trial)
        return [*found.values()]

    @property
    def may_go_on(self) -> bool:
        """Whether there is something to begin now."""
        return not self.held and bool(self.fresh or self.unbegun())

    def state(self, trial: Trial) -> str:
        """How the run of a trial stands."""
        run = self.trials.get(trial)
        view = self.views.get(run.run_id) if run else None
        return view.state if view else "new"


def standing(root: Path, name: str) -> Standing:
    """How a study stands. Raises UserError where it cannot be read."""
    record = read_study(root, name)
    if record is None:
        raise RunFolderError(
            f"{name}: is no tuned sweep of {root}, or its file in .sweeps cannot be read; the sweep's command, typed "
            "again, writes it anew, and no run is lost"
        )
    trials = read_trials(root, name)
    views = RunStore(root).runs(dict.fromkeys(run.run_id for run in trials.values()))
    results, _ = results_of(trials, views)
    begun = (line.get("begun") for line in read_decisions(root, name))
    ids = frozenset(str(one) for ones in begun if isinstance(ones, list) for one in ones)
    by_id = {view.run_id: view for view in views}
    return Standing(record, trials, by_id, ids, results, decide(record.study, results), is_held(root, name))


def advance(root: Path, name: str, begin: Begin, again: Container[str] = ()) -> Standing:
    """Let a study go on as far as it can now; `again`: runs in these states are begun once more.

    Raises what `begin` raises: what was decided stays so, and the next call goes on from there.
    """
    with alone(root, name):
        while True:
            at = standing(root, name)
            if at.held:
                return at
            placed = _placed(root, at, [*at.fresh, *at.unbegun(again)])
            fresh, at = bool(at.fresh), _write_down(root, at, placed)
            todo = [placed[trial] for trial in at.unbegun(again)]
            if todo:
                corpora = {folder.run_id: corpus for folder, _, corpus in todo}
                try:
                    begin(at.record, [(folder, config) for folder, config, _ in todo], corpora)
                except BaseException:
                    _note_begun(root, name)  # as far as it has come
                    raise
                _note_begun(root, name, corpora)
            elif not fresh:  # what was added may have ended long ago, in another sweep
                return at
            again = ()


def keep(root: Path, record: StudyRecord) -> bool:
    """Write a study down as it is asked now; whether that is another question than it was.

    The decisions of another question are set aside; its runs are found again by their identities.
    """
    with alone(root, record.name):
        old, path = read_study(root, record.name), decisions_path(root, record.name)
        is_other = path.exists() and (old is None or _question(old) != _question(record))
        if is_other:
            path.rename(path.with_name(f"{path.name}.{time.time_ns()}.old"))
        write_study(root, record)
    return is_other


def _question(record: StudyRecord) -> dict[str, Any]:
    return record.model_dump(mode="json", include={"tune", "study", "cells"})


_Placed = Mapping[Trial, tuple[RunFolder, RunConfig, str]]


def _placed(root: Path, at: Standing, trials: Sequence[Trial]) -> _Placed:
    """The run of each trial: its folder, its configuration, its corpus."""
    folders = read_folders(root)
    return {trial: _run_of(folders, at.record, trial) for trial in trials}


def _run_of(folders: RunFolders, record: StudyRecord, trial: Trial) -> tuple[RunFolder, RunConfig, str]:
    config = trial_config(record, trial)
    corpus, identifier = record.draft(trial).corpus, trial_run_id(record, trial, config)
    if corpus is None or identifier is None:
        raise DataError(
            f"data={config.data.name}: was not on this machine when the sweep was asked for; simplify data prepare "
            f"{config.data.name} gets it, then the sweep's command again"
        )
    return folders.find(identifier, folder_name(config, identifier)), config, corpus


def _write_down(root: Path, at: Standing, placed: _Placed) -> Standing:
    """Decisions first, on the disk, then the sweep's record; the standing with what was added."""
    added = {trial: _recorded(at, trial, placed[trial][0]) for trial in at.fresh}
    if added:
        append_decision(root, at.record.name, decision_line(at.record, at.decision, at.results, added))
    trials = {**at.trials, **added}
    views = RunStore(root).runs(dict.fromkeys(run.run_id for run in trials.values())) if added else at.views.values()
    path = record_path(root, at.record.name)
    kept, own = read_record(path), {run.run_id: run for run in trials.values()}
    if kept is not None:
        runs = (*own.values(), *(run for run in kept.runs if run.run_id not in own))  # dropped ones that go on
        if kept.runs != runs:
            write_record(root, replace(kept, runs=runs))
    return replace(at, trials=trials, views={view.run_id: view for view in views})


def _recorded(at: Standing, trial: Trial, folder: RunFolder) -> Recorded:
    return Recorded(folder.run_id, folder.path.name, trial_point(at.record, trial))


def _note_begun(root: Path, name: str, handed_over: Iterable[str] = ()) -> None:
    """Write down which runs have been begun: those handed over, and all that are no longer as if nobody had."""
    at = standing(root, name)
    seen = {run.run_id for trial, run in at.trials.items() if at.state(trial) != "new"}
    new = sorted(({*handed_over} | seen) - at.begun)
    if new:
        process = this_process()
        append_decision(root, name, {"time": now(), "host": process["host"], "pid": process["pid"], "begun": new})
