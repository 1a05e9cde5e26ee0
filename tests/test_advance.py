"""How a tuned sweep goes on: whatever dies at whatever step, the same runs, the same choices, none begun twice."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY

import simplify.sweep.advance as steps
from simplify.cli.study import block_lines, headline, waiting_lines, waits_for
from simplify.compose import axes
from simplify.config import validate
from simplify.dispatch.asked import Asked, job_of
from simplify.runs.folder import RunFolder, now
from simplify.runs.queue import Queue, read_job
from simplify.runs.studies import added_runs, decisions_path, due, hold, release
from simplify.sweep.advance import Runs, Standing, advance, keep
from simplify.sweep.file import Size
from simplify.sweep.freeze import Facts, freeze
from simplify.sweep.plan import make_plan
from simplify.sweep.points import points_of
from simplify.sweep.record import Record, read_record, record_path, write_record
from simplify.sweep.study import StudyRecord
from simplify.sweep.tuned import Tune

NAME = "a-sweep"
RATES = [1e-3, 2e-3, 4e-3]


class Killed(BaseException):
    """kill -9 at this moment."""


class World:
    """A run root with a tuned sweep of two blocks in it, whose runs end as `loss` says, without being trained."""

    def __init__(self, root: Path, record: StudyRecord) -> None:
        self.root, self.record = root, record
        self.begun: Counter[str] = Counter()
        root.mkdir()
        write_record(root, Record(NAME, None, "paper", (), (), ("simplify", "sweep"), now(), None, "", None, ()))
        keep(root, record)

    def begin(self, record: StudyRecord, runs: Runs, corpora: Mapping[str, str]) -> None:
        """Into the queue, as lanes have it."""
        assert {folder.run_id for folder, _ in runs} == set(corpora)
        asked = Asked(record.command, record.name, corpora=corpora, cwd=record.cwd, cache=record.cache)
        self.begun.update(folder.run_id for folder, _ in runs)
        Queue(self.root).add([job_of(folder, config, self.root, asked) for folder, config in runs])

    def train(self) -> bool:
        """Let what waits come to its end; whether anything did."""
        waiting = Queue(self.root).waiting()
        for run_id, path in waiting.items():
            job = read_job(path)
            assert job is not None and job.cwd == self.record.cwd
            folder = RunFolder(self.root / job.name, run_id)
            folder.path.mkdir(exist_ok=True)
            self.end(folder, job.config)
            path.unlink()
        return bool(waiting)

    def end(self, folder: RunFolder, config: Mapping[str, Any]) -> None:
        """The end of a run: a parabola over its rate, a little noise that its id decides; the highest rate diverges."""
        rate, best = config["optimiser"]["lr"], {"pre_ln": 2e-3, "sas": 8e-3}[config["block"]["name"]]
        if rate > 3e-2:
            folder.end("error", {"cause": "non_finite", "message": "step 3: loss is nan", "traceback": []})
            return
        loss = 4 + 0.1 * (rate / best + best / rate - 2) + int(folder.run_id[:4], 16) / 65536 / 100
        (folder.path / "done.json").write_text(json.dumps({"val/loss": loss, "step": 20}))

    def go_on(self) -> Standing:
        """As `simplify advance` does."""
        return advance(self.root, NAME, self.begin)

    def to_the_end(self) -> Standing:
        """Until nothing is left to train."""
        at = self.go_on()
        while self.train():
            at = self.go_on()
        return at


@pytest.fixture
def record(here: Path) -> StudyRecord:
    """Two blocks, three rates that may grow by two, two tuning seeds, two final ones."""
    plan = make_plan(points_of(Size.model_validate({}), axes([*TINY, "block=pre_ln,sas", "seed=0,1"], None)))
    tune = validate(Tune, {"over": {"optimiser.lr": RATES}, "seeds": [1000, 1001]})
    facts = Facts(NAME, now(), ["simplify"], str(here), "/code", os.environ["SIMPLIFY_CACHE"], False)
    return freeze(plan, tune, [run.config.block.name == "pre_ln" for run in plan.runs], None, facts)[0]


def outcome(at: Standing) -> tuple[Any, ...]:
    """What a study came to."""
    ids = {trial: run.run_id for trial, run in at.trials.items()}
    return at.decision, dict(at.results), ids


class Deaths:
    """Dies once in each round before and after every step, and in the middle of a decision's line."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.dead, self.points = world, False, set[tuple[int, str]]()
        for name in ("append_decision", "write_record", "_note_begun"):
            monkeypatch.setattr(steps, name, self.mortal(name, getattr(steps, name)))
        monkeypatch.setattr(world, "begin", self.mortal("begin", world.begin))

    def mortal(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        """The step, which may be the last one."""

        def wrapped(*given: Any) -> Any:
            round_ = len(added_runs(self.world.root, NAME))
            for moment in ("before", "torn", "after"):
                if self.dead:  # nothing is done by the dead, in no `finally` either
                    raise Killed
                point = (round_, f"{name} {moment}")
                if point in self.points or (moment == "torn" and name != "append_decision"):
                    continue
                self.points.add(point)
                if moment == "torn":
                    with open(decisions_path(self.world.root, NAME), "ab") as file:
                        file.write(b'{"added": [{"trial": ["tune", 0')
                if moment == "after":
                    step(*given)
                self.dead = True
                raise Killed
            return step(*given)

        return wrapped


def test_killed_at_every_step_it_comes_to_the_same(
    here: Path, record: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = World(here / "alone", record)
    wanted = outcome(alone.to_the_end())
    assert wanted[0].phase == "done" and set(alone.begun.values()) == {1}
    assert {c.arm.name: c.chosen for c in wanted[0].choices.values()} == {"pre_ln": (3,), "sas": (5,)}
    stormy = World(here / "stormy", record)
    deaths, kills = Deaths(stormy, monkeypatch), 0
    while True:
        try:
            at = stormy.go_on()
        except Killed:
            deaths.dead, kills = False, kills + 1
            continue
        if not stormy.train():
            break
    assert kills > 30 and outcome(at) == wanted
    kept = read_record(record_path(stormy.root, NAME))
    assert kept is not None and {run.run_id for run in kept.runs} == set(wanted[2].values())
    assert stormy.begun == alone.begun and not Queue(stormy.root).waiting()


def test_two_at_once_begin_each_run_once(here: Path, record: StudyRecord) -> None:
    world = World(here / "runs", record)
    with ThreadPoolExecutor(4) as pool:
        while True:
            ends = [found.result() for found in [pool.submit(world.go_on) for _ in range(4)]]
            if not world.train():
                break
    assert all(outcome(end) == outcome(ends[0]) for end in ends) and ends[0].decision.phase == "done"
    assert set(world.begun.values()) == {1}


def test_only_the_last_run_of_a_block_asks_what_is_next(here: Path, record: StudyRecord) -> None:
    world = World(here / "runs", record)
    world.go_on()
    waiting = Queue(world.root).waiting()
    assert len(waiting) == 6
    asked: list[str] = []
    run_id = ""
    for run_id, path in waiting.items():
        job = read_job(path)
        assert job is not None
        folder = RunFolder(world.root / job.name, run_id)
        folder.path.mkdir()
        world.end(folder, job.config)
        asked += [job.config["block"]["name"] for _ in due(world.root, run_id)]
    assert asked == ["pre_ln", "sas"] and not [*due(world.root, "0" * 10)]
    hold(world.root, NAME)
    assert not [*due(world.root, run_id)]


def test_what_is_cancelled_waits_until_it_is_asked_for(here: Path, record: StudyRecord) -> None:
    world, queue = World(here / "runs", record), Queue(here / "runs")
    world.go_on()
    gone = [*queue.waiting()][:2]
    queue.drop(gone)  # as `cancel` does with what has not begun
    world.train()
    at = world.go_on()
    states = {state: len(trials) for state, trials in waits_for(at).items()}
    assert states == {"new": 2, "queued": 1}  # the other block goes on
    lines = "\n".join(waiting_lines(world.root, at, NAME))
    assert "taken out of the queue before it began" in lines and f"simplify retry {NAME}" in lines
    hold(world.root, NAME)
    world.train()
    assert world.go_on().held and not queue.waiting()
    assert "held, since it was cancelled" in "\n".join(waiting_lines(world.root, world.go_on(), NAME))
    release(world.root, NAME)
    assert len(queue.waiting()) == 0 and world.go_on().decision.phase == "tuning"
    assert not set(gone) & set(queue.waiting())
    advance(world.root, NAME, world.begin, ("new",))
    assert set(gone) <= set(queue.waiting())
    assert world.to_the_end().decision.phase == "done" and max(world.begun.values()) == 2


def test_what_failed_is_waited_for_and_said(here: Path, record: StudyRecord) -> None:
    world = World(here / "runs", record)
    world.go_on()
    run_id, path = next(iter(Queue(world.root).waiting().items()))
    job = read_job(path)
    assert job is not None
    folder = RunFolder(world.root / job.name, run_id)
    folder.path.mkdir()
    folder.end("error", {"cause": "killed", "message": "by SIGKILL", "traceback": []})
    path.unlink()
    at = world.go_on()
    while world.train():
        at = world.go_on()
    assert {state: [at.trials[t].run_id for t in trials] for state, trials in waits_for(at).items()} == {
        "failed": [run_id]
    }
    lines = "\n".join([headline(at), *block_lines(at), *waiting_lines(world.root, at, NAME)])
    assert f"waits for: {job.name} (failed)" in lines
    assert "sas: chosen 0.008 of 5 values of optimiser.lr" in lines and "2 of 2 final runs done" in lines
    assert re.search(r"dropped: 0\.001 \(0\.6\d* behind on 1 seed, limit 0\.03\)", lines), lines
    assert "pre_ln: tries 3 values of optimiser.lr, 3 left, on seed 1000" in lines
    assert set(world.begun.values()) == {1}
    (folder.path / "error.json").unlink()
    world.end(folder, job.config)
    assert world.to_the_end().decision.phase == "done"


def test_another_question_under_the_same_name_begins_anew_and_trains_nothing_twice(
    here: Path, record: StudyRecord
) -> None:
    world = World(here / "runs", record)
    world.to_the_end()
    trained = dict(world.begun)
    assert not keep(world.root, record) and world.go_on().decision.phase == "done"
    rules = replace(record.study.rules, gap=1.0)
    assert keep(world.root, record.model_copy(update={"study": replace(record.study, rules=rules)}))
    assert world.to_the_end().decision.phase == "done"
    assert len(world.begun) > len(trained) and set(world.begun.values()) == {1}
