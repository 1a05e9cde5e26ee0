"""Where a lane's runs begin: forks of one process that has loaded what they need, and nothing left of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from conftest import TEXT, TINY, rows, untimed
from lanes_tools import Simplify, background, folders, job, lanes, simplify, until

from simplify.runs.code import code_hash

assert simplify  # a fixture
LONG = [*TINY, "train.steps=300", "train.log_every=5", "train.checkpoint_every=1000"]


def attempt(folder: Path) -> dict[str, Any]:
    """The only attempt of a run."""
    (only,) = job(folder)["attempts"]
    return only


def nurseries(here: Path) -> set[int]:
    """Processes that runs are forked from, and the runs that were."""
    return {pid for pid in background(here) if b"simplify.cli.nursery" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def parent(pid: int) -> int:
    """Of a living process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def training(here: Path, number: int) -> Path:
    """The folder of the run that is the `number`th to train, once it does and while it has not ended."""

    def look() -> Path | None:
        begun = [folder for folder in folders(here) if (folder / "metrics.jsonl").exists()]
        latest = max(begun, key=lambda f: f.joinpath("job.json").stat().st_mtime_ns, default=None)
        return latest if len(begun) == number and latest and "ended" not in attempt(latest) else None

    return until(look)


def test_each_run_is_a_process_of_its_own_and_ends_like_one_from_a_shell(simplify: Simplify, here: Path) -> None:
    simplify("sweep", *TINY, "seed=0,1,2", "--watch")
    assert len({attempt(folder)["pid"] for folder in folders(here)}) == 3
    until(lambda: not background(here))
    for folder in folders(here):
        log = (folder / "log.txt").read_text()
        assert log.count("--- ") == 1 and f"loss curve: {folder / 'loss.png'}" in log
    simplify("train", *TINY, "seed=2", env={"SIMPLIFY_RUNS": str(here / "alone")})
    (alone,) = (here / "alone").glob("*-*")
    assert untimed(rows(alone)) == untimed(rows(here / "runs" / alone.name))


def test_a_killed_lane_leaves_no_process_that_waits(simplify: Simplify, here: Path) -> None:
    """Only the run goes on, to its end."""
    simplify("sweep", *LONG, "train.steps=1000", "seed=0,1")
    run = training(here, 1)
    pid = attempt(run)["pid"]
    assert nurseries(here) == {pid, parent(pid)}
    os.kill(next(iter(lanes(here).values()))["pid"], signal.SIGKILL)
    until(lambda: nurseries(here) <= {pid})
    until(lambda: (run / "done.json").exists())
    until(lambda: not nurseries(here))
    assert job(run)["attempts"][0]["how"] == "done"


def test_the_process_that_runs_are_forked_from_is_killed(simplify: Simplify, here: Path) -> None:
    """Its run goes on, the lane waits for it, and the next run has another one."""
    simplify("sweep", *LONG, "seed=0,1")
    run = training(here, 1)
    first = parent(attempt(run)["pid"])
    os.kill(first, signal.SIGKILL)
    assert parent(attempt(training(here, 2))["pid"]) != first
    simplify("watch")
    assert [attempt(folder)["how"] for folder in folders(here)] == ["done", "done"]
    assert (run / "done.json").stat().st_mtime < min(
        (folder / "metrics.jsonl").stat().st_ctime for folder in folders(here) if folder != run
    )


def test_code_that_changes_between_two_runs(simplify: Simplify, here: Path) -> None:
    """No run is trained by code that was loaded before it was edited, and old code needs no nursery."""
    simplify("sweep", *LONG, "seed=0,1,2", "--snapshot")
    first = training(here, 1)
    (code,) = (here / "runs" / ".code").iterdir()
    with open(code / "simplify" / "training" / "loop.py", "a") as file:
        file.write("\nprint('the edited loop')\n")
    edited = code_hash(code / "simplify")
    second = training(here, 2)
    (code / "simplify" / "cli" / "nursery.py").unlink()
    third = training(here, 3)
    assert attempt(third)["pid"] not in nurseries(here)
    simplify("watch")
    told = [json.loads((folder / "run.json").read_text())["code"] for folder in (first, second, third)]
    assert told[1] == edited and len(set(told)) == 3
    assert ["the edited loop" in (f / "log.txt").read_text() for f in (first, second, third)] == [False, True, True]


def test_another_folder_and_another_cache(simplify: Simplify, here: Path) -> None:
    """Each run has the folder and the variables of the sweep that asked for it, in one queue."""
    simplify("sweep", *LONG)
    other = here / "other"
    shutil.copytree(TEXT, other / "texts", ignore=shutil.ignore_patterns("__pycache__"))
    env = {"SIMPLIFY_RUNS": str(here / "runs"), "SIMPLIFY_CACHE": str(here / "cache")}
    simplify("sweep", *LONG, "data.path=texts", "seed=1", env=env, cwd=other)
    process = Path(f"/proc/{attempt(training(here, 2))['pid']}")
    assert (process / "cwd").readlink() == other
    variables = (process / "environ").read_bytes().split(b"\0")
    assert os.fsencode(f"SIMPLIFY_CACHE={here / 'cache'}") in variables and b"PYTHONUNBUFFERED=1" in variables
    assert not any(variable.startswith(b"SUBMITIT_") for variable in variables)
    simplify("watch")
    assert [attempt(folder)["how"] for folder in folders(here)] == ["done", "done"]
