"""The verbs on a tuned sweep whose lanes never come: what they say, hold, bring back; disks and files that fail."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Result
from test_readonly import read_only

from simplify.dispatch import local
from simplify.dispatch.launch import Started
from simplify.runs.files import left_out
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Queue, read_job
from simplify.runs.studies import decisions_path, is_held, study_names, study_path, why_stuck
from simplify.sweep.record import record_path

Cli = Callable[..., Result]
TUNED = """
grid: {block: [pre_ln, sas], seed: [0]}
tune: {over: {optimiser.lr: [1.0e-3, 4.0e-3]}, seeds: [1000], edge: 0}
"""


class Asked:
    """A tuned sweep of which nothing is trained: its runs end as they are told to."""

    def __init__(self, cli: Cli, here: Path, *words: str) -> None:
        (here / "tuned.yaml").write_text(TUNED)
        self.cli, self.root, self.words = cli, here / "runs", ["tuned.yaml", *TINY, *words]
        out = cli("sweep", *self.words)
        assert out.code == 0 and "4 runs queued" in out.out, out.err
        (self.name,) = study_names(self.root)

    def waiting(self) -> list[RunFolder]:
        """The runs in the queue."""
        jobs = [read_job(path) for path in Queue(self.root).waiting().values()]
        return [RunFolder(self.root / job.name, job.run_id) for job in jobs if job]

    def end(self, folder: RunFolder, loss: float | None) -> None:
        """Let a run end with a loss, or with none that is a number."""
        job = read_job(Queue(self.root).waiting()[folder.run_id])
        assert job is not None
        folder.path.mkdir(exist_ok=True)
        folder.keep_config(job.config)
        if loss is None:
            folder.end("error", {"cause": "non_finite", "message": "step 3: loss is nan", "traceback": []})
        else:
            (folder.path / "done.json").write_text(json.dumps({"val/loss": loss, "step": 20}))
        Queue(self.root).drop([folder.run_id])

    def told(self) -> dict[str, Any]:
        """What `status --json` says of it."""
        return json.loads(self.cli("status", "--json", self.name).out)["tuned"][0]


@pytest.fixture
def asked(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setattr(local, "start_lanes", lambda *_: Started(0, 0))
    return Asked(cli, here)


def test_cancelled_it_is_held_and_comes_back_whole(asked: Asked) -> None:
    out = asked.cli("cancel", "tuned.yaml")
    assert "begins nothing more, until simplify retry" in out.out and "4 taken out of the queue" in out.out
    assert is_held(asked.root, asked.name) and not asked.waiting()
    assert asked.cli("advance", asked.name).code == 0 and not asked.waiting()
    assert asked.cli("retry").code == 0 and not asked.waiting()  # what was cancelled is not meant
    assert f"held, since it was cancelled: simplify retry {asked.name} goes on" in asked.cli("status", "tuned.yaml").out
    assert "held, since it was cancelled" in asked.cli("status").out
    watched = asked.cli("watch", "tuned.yaml")
    assert watched.code == 75 and "the tuned sweep waits, as is said above" in watched.err
    assert "4 runs queued" in asked.cli("retry", asked.name).out and len(asked.waiting()) == 4
    first = asked.waiting()[0]
    asked.cli("cancel", first.run_id)
    assert len(asked.waiting()) == 3 and [*asked.told()["waits_for"]] == ["new", "queued"]
    assert asked.cli("advance", asked.name).code == 0 and len(asked.waiting()) == 3
    assert "1 run queued" in asked.cli("sweep", *asked.words).out and len(asked.waiting()) == 4


def test_a_loss_that_is_no_number_is_an_answer(asked: Asked) -> None:
    first, *others = asked.waiting()
    asked.end(first, None)
    for number, run in enumerate(others):
        asked.end(run, 5.0 + number)
    assert "2 runs queued" in asked.cli("advance", asked.name).out
    told = asked.told()
    assert told["phase"] == "final" and told["choices"][0]["dropped"][0]["behind"] == "diverged"
    out = asked.cli("status", asked.name)
    assert "dropped: 0.001 (diverged)" in out.out and "trains them again" not in out.out
    assert "nothing to train again" in asked.cli("retry").out and len(asked.waiting()) == 2
    for run in asked.waiting():
        asked.end(run, 4.0)
    watched = asked.cli("watch", "tuned.yaml")
    assert watched.code == 0 and "done: 6 of the 6 runs asked for so far are done" in watched.out
    assert "1 run queued again" in asked.cli("retry", first.run_id).out  # by its name it is meant


def test_a_sweep_that_is_asked_without_tune_is_a_tuned_one_no_longer(asked: Asked, here: Path) -> None:
    asked.cli("cancel", "tuned.yaml")
    (here / "tuned.yaml").write_text("grid: {block: [pre_ln, sas], seed: [0]}\n")
    assert "2 runs queued" in asked.cli("sweep", *asked.words).out and not study_names(asked.root)
    for number, run in enumerate(asked.waiting()):
        asked.end(run, 4.0 + number)
    assert "tuned" not in json.loads(asked.cli("status", "--json", asked.name).out)
    (here / "tuned.yaml").write_text(TUNED)
    assert "4 runs queued" in asked.cli("sweep", *asked.words).out and not is_held(asked.root, asked.name)


def test_a_study_that_does_not_fit_itself_is_said_and_lines_that_do_not_are_left_out(asked: Asked) -> None:
    decisions, path = decisions_path(asked.root, asked.name), study_path(asked.root, asked.name)
    line = json.loads(decisions.read_text().splitlines()[0])
    line["added"][0]["run_id"] = ["x"]
    decisions.write_text(json.dumps(line) + "\n")
    assert asked.cli("advance", asked.name).code == 0 and asked.told()["asked"] == 4 and len(asked.waiting()) == 4
    study = json.loads(path.read_text())
    path.write_text(json.dumps({**study, "cells": {"sas": study["cells"]["sas"]}}))
    out = asked.cli("advance", asked.name)
    assert out.code == 2 and "its file in .sweeps cannot be read" in out.err
    left_out()


@pytest.mark.parametrize("how", ["read only", "full"])
def test_a_disk_that_takes_nothing_loses_nothing(asked: Asked, how: str) -> None:
    for number, run in enumerate(asked.waiting()):
        asked.end(run, 5.0 + number)
    before, size = resource.getrlimit(resource.RLIMIT_FSIZE), decisions_path(asked.root, asked.name).stat().st_size
    if how == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
        try:
            out = asked.cli("advance", asked.name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    else:
        with read_only(asked.root):
            out = asked.cli("advance", asked.name)
            assert asked.cli("status", asked.name).code == 0
    assert out.code == 2 and out.err.count("\n") == 1 and "cannot be written" in out.err, out.err
    if how == "full":
        assert "File too large" in why_stuck(asked.root, asked.name)
        assert "are not begun yet (" in asked.cli("status", asked.name).out
    assert "2 runs queued" in asked.cli("advance", asked.name).out and not why_stuck(asked.root, asked.name)
    assert asked.told()["asked"] == 6


def test_damaged_files_are_said_and_mended_by_the_same_command(asked: Asked) -> None:
    for number, run in enumerate(asked.waiting()):
        asked.end(run, 5.0 + number)
    root, name = asked.root, asked.name
    whole = asked.root.parent / "whole"
    shutil.copytree(asked.root, whole)
    for file in (study_path(root, name), decisions_path(root, name), record_path(root, name)):
        for text in ('{"a": 1}', None):
            file.unlink()
            file.mkdir() if text is None else file.write_text(text)
            for verb in (["status", name], ["advance", name], ["retry", name]):
                out = asked.cli(*verb)  # raises what is not meant
                assert out.code in (0, 2, 75), (file, text, verb, out.err)
                left_out()
            if text is not None:
                assert asked.cli("sweep", *asked.words).code == 0, (file, text)
                assert asked.told()["phase"] == "final" and asked.told()["asked"] == 6, (file, text)
            shutil.rmtree(asked.root)
            shutil.copytree(whole, asked.root)


def test_fail_fast_holds_it_but_for_a_loss_that_is_no_number(asked: Asked) -> None:
    from simplify.dispatch.cancel import cancel_the_rest

    first, second, *_ = asked.waiting()
    jobs = {job.run_id: job for path in Queue(asked.root).waiting().values() if (job := read_job(path))}
    fast = {run_id: type(job)(**{**job.__dict__, "fail_fast": True}) for run_id, job in jobs.items()}
    asked.end(first, None)
    cancel_the_rest(Queue(asked.root), fast[first.run_id], first)
    assert len(asked.waiting()) == 3 and not is_held(asked.root, asked.name)
    second.path.mkdir()
    second.end("error", {"cause": "killed", "message": "by SIGKILL", "traceback": []})
    cancel_the_rest(Queue(asked.root), fast[second.run_id], second)
    assert not asked.waiting() and is_held(asked.root, asked.name)
