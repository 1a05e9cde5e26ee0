"""Uploads with the real W&B client against a local server: complete, in order, once, whatever happened before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, Result, rows, run_folder
from test_readonly import read_only
from wandb_stub import KEY, StoredRun, WandbStub

from simplify.runs.history import history
from simplify.runs.process import this_process

Spawn = Callable[..., "subprocess.Popen[str]"]
# Rows leave the client each second, the least it takes: by default it gathers them for fifteen.
OFTEN = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
STEPS = 400  # some two seconds
LONG = [*TINY, f"train.steps={STEPS}", "train.checkpoint_every=100", "train.val_every=100"]


SHORT = ["block=sas", *TINY, "train.checkpoint_every=10"]


@pytest.fixture
def stub() -> Iterator[WandbStub]:
    """A server of this test's own."""
    with WandbStub() as server:
        yield server


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """A run root with a finished run that was recorded offline."""
    root = tmp_path_factory.mktemp("trained") / "runs"
    words = ["train", *SHORT, "wandb.mode=offline", "wandb.tags=[mine]", f"run_root={root}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SIMPLIFY_CACHE": str(cache_dir), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "simplify", *words], env=env, check=True, capture_output=True, timeout=120)
    return root


@pytest.fixture
def done(trained: Path, here: Path) -> Path:
    """The folder of that run, copied into runs/ here."""
    shutil.copytree(trained, here / "runs", symlinks=True)
    return run_folder(here)


