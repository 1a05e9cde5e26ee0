"""`simplify judge` with Slurm: it submits, and the same command goes on."""

from __future__ import annotations

import shlex

from slurm_tools import SLURM, Simplify, accounted, cluster, simplify, wait_for

FIXTURES = (accounted, cluster, simplify)
BASE = shlex.join([*SLURM, "train.steps=10", "optimiser.lr=1e-4"])
BETTER = shlex.join([*SLURM, "train.steps=10", "optimiser.lr=1e-2"])


def test_a_judge_goes_on_when_its_jobs_have_ended(simplify: Simplify) -> None:
    out = simplify("judge", BETTER, "--against", BASE, code=75)
    assert "6 runs submitted to Slurm" in out and "the same command goes on with candidate 1" in out
    wait_for(simplify, "done")
    assert "keep: surely better" in simplify("judge", BETTER, "--against", BASE)
