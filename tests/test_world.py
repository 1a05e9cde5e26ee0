"""Several processes that train one run, runs that come no further, and two that think a run is theirs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, Result, rows, run_folder

from simplify.compose import compose_run
from simplify.dispatch.here import Terms, train_here
from simplify.errors import AlreadyRunning, ConfigError, TrainingFailed, UserError
from simplify.runs.folder import RunFolder
from simplify.runs.process import this_process
from simplify.training.world import World, world_of_environment

Cli = Callable[..., Result]
WORDS = [*TINY, "train.steps=12", "train.val_every=4"]


def torchrun(here: Path, processes: int, *words: str) -> subprocess.CompletedProcess[str]:
    """torch's own launcher, as a user would type it."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*launcher, "-m", "simplify", "train", *words], cwd=here, env=env, capture_output=True, text=True, timeout=120
    )


def test_two_processes_are_one_run(cli: Cli, here: Path) -> None:
    """Same id, same batches, the loss of one process within rounding; a second call says that it is done."""
    words = ["model.kind=encoder", "train.micro_batch=1"]
    done = torchrun(here, 2, *WORDS, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on 2 processes" in done.stdout and done.stdout.count("validation loss") == 1
    many = run_folder(here)
    again = torchrun(here, 2, *WORDS, *words)
    assert again.returncode == 0 and "already done" in again.stdout
    alone = cli("train", *WORDS, *words, "train.micro_batch=1", "run_root=alone")
    assert alone.code == 0
    one = here / "alone" / many.name
    assert [row["step"] for row in rows(many)] == list(range(1, 13))
    for a, b in zip(rows(many), rows(one), strict=True):
        for key in ("train/loss", "grad_norm", *(["val/loss"] if "val/loss" in b else [])):
            assert a[key] == pytest.approx(b[key], rel=3e-6), key


TWO = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29512"}


def test_processes_by_torchs_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert world_of_environment() == World()
    for name, value in (TWO | {"RANK": "2", "WORLD_SIZE": "4"}).items():
        monkeypatch.setenv(name, value)
    world = world_of_environment()
    assert (world.rank, world.size, world.local_rank, world.leads) == (2, 4, 0, False)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert world_of_environment() == World()
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("LOCAL_RANK")
    assert world_of_environment() == World()  # which every launcher of ours sets


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"MASTER_ADDR": ""},
            "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0: several processes that",
        ),
        (
            {"MASTER_PORT": ""},
            "need MASTER_PORT too, which is not set; start them with torchrun; to train alone: ",
        ),
        ({"MASTER_PORT": "no"}, "MASTER_PORT=no: needs a number from 1 to 65535"),
        ({"RANK": "2"}, "RANK=2: needs a number below WORLD_SIZE=2"),
        ({"RANK": "first"}, "RANK=first: needs a whole number"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE=-2: needs a whole number"),
    ],
)
def test_variables_that_cannot_be_true(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], message: str
) -> None:
    for name, value in (TWO | change).items():
        monkeypatch.setenv(name, value)
    done = cli("train", *WORDS)
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1
    assert not (here / "runs").exists()


def test_waiting_for_the_others_is_said_and_ended_by_a_signal(spawn: Callable[..., subprocess.Popen[str]]) -> None:
    process = spawn("train", *WORDS, env=TWO)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(
        "waiting for 1 other process, as RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_"
    )
    time.sleep(3)  # torch is loaded meanwhile, and waits
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 75 and time.monotonic() - start < 15  # at once, on a machine that has nothing else to do
    assert "stopped by SIGINT before the first step" in process.stderr.read()


