"""Tuned sweeps on a real cluster: each phase an array that the last run of the one before has submitted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from lanes_tools import Simplify, command_line, folders, until
from slurm_tools import SLURM, attempts, environment, login, plain_cluster, unaccounted

from simplify.runs.store import RunStore
from simplify.runs.studies import hold, release, study_names

FIXTURES = (plain_cluster, unaccounted)
TUNED = """
grid: {block: [pre_ln, sas], seed: [0]}
tune: {over: {optimiser.lr: [4.0e-3, 1.6e-2]}, seeds: [1000, 1001], edge: 0, gap: 1.0}
"""
WORDS = ["tuned.yaml", *SLURM, "train.steps=20"]


@pytest.fixture(scope="module")
def alone() -> dict[str, float]:
    """What the sweep comes to on a lane, where nothing disturbs it; filled by the first test that asks."""
    return {}


@pytest.fixture
def wanted(alone: dict[str, float], plain_cluster: Cluster, here: Path) -> Iterator[dict[str, float]]:
    """The loss of each run, by id."""
    (here / "tuned.yaml").write_text(TUNED)
    if not alone:
        words = [word for word in WORDS if not word.startswith("cluster=")]
        command_line(here, environment(plain_cluster))("sweep", *words, "run_root=alone", "--watch")
        alone.update(losses(here / "alone"))
    assert len(alone) == 10
    yield alone


def losses(root: Path) -> dict[str, float]:
    """The loss of each run that is done, by id."""
    return {run.run_id: run.facts.done["val/loss"] for run in RunStore(root).runs() if run.facts.done}


def study(simplify: Simplify) -> dict[str, Any]:
    """What `status --json` says of the tuned sweep."""
    out = simplify("status", "--json", "tuned.yaml")
    (tuned,) = json.loads(out[out.index("{") :])["tuned"]
    return tuned


def jobs(cluster: Cluster) -> list[list[str]]:
    """Number and name of each job that waits or runs."""
    return [line.split() for line in cluster.run("squeue", "-h", "-o", "%A %j").splitlines()]


def test_each_phase_submits_the_next_also_where_one_is_preempted(
    plain_cluster: Cluster, wanted: dict[str, float], here: Path
) -> None:
    simplify = login(plain_cluster, here)
    out = simplify("sweep", *WORDS)
    assert "4 runs submitted to Slurm as job" in out and "4 runs queued" in out
    until(lambda: len(folders(here)) > 4)  # the second phase has begun, from inside a job
    for node in plain_cluster.nodes:
        plain_cluster.run("sbatch", "-p", "high", "-w", node, "--exclusive", "-o", "/dev/null", "--wrap", "sleep 2")
    until(lambda: study(simplify)["phase"] == "done")
    assert losses(here / "runs") == wanted
    arrays = {attempts(folder)[0]["slurm"].partition("_")[0] for folder in folders(here)}
    assert len(arrays) == 3  # tuning on two seeds, and the final runs
    assert "Restarts=1" in plain_cluster.run("scontrol", "show", "job", "-o")
    until(lambda: not plain_cluster.run("squeue", "-h").strip())  # the jobs behind found nothing to do


def test_where_jobs_may_submit_none_it_is_said_and_watch_goes_on(
    plain_cluster: Cluster, wanted: dict[str, float], here: Path
) -> None:
    """The partition takes jobs from the login node alone (AllocNodes)."""
    simplify = command_line(here, {**environment(plain_cluster), **plain_cluster.login_node()})
    words = [*WORDS, "cluster.partition=closed"]
    assert "4 runs submitted to Slurm as job" in simplify("sweep", *words)
    until(lambda: study(simplify)["stuck"] and study(simplify)["may_go_on"])
    out = simplify("status", "tuned.yaml")
    assert re.search(
        r"the next 4 runs are not begun yet \(.*Access/permission denied\): simplify retry tuned-\w+ ", out
    )
    simplify("watch", "tuned.yaml")
    assert losses(here / "runs") == wanted and study(simplify)["phase"] == "done" and not study(simplify)["stuck"]
    told = simplify("doctor", "cluster=slurm", "cluster.partition=closed")
    assert (
        "jobs may not submit jobs (allocation failure: Access/permission denied): a tuned sweep goes on while" in told
    )


def test_the_job_behind_goes_on_where_the_last_task_did_not(
    plain_cluster: Cluster, wanted: dict[str, float], here: Path
) -> None:
    """Each task of the first array finds the sweep held, as if it had died before it could ask what is next."""
    simplify = login(plain_cluster, here)
    simplify("sweep", *WORDS)
    (name,) = study_names(here / "runs")
    plain_cluster.run("scontrol", "hold", f"jobname={name}.next")
    hold(here / "runs", name)
    until(lambda: [job[1] for job in jobs(plain_cluster)] == [f"{name}.next"])
    release(here / "runs", name)
    assert study(simplify)["may_go_on"] and len(losses(here / "runs")) == 4
    plain_cluster.run("scontrol", "release", jobs(plain_cluster)[0][0])
    until(lambda: study(simplify)["phase"] == "done")
    assert losses(here / "runs") == wanted
