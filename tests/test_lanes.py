"""Lanes: runs in the background that survive their shell, and crashes that lose nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TEXT, TINY, rows
from lanes_tools import Simplify, background, folders, job, kill_all, lanes, simplify, states, status, until

assert simplify  # a fixture
LONG = [*TINY, "train.steps=4000", "train.checkpoint_every=20", "train.log_every=5"]


def test_four_runs_on_two_lanes_one_of_which_fails(simplify: Simplify, here: Path) -> None:
    """All the others are done, the failed one says why, and only it is trained again."""
    (here / "sweep.yaml").write_text(
        "grid: {block: [pre_ln, sas], seed: [0, 1]}\nexcept: [{block: sas, seed: 1}]\n"
        "add: [{block: sas, seed: 1, optimiser.lr: 1e30}]\n"
    )
    tiny = [word for word in TINY if not word.startswith("optimiser.lr=")]  # a typed one would win over the file's
    words = ["sweep.yaml", *tiny, "train.steps=6", "cluster.lanes=2"]
    out = simplify("sweep", *words)
    assert "4 runs: +4 new" in out and "4 runs queued" in out and "2 lanes work in the background" in out
    out = simplify("watch", "sweep.yaml", code=1)
    assert "3 done, 1 failed" in out and "failed: non_finite: step " in out
    used = {job(folder)["attempts"][0]["lane"] for folder in folders(here)}
    assert len(folders(here)) == 4 and len(used) == 2
    until(lambda: not background(here))  # lanes end when there is nothing left
    out = simplify("sweep", *words)
    assert "4 runs: 3 done, 1 failed" in out and "nothing new to train; 1 failed: --retry trains them again" in out
    (failed,) = [run for run in status(simplify) if run["state"] == "failed"]
    out = simplify("why", failed["id"])
    assert "non_finite" in out and "attempt 1: " in out and f"simplify retry {failed['id']}" in out
    assert "simplify train --config" in out and "last metrics: " in out
    assert "1 run queued again" in simplify("retry", "sweep.yaml")
    simplify("watch", "sweep.yaml", code=1)
    attempts = {folder.name: len(job(folder)["attempts"]) for folder in folders(here)}
    assert attempts == {folder.name: 2 if folder.name == failed["name"] else 1 for folder in folders(here)}


def test_the_lane_is_killed_and_its_run_goes_on(simplify: Simplify, here: Path) -> None:
    """kill -9 of a lane alone: the run is still told as running, the next lane waits for it, nothing runs twice."""
    simplify("sweep", *LONG, "seed=0,1", "train.steps=600")
    run = until(lambda: next((f for f in folders(here) if (f / "metrics.jsonl").exists()), None))
    (lane,) = lanes(here).values()
    os.kill(lane["pid"], signal.SIGKILL)
    assert states(simplify)[run.name] == "running"
    assert "no lane works on them" in simplify("status") or states(simplify)[run.name] == "done"
    simplify("retry")
    simplify("watch")
    assert set(states(simplify).values()) == {"done"}
    for folder in folders(here):
        assert len(job(folder)["attempts"]) == 1
        assert [row["step"] for row in rows(folder)] == list(range(5, 601, 5))


def test_lane_and_run_are_killed(simplify: Simplify, here: Path) -> None:
    """kill -9 of both: never told as running; `retry` resumes from the checkpoint and trains the rest too."""
    simplify("sweep", *LONG, "seed=0,1", "train.steps=600")
    run = until(lambda: next((f for f in folders(here) if list(f.glob("checkpoint/*.json"))), None))
    kill_all(here)
    told = states(simplify)
    assert "running" not in told.values() and told[run.name] == "queued"
    assert "no lane works on them" in simplify("status")
    assert "1 lane works in the background" in simplify("retry")
    simplify("watch")
    attempts = job(run)["attempts"]
    assert len(attempts) == 2 and attempts[1]["from_step"] > 0 and attempts[0]["ended"] is None
    assert [row["step"] for row in rows(run)] == list(range(5, 601, 5))


def test_a_killed_run_does_not_stop_its_lane(simplify: Simplify, here: Path) -> None:
    simplify("sweep", *LONG, "seed=0,1", "train.steps=600")
    run = until(lambda: next((f for f in folders(here) if list(f.glob("checkpoint/*.json"))), None))
    os.kill(job(run)["attempts"][0]["pid"], signal.SIGKILL)
    out = simplify("watch", code=1)
    assert "failed: killed: its process was ended by SIGKILL; the system does this when memory runs out" in out
    assert sorted(states(simplify).values()) == ["done", "failed"]
    simplify("retry", run.name)
    simplify("watch")
    assert job(run)["attempts"][1]["from_step"] > 0


def test_a_lost_run_in_the_foreground_is_lost_and_resumed(simplify: Simplify, here: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "simplify", "train", *LONG],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    until(lambda: folders(here) and list(folders(here)[0].glob("checkpoint/*.json")))
    assert list(states(simplify).values()) == ["running"]
    process.kill()
    assert list(states(simplify).values()) == ["lost"]  # a zombie is dead
    process.wait()
    assert list(states(simplify).values()) == ["lost"]
    assert "its process is gone without a word" in simplify("why", folders(here)[0].name)
    simplify("retry", "state=lost")
    until(lambda: len(job(folders(here)[0])["attempts"]) == 2)
    out = simplify("cancel", folders(here)[0].name)
    assert "1 asked to stop" in out
    until(lambda: states(simplify) == {folders(here)[0].name: "cancelled"})
    assert job(folders(here)[0])["attempts"][1]["how"] == "stopped"


def test_it_outlives_the_shell_that_started_it(here: Path, simplify: Simplify) -> None:
    """The terminal is closed: SIGHUP to the whole session, then its shell is gone."""
    pexpect = pytest.importorskip("pexpect")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [*LONG, "train.steps=400", "seed=0,1"]
    shell = pexpect.spawn("/bin/bash", ["--norc"], cwd=str(here), env=env, encoding="utf-8", timeout=60)
    quoted = " ".join(f"'{word}'" for word in [sys.executable, "-m", "simplify", "sweep", *words])
    shell.sendline(quoted.replace("'", "'"))
    shell.expect("lane works in the background")
    shell.sendline("kill -HUP -$$")
    shell.close(force=True)
    simplify("watch")
    assert set(states(simplify).values()) == {"done"}


@pytest.mark.usefixtures("simplify")
def test_two_sweeps_at_once_train_each_run_once(here: Path) -> None:
    """Proven from the metrics: each step once, one attempt each."""
    words = [*TINY, "train.steps=40", "seed=0,1,2", "cluster.lanes=2"]
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "simplify", "sweep", *words, *more, "--watch"],
            cwd=here,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for more in ([], ["train.log_every=1"])  # two sweeps by name, the same runs
    ]
    for process in both:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
    assert len(folders(here)) == 3
    for folder in folders(here):
        assert [row["step"] for row in rows(folder)] == list(range(1, 41))
        assert len(job(folder)["attempts"]) == 1
    assert len(list((here / "runs" / ".sweeps").iterdir())) == 2


def test_cancel_takes_what_waits_and_stops_what_runs(simplify: Simplify, here: Path) -> None:
    simplify("sweep", *LONG, "seed=0,1,2")
    until(lambda: any((f / "metrics.jsonl").exists() for f in folders(here)))
    out = simplify("cancel", "seed=0,1,2")
    assert "2 taken out of the queue" in out and "1 asked to stop, to save after the step at hand" in out
    until(lambda: not background(here))
    assert list(states(simplify).values()) == ["cancelled"]
    (folder,) = folders(here)
    assert list(folder.glob("checkpoint/*.json"))
    out = simplify("sweep", *LONG, "seed=0,1,2", "--plan")
    assert "3 runs: 1 cancelled, +2 new" in out


def test_fail_fast_cancels_the_rest(simplify: Simplify, here: Path) -> None:
    words = [*TINY, "train.steps=6", "optimiser.lr=1e30,1e-3,2e-3", "--fail-fast", "--watch"]
    out = simplify("sweep", *words, code=1)
    assert (
        "failed: non_finite" in out
        and "1 of 3 runs failed or are lost" in out
        and "not begun, and in no queue: " in out
    )
    assert len(folders(here)) == 1
    (unbegun,) = re.findall(r"not begun, and in no queue: (\S+), (\S+)", out)
    assert unbegun[0] in simplify("status", unbegun[0].rpartition("-")[2][:6])  # found by its id all the same


def test_a_lane_that_is_told_to_stop_leaves_the_rest_for_the_next(simplify: Simplify, here: Path) -> None:
    simplify("sweep", *LONG, "seed=0,1")
    run = until(lambda: next((f for f in folders(here) if (f / "metrics.jsonl").exists()), None))
    (lane,) = lanes(here).values()
    os.kill(lane["pid"], signal.SIGTERM)
    until(lambda: not background(here))
    assert job(run)["attempts"][0]["how"] == "stopped"
    assert sorted(states(simplify).values()) == ["queued", "queued"]


def test_what_cannot_start_fails_alone(simplify: Simplify, here: Path) -> None:
    """What the machine refuses is that run's error, and not the lane's end. Paths are those of the sweep's folder."""
    texts = here / "texts"
    texts.mkdir()
    for file in TEXT.glob("*.py"):
        shutil.copy(file, texts)
    own = [*TINY, "data.path=texts", "train.steps=3"]
    out = simplify("sweep", *own, "train.device=cpu", "train.precision=fp16,fp32", "--watch", code=1)
    assert "failed: refused: train.precision=fp16: has no use on a CPU" in out
    told = {run["train.precision"]: run["state"] for run in status(simplify)}
    assert told == {"fp16": "failed", "fp32": "done"}
    assert "1 run queued again" in simplify("retry", "train.precision=fp16")


