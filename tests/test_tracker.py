"""W&B with the real client: offline, unreachable, killed. metrics.jsonl never notices."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, rows, run_folder, untimed

from simplify.compose import compose_run
from simplify.errors import Interrupted
from simplify.runs.folder import RunFolder
from simplify.runs.tracker import Tracker
from simplify.training.signals import StopRequest

Spawn = Callable[..., "subprocess.Popen[str]"]
# Nothing listens on the discard port of this machine: an online run cannot reach its server.
UNREACHABLE = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40}


def logged(folder: Path) -> list[dict[str, str]]:
    """The history that the real client stored in an offline run, read back by its own tool."""
    (stored,) = folder.glob("wandb/offline-run-*/*.wandb")
    words = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(stored)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_offline_is_the_default_and_holds_every_row(spawn: Spawn, here: Path) -> None:
    words = ["block=sas", *TINY, "wandb.mode=offline", "wandb.tags=[mine]"]
    process = spawn("train", *words, env={"PYTHONPROFILEIMPORTTIME": "1"})
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert re.search(r"\| +wandb$", err, re.MULTILINE)
    assert not re.search(r"\| +pandas$", err, re.MULTILINE), "80 MiB that no run has a use for"
    folder = run_folder(here)
    text = json.dumps(logged(folder))
    assert text.count("train/loss") >= 20
    assert folder.name.rsplit("-", 1)[1] in text and "mine" in text
    assert "wandb" not in out


def test_online_without_a_server_falls_back_to_offline(spawn: Spawn, here: Path) -> None:
    process = spawn("train", "block=sas", *TINY, "wandb.mode=online", env=UNREACHABLE)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "wandb: online is not available" in out and "logging offline in the run folder" in out
    assert len(rows(run_folder(here))) == 20
    assert list(run_folder(here).glob("wandb/offline-run-*"))


def test_online_without_a_key_says_so_and_trains(spawn: Spawn, here: Path) -> None:
    env = {"WANDB_BASE_URL": "http://127.0.0.1:9", "HOME": str(here), "NETRC": str(here / "none")}
    process = spawn("train", "block=sas", *TINY, "wandb.mode=online", env=env)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "wandb: online is not available" in out
    assert (run_folder(here) / "done.json").exists()


def test_a_killed_tracker_changes_nothing(spawn: Spawn, here: Path) -> None:
    words = ["train", "block=sas", *TINY, "train.steps=300"]
    process = spawn(*words, "wandb.mode=offline")
    deadline = time.monotonic() + 60
    while not (children := _trackers(process.pid)) or not _started(here):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    for child in children:
        os.kill(child, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Traceback" not in out + err
    with_tracker = untimed(rows(run_folder(here)))
    plain = spawn(*words, "run_root=plain")
    assert plain.wait(timeout=120) == 0
    (other,) = (here / "plain").glob("*-*")
    assert untimed(rows(other)) == with_tracker and len(with_tracker) == 300


def _started(here: Path) -> bool:
    files = list((here / "runs").glob("*/metrics.jsonl")) if (here / "runs").exists() else []
    return bool(files) and len(files[0].read_bytes().splitlines()) > 5


def _trackers(parent: int) -> list[int]:
    """Processes of wandb below `parent`."""
    found: list[int] = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if int(fields["PPid"]) == parent and "wandb" in fields["Name"]:
            found.append(int(status.parent.name))
    return found


def test_a_signal_that_a_library_swallows_is_not_lost() -> None:
    """wandb, importing or opening files, catches what a handler raises; the run must stop all the same."""
    with StopRequest() as stop:
        with contextlib.suppress(Exception):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="stopped by SIGTERM before the first step"):
            stop.defer()


def test_a_signal_while_wandb_starts_is_no_failure_of_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[str] = []

    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("simplify.runs.tracker._open", interrupted)
    with StopRequest(), pytest.raises(Interrupted):
        Tracker(told.append).start(compose_run([]), RunFolder(tmp_path, "0123456789"), {})
    assert told == []
