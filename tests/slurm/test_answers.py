"""Slurm's commands that fail, hang, lie or lose their answer, before a real cluster: nothing is lost or run twice."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from cluster import Cluster
from lanes_tools import folders, until
from slurm_tools import (
    LONG,
    SLURM,
    Simplify,
    accounted,
    attempts,
    begun,
    cluster,
    hold,
    simplify,
    states,
    wait_for,
    whole,
    wrapped,
)

FIXTURES = (accounted, cluster, simplify)


LOST = 'REAL "$@" >/dev/null; echo "sbatch: error: Batch job submission failed: Socket timed out" >&2; exit 1'


@pytest.mark.parametrize("script", [LOST, 'REAL "$@" >/dev/null', 'REAL "$@" >/dev/null; kill -9 $$'])
def test_an_answer_that_is_lost(simplify: Simplify, here: Path, script: str) -> None:
    words = [*SLURM, "train.steps=5", "seed=0,1"]
    out = simplify("sweep", *words, env=wrapped(here, sbatch=script), code=75)
    assert "2 runs: whether Slurm has taken the job is not known yet" in out
    told = states(simplify)
    assert len(told) == 2 and set(told.values()) <= {"queued", "running", "done"}
    assert "submitted" not in simplify("sweep", *words)
    wait_for(simplify, "done")
    assert [len(attempts(folder)) for folder in folders(here)] == [1, 1]


def test_an_sbatch_that_hangs_and_was_not_heard(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    words = [*SLURM, "train.steps=5", "cluster.mem=1G,2G"]
    start = time.monotonic()
    out = simplify("sweep", *words, "seed=0,1", env=wrapped(here, sbatch="exec sleep 60"), code=75)
    assert time.monotonic() - start < 40  # 15 of them Slurm's
    assert "sbatch did not answer within 1" in out and "Slurm has not answered yet (sbatch)" in out
    assert not cluster.run("squeue", "-h").strip() and set(states(simplify).values()) == {"queued"}
    until(lambda: states(simplify) == {}, 40)  # Slurm has said twice that it has none
    assert "nothing new" not in simplify("sweep", *words, "seed=0,1")
    wait_for(simplify, "done")


def test_a_controller_that_hangs(simplify: Simplify, cluster: Cluster) -> None:
    """It takes the question and answers when it wakes: nothing it makes then is unknown to us."""
    cluster.hold_controller()
    try:
        out = simplify("train", *SLURM, "train.steps=5", code=75)
        assert "1 run not submitted, since Slurm does not answer; nothing is lost: the same command later" in out
    finally:
        cluster.wake_controller()
    assert states(simplify) == {} and "1 run submitted" in simplify("train", *SLURM, "train.steps=5")
    wait_for(simplify, "done")


def test_notices_are_no_ids(simplify: Simplify, here: Path) -> None:
    notice = 'echo "NOTE: maintenance on 7 | 8"; echo 12; REAL "$@"'
    env = wrapped(here, squeue=notice, sacct=notice, scontrol=notice, scancel=notice, sinfo=notice, sbatch=notice)
    words = [*LONG, "seed=0,1", "cluster.max_parallel=1"]
    kill = f"{notice} >/dev/null; kill -9 $PPID"
    simplify("sweep", *words, code=-9, env=wrapped(here, sbatch=kill))
    assert sorted(json.loads(simplify("status", "--json", env=env))["runs"][0]) and len(states(simplify)) == 2
    (array,) = (here / "runs" / ".slurm").glob("*/job_id")
    assert array.read_text().strip().isdigit()
    array.write_text("NOTE:\n")  # as an earlier version kept it
    until(lambda: sorted(states(simplify).values()) in (["queued", "running"], ["queued", "queued"]))
    assert "2" in simplify("cancel", "seed=0,1", env=env) and array.read_text().strip().isdigit()
    until(lambda: "running" not in states(simplify).values())


PRESET = {
    "SCANCEL_STATE": "SUSPENDED",
    "SCANCEL_NAME": "nobody",
    "SQUEUE_STATES": "SUSPENDED",
    "SQUEUE_FORMAT": "%j",
    "SLURM_CLUSTERS": "nowhere",
    "SINFO_PARTITION": "nowhere",
    "SBATCH_PARTITION": "nowhere",
    "SLURM_JOB_ID": "1",
}


def test_variables_of_a_shell_change_nothing(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    simplify("sweep", *LONG, "seed=0,1", "cluster.max_parallel=1", env=PRESET)
    run = begun(here)
    out = simplify("cancel", "seed=0,1", env=PRESET)
    assert "1 taken out of the queue" in out and "1 asked to stop" in out
    assert wait_for(simplify, "cancelled") == {run.name: "cancelled"}
    until(lambda: not cluster.run("squeue", "-h").strip())


def test_a_scancel_that_only_says_yes(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    """What it says is asked about; the run that trains sees its mark without it."""
    simplify("sweep", *LONG, "seed=0,1", "cluster.max_parallel=1")
    run = begun(here)
    waiting = hold(cluster)  # else it may begin, see its mark and leave before it is asked about
    out = simplify("cancel", "seed=0,1", env=wrapped(here, scancel="exit 0"), code=75)
    assert "will not be trained, but scancel has not taken it out" in out and "1 asked to stop" in out
    until(lambda: states(simplify)[run.name] == "cancelled")
    cluster.run("scontrol", "release", waiting)
    until(lambda: not cluster.run("squeue", "-h").strip())  # the other one begins, sees its mark and leaves


ONCE = 'if [ "$1" = requeue ] && mkdir "$(dirname "$0")/once" 2>/dev/null; then WHAT; fi; exec REAL "$@"'
NEVER = 'if [ "$1" = requeue ]; then exit 1; fi; exec REAL "$@"'


@pytest.mark.parametrize("script", [ONCE.replace("WHAT", "exit 1"), ONCE.replace("WHAT", "sleep 15; exit 1"), NEVER])
def test_a_requeue_that_is_not_heard(simplify: Simplify, cluster: Cluster, here: Path, script: str) -> None:
    env = wrapped(here, scontrol=script)
    simplify("train", *LONG, "train.checkpoint_every=1000000", env=env)
    run = until(lambda: next((f for f in folders(here) if (f / "metrics.jsonl").exists()), None))
    until(lambda: (run / "metrics.jsonl").read_text())
    cluster.run("scancel", "--signal=USR2", attempts(run)[0]["slurm"])
    if script == NEVER:
        assert wait_for(simplify, "failed") == {run.name: "failed"}
        out = simplify("why", run.name)
        assert "not_requeued: SIGUSR2: saved at step" in out and "asked in vain to start the job again" in out
        assert "1 run queued again" in simplify("retry")
    until(lambda: len(attempts(run)) == 2)
    assert attempts(run)[1]["from_step"] > 0
    simplify("cancel", run.name)
    wait_for(simplify, "cancelled")


def test_a_signal_before_python(simplify: Simplify, here: Path) -> None:
    """It kills then; the batch script sees that and has the job started again."""
    setup = "cluster.setup=['srun() { mkdir once && return 140; command srun \"$@\"; }']"
    simplify("train", *SLURM, "train.steps=5", setup)
    wait_for(simplify, "done")
    assert (here / "once").exists() and whole(folders(here)[0], 5)


def test_a_signal_in_the_first_second(simplify: Simplify, cluster: Cluster) -> None:
    words = [*SLURM, "train.steps=5", "seed=range(0,6)", "cluster.max_parallel=3"]
    simplify("sweep", *words)
    seen: list[str] = []

    def strike() -> bool:
        for element in set(cluster.run("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i").split()) - set(seen):
            time.sleep(0.15 * len(seen))
            seen.append(element)
            name = "USR2" if len(seen) % 3 else "TERM"
            cluster.launch("scancel", f"--signal={name}", element)  # it waits for long where the step only begins
        return len(seen) == 6

    assert until(strike, 120)
    assert len(wait_for(simplify, "done")) == 6
