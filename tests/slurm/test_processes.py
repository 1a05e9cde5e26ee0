"""One run on several nodes and processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster import Cluster
from conftest import rows
from lanes_tools import folders, until
from slurm_tools import SLURM, Simplify, accounted, attempts, cluster, simplify, wait_for, whole

FIXTURES = (accounted, cluster, simplify)
FOUR = ["cluster.nodes=2", "cluster.tasks_per_node=2"]


def test_two_nodes_by_two_processes_are_one_run(simplify: Simplify, here: Path) -> None:
    words = [*SLURM, "train.steps=30", "train.val_every=10", "train.micro_batch=2"]
    simplify("train", *words, *FOUR)
    wait_for(simplify, "done")
    (run,) = folders(here)
    assert "on 4 processes" in (run / "log.txt").read_text() and len(attempts(run)) == 1
    simplify("train", *words, "--here", "run_root=alone")
    (alone,) = (p for p in (here / "alone").iterdir() if not p.name.startswith("."))
    assert run.name == alone.name  # the same run on any number of devices
    for many, one in zip(rows(run), rows(alone), strict=True):
        assert many["step"] == one["step"] and many["lr"] == one["lr"]
        for key in ("train/loss", "grad_norm", "val/loss"):
            assert (key in many) == (key in one)
            assert many.get(key, 0.0) == pytest.approx(one.get(key, 0.0), rel=2e-6), key


def test_all_processes_stop_at_the_same_step(simplify: Simplify, cluster: Cluster, here: Path) -> None:
    words = [*SLURM, "train.steps=500", "train.checkpoint_every=1000000", *FOUR]
    simplify("train", *words)
    run = until(lambda: next((f for f in folders(here) if (f / "metrics.jsonl").exists()), None))
    until(lambda: rows(run))
    cluster.run("scancel", "--signal=USR2", attempts(run)[0]["slurm"])
    wait_for(simplify, "done")
    first, second = attempts(run)
    assert first["how"] == "stopped" and second["from_step"] > 0 and whole(run, 500)


def test_a_dying_process_is_named_with_its_own_traceback(simplify: Simplify, here: Path) -> None:
    (here / "site").mkdir()
    (here / "site" / "sitecustomize.py").write_text(
        "import os\n"
        "if os.environ.get('SLURM_PROCID') == '3':\n"
        "    import torch\n"
        "    whole, calls = torch.nn.utils.get_total_norm, []\n"
        "    def total(*words):\n"
        "        calls.append(1)\n"
        "        if len(calls) == 7:\n"
        "            raise ValueError('this GPU has fallen off the bus')\n"
        "        return whole(*words)\n"
        "    torch.nn.utils.get_total_norm = total\n"
    )
    simplify("train", *SLURM, "train.steps=1500", *FOUR, env={"PYTHONPATH": f"{here / 'site'}"})
    wait_for(simplify, "failed")
    (run,) = folders(here)
    out = simplify("why", run.name)
    assert "process 3 on " in out and "ValueError: this GPU has fallen off the bus" in out and "in total" in out


def test_a_batch_that_cannot_be_shared(simplify: Simplify) -> None:
    out = simplify("train", *SLURM, "cluster.nodes=3", code=2)
    assert (
        "cluster.nodes=3: the 8 sequences of a batch cannot be shared by the 3 processes of a run; valid: 1, 2, 4, 8"
        in out
    )