@pytest.fixture
def sync(cli: Callable[..., Result], stub: WandbStub, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`simplify sync` against the server; returns what it printed."""

    def run(*words: str) -> str:
        for name, value in stub.env.items():
            monkeypatch.setenv(name, value)
        result = cli("sync", *words)
        assert (result.code, result.err) == (0, ""), result.out
        return result.out

    return run


def edit(path: Path, **changes: Any) -> None:
    """Change a JSON file; None removes."""
    data = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def the_run(stub: WandbStub) -> StoredRun:
    """The only run that the server has."""
    (run,) = stub.runs.values()
    return run


def assert_whole(stored: StoredRun, folder: Path) -> None:
    """Every row of metrics.jsonl is there once, in order, with its numbers; before them the gains as they began."""
    logged = rows(folder)
    assert stored.steps == [0, *(row["step"] for row in logged)]
    assert "gains/alpha" in stored.history[0] and "gains/alpha" in stored.history[-1]
    for there, ours in zip(stored.history[1:], logged, strict=True):
        assert there["train/loss"] == ours["train/loss"] and there["step"] == ours["step"]


def wait_until(true: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)


def test_killed_online_then_offline_then_synced_twice(
    spawn: Spawn, sync: Callable[..., str], stub: WandbStub, here: Path
) -> None:
    process = spawn("train", "block=sas", *LONG, "wandb.mode=online", env={**stub.env, **OFTEN})
    wait_until(lambda: any(run.history for run in stub.runs.values()), process)
    process.kill()
    process.wait()
    folder = run_folder(here)
    assert not (folder / "done.json").exists()
    assert spawn("train", "block=sas", *LONG, "wandb.mode=offline").wait(timeout=120) == 0
    online = len(the_run(stub).history)
    assert 0 < online < STEPS
    told = sync()
    assert f"{folder.name}  uploaded {STEPS + 1 - online} rows" in told
    assert_whole(the_run(stub), folder)
    assert the_run(stub).state == "finished"
    posted = the_run(stub).posted
    assert f"{folder.name}  complete already" in (told := sync()) and "0 rows uploaded" in told
    assert the_run(stub).posted == posted and list(stub.runs) == [folder.name.rsplit("-", 1)[1]]


def test_offline_to_a_checkpoint_then_online_catches_up(spawn: Spawn, stub: WandbStub, done: Path) -> None:
    (done / "done.json").unlink()
    newest = max(path.stem for path in (done / "checkpoint").glob("*.json"))
    for path in (done / "checkpoint").glob(f"{newest}.*"):
        path.unlink()
    more = ["wandb.name=My run", "wandb.notes=why", "wandb.model=true", "wandb.gradients=true", "train.val_every=5"]
    agent = {"WANDB_SWEEP_ID": "abc", "WANDB_RUN_ID": "foo", "WANDB_RESUME": "must"}  # of another program
    process = spawn("train", *SHORT, "wandb.mode=online", *more, env={**stub.env, **agent})
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "continuing from step 10" in out and "wandb" not in out + err
    stored = the_run(stub)
    assert_whole(stored, done)
    assert stored.state == "finished" and stored.posted == 21 and stored.name == done.name[-10:]
    assert stored.summary["parameters"] > 0
    assert (stored.info["displayName"], stored.info["notes"]) == ("My run", "why")
    assert_gradients(stored, done)
    (model,) = stub.artifacts
    newest = done / "checkpoint" / "step-00000020.pt"
    assert (model["artifactCollectionName"], model["state"]) == (f"model-{done.name[-10:]}", "COMMITTED")
    assert stub.files["step-00000020.pt"] == newest.read_bytes() and "config.yaml" in stub.files


def assert_gradients(stored: StoredRun, folder: Path) -> None:
    """Histograms of all weights' gradients, in the run folder and on the server alike."""
    lines = [json.loads(line) for line in (folder / "gradients.jsonl").read_text().splitlines()]
    assert [line.pop("step") for line in lines] == [15, 20]
    for line, there in zip(lines, (stored.history[15], stored.history[20]), strict=True):
        for name, seen in line.items():
            assert there[f"gradients/{name}"]["values"] == seen["counts"] and sum(seen["counts"]) > 0
            assert there[f"gradients/{name}"]["bins"][-1] == pytest.approx(seen["high"])
        assert 0 < max(seen["high"] for seen in line.values()) <= there["grad_norm"]  # no entry is above the norm
    weights = json.loads((folder / "done.json").read_text())["parameters"]
    assert sum(sum(seen["counts"]) for seen in lines[0].values()) == weights


def test_an_offline_run_with_all_that_belongs_to_it(sync: Callable[..., str], stub: WandbStub, done: Path) -> None:
    sweep = {"name": "mine-123456", "file": None, "scale": "", "words": [], "question": [], "command": [], "git": None}
    run = {"run_id": done.name[-10:], "folder": done.name, "point": {}}
    (done.parent / ".sweeps").mkdir()
    text = json.dumps({**sweep, "updated": "", "code": "", "snapshot": None, "runs": [run]})
    (done.parent / ".sweeps" / "mine-123456.json").write_text(text)
    gains = [{"step": step, "attn_skip": {"mean": [0.1, 0.3, None], "sd": [0, 0, None]}} for step in (0, 10, 20)]
    (done / "gains.jsonl").write_text("".join(json.dumps(line) + "\n" for line in gains) + '{"step": 3')
    assert "uploaded 21 rows" in sync()
    stored = the_run(stub)
    assert stored.steps == list(range(21))
    assert [row["_step"] for row in stored.history if "gains/attn_skip" in row] == [0, 10, 20]
    seen = stored.history[10]["gains/attn_skip"]
    assert seen["_type"] == "histogram" and sum(seen["values"]) == 2 and seen["bins"][0] == pytest.approx(0.1)
    result = json.loads((done / "done.json").read_text())
    assert {key: stored.summary[key] for key in result if key != "ended"} == {
        key: value for key, value in result.items() if key != "ended"
    }
    info = stored.info
    assert (info["groupName"], info["jobType"], info["tags"]) == ("mine-123456", "train", ["sas", "mine"])
    assert info["displayName"] == done.name and stored.project == "simplify"
    about = json.loads((done / "run.json").read_text())
    assert stored.plain_config["block"] == about["config"]["block"]
    assert stored.plain_config["created"] == about["created"]
    words = stored.plain_config["words"]["block"]
    assert words["projection"] == "identity" and all(isinstance(word, str) for word in words.values())


def test_a_sync_that_was_killed_goes_on(spawn: Spawn, sync: Callable[..., str], stub: WandbStub, done: Path) -> None:
    stub.accept = 7
    process = spawn("sync", env=stub.env)
    wait_until(lambda: stub.runs and len(the_run(stub).history) == 7, process)
    process.kill()
    process.wait()
    stub.accept = None
    assert "uploaded 14 rows" in sync()
    assert_whole(the_run(stub), done)
    assert the_run(stub).state == "finished"


def test_a_run_that_is_being_trained(sync: Callable[..., str], stub: WandbStub, done: Path) -> None:
    result = (done / "done.json").read_bytes()
    (done / "done.json").unlink()
    (attempt,) = json.loads((done / "job.json").read_text())["attempts"]
    del attempt["ended"], attempt["how"]
    edit(done / "job.json", attempts=[{**attempt, **this_process()}])
    assert "uploaded 20 rows" in sync() and "nothing new" in sync()
    assert the_run(stub).state == "running"
    link = done / "wandb" / "latest-run"
    link.unlink()
    link.symlink_to("run-20240101_000000-x")
    assert "is being trained and uploads itself" in sync()
    (done / "done.json").write_bytes(result)
    assert "uploaded 1 row" in sync()
    assert_whole(the_run(stub), done)


def test_trained_again_from_the_start_is_another_run(sync: Callable[..., str], stub: WandbStub, done: Path) -> None:
    first = history(done)
    sync()
    edit(done / "run.json", created="2031-02-03T04:05:06Z")
    assert "uploaded 21 rows" in sync() and "complete already" in sync()
    run_id = done.name[-10:]
    assert list(stub.runs) == [run_id, f"{run_id}-20310203T040506Z"]
    assert all(run.steps == [row["step"] for row in first] for run in stub.runs.values())


def test_how_it_ended_and_what_is_left_out(sync: Callable[..., str], stub: WandbStub, done: Path) -> None:
    (done / "done.json").rename(done / "error.json")
    edit(done / "error.json", message="step 7: loss is nan")
    config = json.loads((done / "run.json").read_text())["config"]
    edit(done / "run.json", config={**config, "wandb": {**config["wandb"], "mode": "disabled", "alerts": True}})
    assert "trained with wandb.mode=disabled; --disabled-too uploads it" in sync() and not stub.runs
    assert "uploaded 21 rows" in sync("--disabled-too", "--project", "other", "--entity", "team")
    assert (the_run(stub).state, the_run(stub).project, the_run(stub).entity) == ("failed", "other", "team")
    (alert,) = stub.alerts
    assert alert == {"runName": done.name[-10:], "title": f"failed: {done.name}", "text": "step 7: loss is nan"} | {
        "severity": "ERROR"
    }


def test_a_run_root_that_cannot_be_written(sync: Callable[..., str], stub: WandbStub, done: Path) -> None:
    with read_only(done.parent):
        out = sync()
    assert "Permission denied; so run only one sync of" in out and "uploaded 21 rows" in out
    assert_whole(the_run(stub), done)


def test_a_stopped_run_goes_on_there_too(sync: Callable[..., str], stub: WandbStub, done: Path) -> None:
    (done / "done.json").unlink()
    (attempt,) = json.loads((done / "job.json").read_text())["attempts"]
    edit(done / "job.json", attempts=[{**attempt, "how": "stopped"}])
    assert "uploaded 21 rows" in sync() and "complete already" in sync()
    assert the_run(stub).state == "preempted"


def test_a_server_that_shows_rows_late_gets_none_twice(sync: Callable[..., str], stub: WandbStub, done: Path) -> None:
    stub.behind = 5
    assert "uploaded 21 rows; the server shows rows to step 15 of 20 so far" in sync()
    assert "complete already; the server shows rows to step 15 of 20 so far" in sync()
    assert the_run(stub).posted == 21
    stub.behind = 0
    assert "so far" not in sync()
    assert_whole(the_run(stub), done)


@pytest.mark.parametrize("case", ["no key", "wrong key", "no server"])
def test_what_stops_it_is_said_once(spawn: Spawn, stub: WandbStub, done: Path, here: Path, case: str) -> None:
    other = done.with_name("other-gpt_nano-0123456789")
    shutil.copytree(done, other, symlinks=True)
    edit(other / "run.json", id="0123456789")
    stub.refuse = True
    env = {
        "no key": {"WANDB_BASE_URL": stub.url, "HOME": str(here), "NETRC": str(here / "none")},
        "wrong key": stub.env,
        "no server": {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY},
    }[case]
    before = time.monotonic()
    process = spawn("sync", env=env)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "") and time.monotonic() - before < 20
    (line,) = err.splitlines()
    word = {"no key": "there is no key; set WANDB_API_KEY", "wrong key": "refused us", "no server": "cannot be reached"}
    assert word[case] in line and line.endswith("nothing is lost, the run folders have everything")
