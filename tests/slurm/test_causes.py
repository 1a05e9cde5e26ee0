"""Ends without a word of the run's own: what is told is the cause, not what srun says of every end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster
from lanes_tools import until
from slurm_tools import LONG, SLURM, Simplify, accounted, attempts, begun, cluster, simplify, states, wait_for

FIXTURES = (accounted, cluster, simplify)


@pytest.fixture
def small_disk(here: Path) -> Iterator[Path]:
    """A run root on a disk of 8 MB."""
    (here / "runs").mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(here / "runs")]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    yield here / "runs"
    subprocess.run(["umount", "--lazy", str(here / "runs")], check=True)


def test_a_full_disk(simplify: Simplify, cluster: Cluster, here: Path, small_disk: Path) -> None:
    simplify("sweep", *LONG, "seed=0,1", "cluster.max_parallel=1")
    begun(here)
    subprocess.run(["dd", "if=/dev/zero", f"of={small_disk / 'full'}"], capture_output=True, check=False)
    until(lambda: not cluster.run("squeue", "-h").strip())
    until(lambda: list(states(simplify).values()) == ["failed", "failed"])
    assert simplify("status").count("failed: disk_full: ") == 2
    (small_disk / "full").unlink()
    assert "failed: disk_full: " in simplify("status")  # the one that had begun, by its last word
    assert "2 runs queued again" in simplify("retry")


def test_a_folder_that_is_taken_away(simplify: Simplify, here: Path) -> None:
    simplify("train", *LONG)
    run = begun(here)
    until(lambda: shutil.rmtree(run, ignore_errors=True) or not run.exists())  # the run still writes into it
    wait_for(simplify, "failed")
    assert "failed: storage: its folder " in (out := simplify("status")) and "was removed or renamed while" in out
    assert "1 run queued again" in simplify("retry")


def test_the_folder_it_was_submitted_from(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    (here / "sub").mkdir()
    words = [*SLURM, "train.steps=5", "run_root=../runs", "cluster.additional_parameters={hold:true}"]
    simplify("train", *words, cwd=here / "sub")
    (here / "sub").rmdir()
    cluster.run("scontrol", "release", cluster.run("squeue", "-h", "-t", "PENDING", "-o", "%A").split()[-1])
    assert until(lambda: f"refused: {here / 'sub'}: cannot be entered on this node" in simplify("status"))


def test_a_kill(simplify: Simplify, here: Path) -> None:
    simplify("train", *LONG)
    run = begun(here)
    os.kill(attempts(run)[0]["pid"], signal.SIGKILL)
    wait_for(simplify, "failed")
    assert "killed: its job ended (FAILED) on 127.0.0.1" in (out := simplify("status"))
    assert "process 0 on 127.0.0.1" in out and "killed (SIGKILL: kill -9" in out


def test_a_job_that_is_held(simplify: Simplify, cluster: Cluster) -> None:
    simplify("train", *LONG, "cluster.additional_parameters={hold:true}")
    job_id = cluster.run("squeue", "-h", "-t", "PENDING", "-o", "%A").split()[-1]
    assert until(lambda: f"held by its owner: scontrol release {job_id} lets it begin" in simplify("status"))
    cluster.run("scontrol", "release", job_id)
    cluster.run("scontrol", "hold", job_id)
    until(lambda: "held by" not in simplify("status") or "who alone may release it" in simplify("status"))
