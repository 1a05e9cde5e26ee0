"""Submission to a real Slurm cluster, and every way in which jobs end there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import Cluster
from conftest import rows, untimed
from lanes_tools import folders, until
from slurm_tools import (
    LONG,
    SLURM,
    Simplify,
    accounted,
    attempts,
    begun,
    cluster,
    environment,
    hold,
    simplify,
    states,
    wait_for,
    whole,
    wrapped,
)

FIXTURES = (accounted, cluster, simplify)


def test_one_run_from_submission_to_result(simplify: Simplify, here: Path) -> None:
    out = simplify("train", *SLURM, "train.steps=10", "wandb.mode=offline")
    assert "1 run submitted to Slurm as job" in out and "simplify logs -f" in out
    again = simplify("train", *SLURM, "train.steps=10", "wandb.mode=offline")
    found = ("already (", "is running already", "already done")  # it may have begun, or ended
    assert any(word in again for word in found) and "submitted" not in again
    assert "done" in simplify("watch")
    (folder,) = folders(here)
    (attempt,) = attempts(folder)
    assert attempt["slurm"].isdigit() and attempt["node"].startswith("127.0.0.1") and whole(folder, 10)
    assert "already done" in simplify("train", *SLURM, "train.steps=10", "wandb.mode=offline")
    log = simplify("logs", folder.name)
    assert log.startswith(f"--- job {attempt['slurm']} on 127.0.0.1") and "step 10/10" in log
    assert f"job {attempt['slurm']} on" in simplify("why", folder.name)
    (array,) = (here / "runs" / ".slurm").glob("*/over")
    assert not [p for p in array.parent.iterdir() if p.suffix == ".pkl"]  # nothing is pickled


def test_an_array_never_runs_more_than_it_may(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    out = simplify("sweep", *SLURM, "train.steps=5", "seed=range(0,12)", "cluster.max_parallel=3")
    assert "12 runs submitted to Slurm as job " in out
    wait_for(simplify, "done")
    assert len(folders(here)) == 12
    job_id = attempts(folders(here)[0])[0]["slurm"].partition("_")[0]
    lines = cluster.run("sacct", "-n", "-P", "-X", "-j", job_id, "-o", "JobID,Start,End").split()
    spans = [tuple(line.split("|")[1:]) for line in lines]
    assert len(spans) == 12
    most = max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)
    assert most == 3


def test_what_is_submitted_later_keeps_the_limit(simplify: Simplify, here: Path) -> None:
    (here / "sweep.yaml").write_text("grid: {seed: [0]}\n")
    words = ["sweep.yaml", *LONG, "cluster.max_parallel=1"]
    simplify("sweep", *words)
    begun(here)
    (here / "sweep.yaml").write_text("grid: {seed: [0, 1]}\n")
    simplify("sweep", *words)
    assert "pending: Dependency" in simplify("status") or "not looked at yet" in simplify("status")
    until(lambda: "pending: Dependency" in simplify("status"))
    assert sorted(states(simplify).values()) == ["queued", "running"]


def test_what_cannot_begin_says_why(simplify: Simplify, here: Path) -> None:
    simplify("train", *SLURM, "cluster.setup=['echo there is no module here; exit 3']")
    wait_for(simplify, "failed")
    out = simplify("why", "sas")
    assert "never_began: its job ended (FAILED) on 127.0.0.1" in out and "there is no module here" in out
    (output,) = (here / "runs" / ".slurm").glob("*/*.out")
    assert f"Slurm's output: {output}" in out


def test_a_run_that_todays_code_refuses_says_so(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    """The code was changed while the job waited: the frozen settings are no longer valid."""
    simplify("train", *SLURM, "cluster.additional_parameters={hold:true}")
    (job_id,) = cluster.run("squeue", "-h", "-o", "%A").split()
    (frozen,) = (here / "runs" / ".slurm").glob("*/0.json")
    job = json.loads(frozen.read_text())
    job["config"]["train"]["no_such_setting"] = 1
    frozen.write_text(json.dumps(job))
    cluster.run("scontrol", "release", job_id)
    wait_for(simplify, "failed")
    assert "refused: train.no_such_setting: unknown key" in simplify("why", "sas")


def test_a_plan_submits_nothing(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    words = ["block=pre_ln,sas", "cluster.max_parallel=1", 'cluster.timeout="2:00:00"', "cluster.mem=1G"]
    out = simplify("sweep", *SLURM, "train.steps=5", *words, "--plan")
    for part in (
        "an array of 2 runs, 1 at a time",
        "#SBATCH --array=0-1%1",
        "#SBATCH --time=2:00:00",
        "#SBATCH --mem=1G",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR2@120",
        "to start at",
        "at most 4.0 device-hours",
    ):
        assert part in out, out
    assert "wckey" not in out and not (here / "runs").exists() and not cluster.run("squeue", "-h").strip()
    assert "#SBATCH --wckey=mine" in simplify("sweep", *SLURM, "train.steps=5", "cluster.wckey=mine", "--plan")
    mixed = simplify("sweep", *SLURM, "train.steps=5", "cluster.cpus_per_task=1,2", "seed=0,1", "--plan")
    assert "2 repeated points merged" in mixed  # what is asked of the cluster makes no other run


def test_preemption_is_survived_bit_for_bit(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    words = [*SLURM, "train.steps=1500", "train.checkpoint_every=100000"]  # only the signal saves
    simplify("train", *words)
    run = until(lambda: next((f for f in folders(here) if (f / "metrics.jsonl").exists()), None))
    until(lambda: rows(run))
    node = attempts(run)[0]["node"]
    cluster.run("sbatch", "-p", "high", "-w", node, "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3")
    until(lambda: "requeued, eligible at " in simplify("status"))
    wait_for(simplify, "done")
    first, second = attempts(run)
    assert first["how"] == "stopped" and second["from_step"] > 0 and first["slurm"] == second["slurm"]
    assert whole(run, 1500)
    simplify("train", *words, "--here", "run_root=alone")
    (alone,) = (p for p in (here / "alone").iterdir() if not p.name.startswith("."))
    assert untimed(rows(run)) == untimed(rows(alone))


def test_the_time_limit_requeues(simplify: Simplify, here: Path) -> None:
    """The least limit is a minute; Slurm looks every 30 s and counts those in: the signal comes after 20 to 50 s.

    Asked for earlier it may come while the process still imports torch, and then there is no step to go on from.
    """
    limit = ['cluster.timeout="0:01:00"', "cluster.signal_seconds=10"]
    simplify("train", *LONG, *limit, "train.checkpoint_every=1000000")
    run = until(lambda: next(iter(folders(here)), None))
    until(lambda: (run / "job.json").exists() and len(attempts(run)) > 1, 150)
    first, second = attempts(run)[:2]
    assert first["how"] == "stopped" and second["from_step"] > 0
    assert "SIGUSR2: saved at step" in simplify("logs", run.name)
    assert "1 asked to stop" in simplify("cancel", run.name)
    assert wait_for(simplify, "cancelled")
    steps = [row["step"] for row in rows(run)]
    assert steps == list(range(5, steps[-1] + 1, 5))


def test_scancel_of_running_and_waiting(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    simplify("sweep", *LONG, "seed=0,1", "cluster.max_parallel=1", "train.checkpoint_every=1000000")
    run = until(lambda: next((f for f in folders(here) if (f / "metrics.jsonl").exists()), None))
    until(lambda: rows(run))
    element = attempts(run)[0]["slurm"]
    job_id, _, index = element.partition("_")
    cluster.run("scancel", f"{job_id}_{1 - int(index)}")  # the one that waits: Slurm forgets it ever was
    assert list(states(simplify).values()) == ["running"]
    cluster.run("scancel", element)
    wait_for(simplify, "cancelled")
    assert attempts(run)[0]["how"] == "stopped" and list(run.glob("checkpoint/*.json"))  # within KillWait
    out = simplify("sweep", *LONG, "seed=0,1", "cluster.max_parallel=1", "train.checkpoint_every=1000000", "--plan")
    assert "2 runs: 1 cancelled, +1 new" in out or "2 runs: +1 new, 1 cancelled" in out
    simplify("retry", run.name)
    until(lambda: len(attempts(run)) == 2)
    assert attempts(run)[1]["from_step"] > 0


def test_cancel_and_retry(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    simplify("sweep", *LONG, "seed=0,1,2", "cluster.max_parallel=1")
    run = begun(here)
    out = simplify("cancel", "seed=0,1,2")
    assert "2 taken out of the queue" in out and "1 asked to stop, to save after the step at hand" in out
    assert wait_for(simplify, "cancelled") == {run.name: "cancelled"}
    until(lambda: not cluster.run("squeue", "-h").strip())  # not requeued
    assert "1 run queued again" in simplify("retry", run.name)
    until(lambda: "asked to stop" not in simplify("status") and len(attempts(run)) == 2)


@pytest.mark.parametrize("silently", [False, True])
def test_a_node_dies(simplify: Simplify, cluster: Cluster, here: Path, silently: bool) -> None:
    """Slurm starts the job again on another node; the run goes on from its checkpoint."""
    simplify("train", *SLURM, "train.steps=1500")
    run = begun(here)
    node = attempts(run)[0]["node"]
    cluster.kill_node(node)
    if not silently:
        cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    seen = set()

    def over() -> bool:
        seen.update(states(simplify).values())
        return "done" in seen

    until(over, 180)
    assert seen <= {"running", "queued", "done", "lost"} and "failed" not in seen
    assert len(attempts(run)) == 2 and attempts(run)[1]["from_step"] >= 20 and whole(run, 1500)


def test_a_job_that_runs_twice_writes_once(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    """slurmd dies and what it ran does not: Slurm starts the job elsewhere while it is being trained."""
    simplify("train", *SLURM, "train.steps=4000")
    run = begun(here)
    node = attempts(run)[0]["node"]
    cluster.kill_node(node, steps=False)
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    until(lambda: "is being trained already by" in (run / "log.txt").read_text(), 90)
    assert list(states(simplify).values()) == ["running"]
    wait_for(simplify, "done")
    assert len(attempts(run)) == 1 and whole(run, 4000)


def test_exceptions_and_fail_fast(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    words = [*SLURM, "train.steps=10", "optimiser.lr=1e30,1e-3,2e-3,3e-3", "cluster.max_parallel=1", "--fail-fast"]
    simplify("sweep", *words)
    out = simplify("watch", code=1)
    assert "failed: non_finite: step " in out
    until(lambda: not cluster.run("squeue", "-h").strip())
    assert len(folders(here)) == 1
    (failed,) = [run for run in json.loads(simplify("status", "--json"))["runs"] if run["state"] == "failed"]
    out = simplify("why", failed["id"])
    assert "non_finite" in out and f"simplify retry {failed['id']}" in out and "simplify train --here --config" in out


def test_out_of_memory_of_the_host_is_named(simplify: Simplify) -> None:
    simplify("train", *SLURM, "train.steps=50000", "cluster.mem=150M")
    wait_for(simplify, "failed")
    out = simplify("status")
    assert "out_of_memory: the job went over the memory it had asked for on 127.0.0.1" in out
    assert "raise cluster.mem, or lower train.micro_batch" in out


def test_what_slurm_refuses_is_one_line(simplify: Simplify, here: Path) -> None:
    out = simplify("train", *SLURM, "cluster.partition=nope", code=2)
    assert out.splitlines()[-1] == (
        "simplify: cluster.partition=nope: Slurm refuses it: invalid partition specified: nope; "
        "valid: main, high, closed"
    )
    assert "cluster.mem=900G: Slurm refuses it: Memory" in simplify("train", *SLURM, "cluster.mem=900G", code=2)
    assert "cluster.constraint=fast: Slurm refuses it" in simplify("train", *SLURM, "cluster.constraint=fast", code=2)
    assert not list((here / "runs" / ".slurm").iterdir()) and states(simplify) == {}


def test_what_will_never_begin_is_said(simplify: Simplify, here: Path) -> None:
    simplify("train", *SLURM, "cluster.nodes=4")  # of three
    until(lambda: "will not begin: PartitionNodeLimit: it asks for more nodes" in simplify("status"))
    assert folders(here) == [] and "1 taken out of the queue" in simplify("cancel", "block=sas")
    assert states(simplify) == {}


def test_a_submitter_killed_after_sbatch(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    """Slurm has the array, nobody wrote its id down: it is found again, and not submitted twice."""
    env = wrapped(here, sbatch='REAL "$@" >/dev/null; kill -9 $PPID')
    words = [*SLURM, "train.steps=600", "seed=0,1"]
    simplify("sweep", *words, code=-signal.SIGKILL, env=env)
    assert not list((here / "runs" / ".slurm").glob("*/job_id")) or folders(here)
    told = states(simplify)
    assert len(told) == 2 and set(told.values()) <= {"queued", "running"}
    assert "nothing new to train" in simplify("sweep", *words)
    wait_for(simplify, "done")
    assert [len(attempts(folder)) for folder in folders(here)] == [1, 1]
    assert len(set(cluster.run("squeue", "-h", "-t", "all", "-n", _job_name(here), "-o", "%F").split())) == 1


def test_a_submitter_killed_before_sbatch(simplify: Simplify, here: Path) -> None:
    """Slurm never heard of it: after a moment in which it still might, the runs are new again."""
    env = wrapped(here, sbatch="kill -9 $PPID")
    words = [*SLURM, "train.steps=5"]
    simplify("train", *words, code=-signal.SIGKILL, env=env)
    assert list(states(simplify).values()) == ["queued"] and "is being submitted" in simplify("status")
    until(lambda: states(simplify) == {}, 30)
    simplify("train", *words)
    wait_for(simplify, "done")


def _job_name(here: Path) -> str:
    (array,) = (here / "runs" / ".slurm").glob("*/array.json")
    return json.loads(array.read_text())["name"]


def test_submission_from_inside_a_job(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    words = [sys.executable, "-m", "simplify", "train", *SLURM, "train.steps=5"]
    (here / "job.sh").write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in words) + "\n")
    # an outer job with an array's variables and four tasks must not become the inner one's shape
    out = here / "outer.txt"
    subprocess.run(
        ["sbatch", "--array=7", "-n4", "-o", str(out), str(here / "job.sh")],
        env=environment(cluster),
        cwd=here,
        check=True,
        capture_output=True,
    )
    until(lambda: out.exists() and "1 run submitted" in out.read_text())
    wait_for(simplify, "done")
    (folder,) = folders(here)
    assert attempts(folder)[0]["slurm"].isdigit()


def test_two_sweeps_at_once_train_each_run_once(cluster: Cluster, simplify: Simplify, here: Path) -> None:
    words = [*SLURM, "train.steps=20", "seed=0,1,2"]
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "simplify", "sweep", *words, *more],
            cwd=here,
            env=environment(cluster),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for more in ([], ["train.log_every=5"])
    ]
    assert [process.wait(60) for process in both] == [0, 0]
    wait_for(simplify, "done")
    assert [len(attempts(folder)) for folder in folders(here)] == [1, 1, 1]
    assert all(whole(folder, 20) for folder in folders(here))


def test_an_unreachable_controller_is_no_error(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    words = ["sweep", *LONG, "seed=0,1,2", "cluster.max_parallel=1"]
    simplify(*words)
    run = begun(here)
    job_id = attempts(run)[0]["slurm"].partition("_")[0]
    hold(cluster)  # else they begin as soon as the controller is back, see their marks and leave
    cluster.kill_controller()
    try:
        told = states(simplify)
        assert told.pop(run.name) == "running"  # its own heartbeat says so
        assert list(told.values()) == ["unknown", "unknown"]
        out = simplify("status")
        assert "unknown since " in out and ("Unable to contact" in out or "squeue did not answer within" in out)
        assert "nothing new to train" in simplify(*words)
        out = simplify("cancel", "seed=0,1,2", code=75)
        assert f"1 asked to stop, to save after the step at hand, and then cancelled: {run.name}" in out
        lines = [line for line in out.splitlines() if "will not be trained, but Slurm cannot be told" in line]
        assert len({line.rpartition(f"job {job_id}_")[2][0] for line in lines}) == len(lines) == 2  # each its own
        until(lambda: attempts(run)[0].get("how") == "stopped")  # it has seen its mark
        assert states(simplify)[run.name] == "cancelled"
    finally:
        cluster.start_controller()
    assert "2 taken out of the queue" in simplify("cancel", "seed=0,1,2")


def test_the_doctor_looks_from_a_node(simplify: Simplify) -> None:
    out = simplify("doctor", "cluster=slurm", "cluster.partition=high", "--write", "mine")
    for part in (
        "main*",
        "REQUEUE, 8 s to save",
        "arrays: up to 1001 runs each",
        "accounting: sacct tells how jobs ended",
        "preemption: runs get USR2 and save",
        "4 sec to save a checkpoint in",
        "requeued jobs may begin again after 6 s",
        "can be written; Python ",
        "jobs may submit jobs: a tuned sweep goes on by itself",
    ):
        assert part in out, out
    assert "high" in simplify("config", "cluster=mine", "--conf", "conf") and "use it with cluster=mine --conf " in out
    assert "is there already" in simplify("doctor", "cluster=slurm", "--no-job", "--write", "mine", code=2)
    refused = simplify("doctor", "cluster=slurm", "cluster.partition=nope", code=1)
    assert "from a node: FAILED: " in refused and "invalid partition" in refused.lower()
