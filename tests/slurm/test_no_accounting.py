"""A cluster without slurmdbd: Slurm forgets how jobs ended, and the runs' own files have to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cluster import Cluster
from lanes_tools import folders, until
from slurm_tools import LONG, SLURM, Simplify, attempts, login, plain_cluster, states, unaccounted, wait_for

FIXTURES = (plain_cluster, unaccounted)


@pytest.fixture
def simplify(plain_cluster: Cluster, here: Path) -> Simplify:
    return login(plain_cluster, here)


def test_done_failed_and_out_of_memory(simplify: Simplify, here: Path) -> None:
    simplify("sweep", *SLURM, "train.steps=10", "optimiser.lr=1e-3,1e30", code=0)
    simplify("train", *SLURM, "train.steps=50000", "cluster.mem=150M")
    told = wait_for(simplify, "done", "failed")
    assert sorted(told.values()) == ["done", "failed", "failed"]
    causes = {json.loads((f / "error.json").read_text())["cause"] for f in folders(here) if (f / "error.json").exists()}
    assert causes == {"non_finite", "out_of_memory"}


def test_scancel(simplify: Simplify, plain_cluster: Cluster, here: Path) -> None:
    simplify("sweep", *LONG, "seed=0,1", "cluster.max_parallel=1")
    run = until(lambda: next((f for f in folders(here) if (f / "metrics.jsonl").exists()), None))
    plain_cluster.run("scancel", attempts(run)[0]["slurm"].partition("_")[0])
    assert wait_for(simplify, "cancelled", "stopped").keys() == {run.name}
    assert attempts(run)[0]["how"] == "stopped"


def test_a_job_that_slurm_has_forgotten(simplify: Simplify, plain_cluster: Cluster, here: Path) -> None:
    """Its id means nothing any more: the run counts as stopped, lost or done by its own files."""
    simplify("train", *SLURM, "train.steps=10")
    wait_for(simplify, "done")
    (array,) = (here / "runs" / ".slurm").glob("*/array.json")
    (array.parent / "over").unlink()
    (array.parent / "job_id").write_text("5\n")  # long gone
    (run,) = folders(here)
    (run / "done.json").unlink()
    attempt = json.loads((run / "job.json").read_text())
    attempt["attempts"][0].pop("ended")
    (run / "job.json").write_text(json.dumps(attempt))
    assert plain_cluster.run("squeue", "-h", "-j", "5", check=False) == ""
    until(lambda: states(simplify) == {run.name: "lost"})  # once its process, which draws the picture, has ended
    assert (array.parent / "over").exists()
