"""Whatever a crash or a hand leaves in a run root: it is left out and named, and no verb ends in a traceback."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_speed import kept

from simplify.dispatch import local
from simplify.dispatch.launch import Started
from simplify.runs.files import left_out, write_json
from simplify.runs.process import this_process
from simplify.runs.queue import Queue
from simplify.runs.store import RunStore

Cli = Callable[..., Result]
WORDS = [*TINY, "train.steps=2", "model.n_layers=1", "block=pre_ln,sas", "seed=0,1"]
VERBS = (["status"], ["why", "sas"], ["retry"], ["cancel", "state=queued"], ["status", "--json"], ["logs", "sas"])
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, -1, 0, 0.5, 10**30, float("nan"), "", "x", "\ud800", "a/../b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "pid"]), inner, max_size=2),
    max_leaves=4,
)
WHOLE = [b"", b"{torn", b"[]", b"3", b"null", b"\x00\xff\xfe", b"[" * 100_000, b'{"a": 1}']


@pytest.fixture
def runs(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run root of a tiny sweep with every kind of small file in it: one run done, one failed, two that wait."""
    monkeypatch.setattr(local, "start_lanes", lambda *_: Started(0, 0))  # what waits is to wait
    assert cli("sweep", *WORDS).code == 0
    root, queue = here / "runs", Queue(here / "runs")
    first, second, third, _ = queue.waiting().items()
    for run_id, path in (first, second):
        assert cli("job", str(path), "here-7").code == 0
        queue.drop([run_id])
    failed = next(root.glob(f"*-{second[0]}"))
    (failed / "done.json").rename(failed / "cancelled.json")
    write_json(failed / "error.json", {"cause": "exception", "message": "no luck", "traceback": ["a line"]})
    lane = {**this_process(), "lane": "here-7", "device": "cpu", "since": "now"}
    for folder, name in ((".lanes", "here-8"), (".claims", third[0])):
        (root / folder).mkdir(exist_ok=True)
        write_json(root / folder / f"{name}.json", {**lane, "born": "long ago"})
    array = root / ".slurm" / "1-abcdef"
    array.mkdir(parents=True)
    (array / "over").touch()
    told = {"name": "x.1-abcdef", "runs": [["0123456789", "sas-nano-0123456789"]], "created": "now", "parallel": None}
    write_json(array / "array.json", {**told, "submitter": this_process(), "sweep": None})
    kept(root, ["pre_ln", "sas"], "2026-01-01T00:00:00Z")
    return root


def small_files(root: Path) -> list[Path]:
    """Those with something in them that our code reads."""
    found = [path for path in root.rglob("*") if path.suffix in (".json", ".yaml") and path.parent.name != "checkpoint"]
    return sorted(path for path in found if path.is_file())


def damage(path: Path, dice: random.Random, junk: Any) -> None:
    """Something else in place of a file, or in place of something in it."""
    kind = dice.randrange(4)
    if kind == 0:
        path.write_bytes(dice.choice(WHOLE))
        return
    if kind == 1:
        path.unlink()
        path.mkdir()
        return
    data = json.loads(path.read_text()) if path.suffix == ".json" else {}
    place: Any = data
    while isinstance(place, (dict, list)) and place:
        key = dice.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not place[key] or not isinstance(place[key], (dict, list)) or dice.random() < 0.4:
            place[key] = junk
            break
        place = place[key]
    path.write_text(json.dumps(data if path.suffix == ".json" else junk))


def test_no_verb_ends_in_a_traceback(cli: Cli, runs: Path) -> None:
    """Every kind of file damaged by itself, and all at once; each verb answers."""
    whole = runs.with_name("whole")
    shutil.copytree(runs, whole)
    files = [path.relative_to(runs) for path in small_files(runs)]
    kinds = {path.name if path.suffix == ".yaml" or len(path.name) < 20 else str(path.parent) for path in files}
    assert len(kinds) >= 11, kinds  # else this test sees less than it is meant to

    def answers(*words: str) -> str:
        done = cli(*words)
        assert done.code in (0, 1, 2, 75) and "Traceback" not in done.err, (words, done.err)
        return done.err

    def restore() -> None:
        shutil.rmtree(runs)
        shutil.copytree(whole, runs)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(files), st.integers(0, 2**32), JUNK, st.sampled_from([VERBS[:3], VERBS[3:]]))
    def one(path: Path, seed: int, junk: Any, verbs: tuple[list[str], ...]) -> None:
        restore()
        damage(runs / path, random.Random(seed), junk)
        for verb in verbs:
            answers(*verb)

    @settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, 2**32), JUNK)
    def many(seed: int, junk: Any) -> None:
        restore()
        dice = random.Random(seed)
        for path in files:
            if dice.random() < 0.6:
                damage(runs / path, dice, junk)
        answers("report", "--out", "out")
        answers("sweep", *WORDS, "--plan")

    for verb in (*VERBS[:2], ["report", "--out", "out"], ["sweep", *WORDS, "--plan"]):
        assert "left out" not in answers(*verb)  # of what is whole
    one()
    many()


def test_what_is_left_out_is_named_once(cli: Cli, runs: Path) -> None:
    """By each verb that meets it; the others go on, and a sweep that asks again puts a whole one in its place."""
    queue = Queue(runs)
    (run_id, path), *_ = queue.waiting().items()
    path.write_text('{"run_id": null}')
    done = cli("status")
    assert done.err == f"left out: {path}: run_id: Input should be a valid string\n"
    assert "1 queued" in done.out and run_id not in queue.waiting()
    assert cli("sweep", *WORDS, "--retry").code == 0 and not path.exists() and run_id in queue.waiting()
    (folder,) = (run.folder.path for run in RunStore(runs).runs() if run.state == "done")
    (folder / "job.json").write_text('{"attempts": null}')
    done = cli("why", folder.name)
    assert done.code == 0 and f"left out: {folder}/job.json: attempts: Input should be a valid list\n" in done.err
    assert left_out() == []