def test_edit_and_reconcile(simplify: Simplify, here: Path) -> None:
    """The same command after an edit shows the difference, and does just that."""
    file = here / "sweep.yaml"
    file.write_text("grid: {seed: [0, 1]}\n")
    words = ["sweep.yaml", *TINY, "train.steps=3"]
    simplify("sweep", *words, "--watch")
    file.write_text("grid: {seed: [1, 2]}\n")
    assert "2 runs: 1 done, +1 new, 1 dropped" in simplify("sweep", *words, "--plan")
    simplify("sweep", *words, "--watch")
    assert "2 runs: 2 done" in simplify("sweep", *words)
    assert len(folders(here)) == 3 and all(len(job(f)["attempts"]) == 1 for f in folders(here))
    file.write_text("grid: {seed: [3, 4]}\nset: {train.steps: 4000}\n")
    long = ["sweep.yaml", *LONG]
    simplify("sweep", *long)
    file.write_text("grid: {seed: [4]}\n")
    out = simplify("sweep", *long)  # nobody can answer: what is dropped goes on, and is not forgotten
    assert "1 dropped runs go on" in out and len(status(simplify, "sweep.yaml", "train.steps=4000")) == 2
    out = simplify("sweep", *long, "--yes")
    assert "1 dropped" in out and ("taken out of the queue" in out or "asked to stop" in out)
    simplify("cancel", "sweep.yaml")