def test_those_that_do_not_come_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (TWO | {"RANK": "1", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("simplify.training.world._COMING", 0.3)
    with pytest.raises(UserError, match=r"RANK=1 .* MASTER_PORT=1: 1 other process did not come within 0 minutes"):
        world_of_environment().join()


def test_a_batch_is_shared_or_refused() -> None:
    config = compose_run([*TINY, "train.micro_batch=2"])  # 8 sequences
    assert World().micro_batch(config) == 2 and World(1, 4).micro_batch(config) == 2
    assert World(0, 8).micro_batch(config) == 1 and World(0, 2).micro_batch(compose_run(TINY)) == 4
    for size in (3, 16):
        with pytest.raises(ConfigError, match=f"8 sequences cannot be shared by {size} processes"):
            World(0, size).micro_batch(config)
    words = ["cluster=slurm", "cluster.nodes=2", "cluster.gpus_per_node=4"]
    paper = compose_run(["model=gpt_small", "data=codeparrot", *words])  # 128 sequences, 32 at a time on one GPU
    assert World(5, paper.cluster.tasks).micro_batch(paper) == 16


def test_one_process_agrees_with_itself() -> None:
    world = World()
    world.join()
    assert world.agree(15, 2.5) == (15, 2.5) and world.sum(1.0, 2.0) == [1.0, 2.0] and world.share("x") == "x"
    world.leave()


def _attempts(folder: Path, *attempts: dict[str, Any]) -> None:
    (folder / "job.json").write_text(json.dumps({"attempts": list(attempts)}))


def test_a_run_that_comes_no_further_is_given_up(here: Path) -> None:
    """Attempts of one array that began at the same step; those of another array, or from another step, do not count."""
    config = compose_run([*TINY, "train.steps=4"])
    terms = Terms(["test"], origin={"array": "a", "slurm": "5"}, max_stalled=2)
    train_here(config, terms)
    folder = run_folder(here)
    (folder / "done.json").unlink()
    for path in (folder / "checkpoint").iterdir():
        path.unlink()
    dead = {
        "host": "elsewhere",
        "pid": 1,
        "born": "x",
        "from_step": 0,
        "started": "2026-01-01T00:00:00Z",
        "ended": None,
    }
    _attempts(folder, {**dead, "array": "a"}, {**dead, "array": "a"})
    with pytest.raises(TrainingFailed, match=r"2 attempts in a row began at step 0 and came no further"):
        train_here(config, terms)
    assert json.loads((folder / "error.json").read_text())["cause"] == "stalled"
    _attempts(folder, {**dead, "array": "a"}, {**dead, "array": "b"}, {**dead, "array": "a", "from_step": 2})
    assert train_here(config, terms).result["step"] == 4


def test_who_has_been_superseded_writes_no_more(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "0123456789")
    folder.check_owner()  # nothing is known of anybody
    folder.begin_attempt(0, {})
    folder.check_owner()
    other = {**this_process(), "born": "later", "started": "2026-01-01T00:00:00Z", "from_step": 0}
    _attempts(tmp_path, other)
    with pytest.raises(AlreadyRunning, match="was taken over by process"):
        folder.check_owner()
    folder.end_attempt("stopped")
    assert json.loads((tmp_path / "job.json").read_text())["attempts"] == [other]  # not ours to end


@pytest.mark.parametrize("alive", [False, True])
def test_a_predecessor_on_another_host(here: Path, monkeypatch: pytest.MonkeyPatch, alive: bool) -> None:
    """Where locks do not reach it, a heartbeat tells: it goes on beating, or it is silent and we go on."""
    config = compose_run([*TINY, "train.steps=4"])
    train_here(config, Terms(["test"]))
    folder = run_folder(here)
    (folder / "done.json").unlink()
    gone = {"host": "elsewhere", "pid": 1, "born": "x", "from_step": 0, "started": "2026-01-01T00:00:00Z"}
    _attempts(folder, gone)
    os.utime(folder / "heartbeat")
    monkeypatch.setattr("simplify.dispatch.here._SILENCE", 4.0)
    if alive:
        beat = threading.Thread(target=lambda: (time.sleep(2.5), os.utime(folder / "heartbeat")), daemon=True)
        beat.start()
        with pytest.raises(AlreadyRunning, match="is being trained on elsewhere"):
            train_here(config, Terms(["test"]))
        assert json.loads((folder / "job.json").read_text())["attempts"] == [gone]
    else:
        assert train_here(config, Terms(["test"])).result["step"] == 4