def test_a_snapshot_is_what_is_trained(simplify: Simplify, here: Path) -> None:
    simplify("sweep", *TINY, "train.steps=3", "--snapshot", "--watch")
    (folder,) = folders(here)
    (code,) = (here / "runs" / ".code").iterdir()
    assert json.loads((folder / "run.json").read_text())["code"] == code.name.split("-")[0]
    assert str(code) in (folder / "log.txt").read_text() or (code / "simplify").is_dir()


@pytest.mark.parametrize("name", ["a b 100%j", "it's=1,2 [x] ü $HOME `id`"])
def test_hostile_names_of_run_roots(simplify: Simplify, here: Path, name: str) -> None:
    env = {"SIMPLIFY_RUNS": str(here / name)}
    simplify("sweep", *TINY, "train.steps=2", "--watch", env=env)
    told = json.loads(simplify("status", "--json", env=env))["runs"]
    assert [run["state"] for run in told] == ["done"]


def test_watching_on_a_terminal(here: Path, simplify: Simplify) -> None:
    """Bars, losses and a plot; Ctrl-C ends the watching and nothing else."""
    pexpect = pytest.importorskip("pexpect")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    words = ["-m", "simplify", "sweep", *LONG, "train.steps=1000", "--watch"]
    screen = pexpect.spawn(
        sys.executable,
        words,
        cwd=str(here),
        env=env,
        encoding="utf-8",
        codec_errors="replace",
        timeout=60,
        dimensions=(40, 120),
    )
    screen.expect("lane works in the background")
    screen.expect("1 running")
    screen.expect("training loss against steps")
    screen.expect("[\u2801-\u28ff]")  # braille: a curve
    screen.sendintr()
    screen.expect("no longer watching; the runs go on")
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus == 130
    assert "1 done" in simplify("watch")


def test_a_full_disk_is_one_line_and_queues_nothing(simplify: Simplify, here: Path) -> None:
    (here / "runs").mkdir()
    (here / "runs" / ".queue").write_text("a file where the queue should be")
    out = simplify("sweep", *TINY, code=2)
    assert "/runs: cannot be written: File exists; nothing is lost" in out
