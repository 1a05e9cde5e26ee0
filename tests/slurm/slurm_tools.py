"""What the tests on a real cluster share: the cluster, the command line against it, and waiting for what is to come."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster, missing_programs
from conftest import ROOT, TINY, rows
from lanes_tools import Simplify, command_line, folders, job, until

NEEDED = "SIMPLIFY_NEED_SLURM"  # set where the absence of Slurm is a failure and no reason to skip
SLURM = [*TINY, "cluster=slurm", "train.checkpoint_every=20", "train.log_every=5"]
LONG = [*SLURM, "train.steps=100000"]  # longer than any test
_running: dict[bool, Cluster] = {}


def _cluster(accounting: bool) -> Iterator[Cluster]:
    missing = missing_programs()
    if missing or os.getuid() != 0:
        reason = f"needs root and Slurm's daemons ({', '.join(missing) or 'not root'}): docs/slurm.md"
        if os.environ.get(NEEDED):
            pytest.fail(reason)
        pytest.skip(reason)
    if accounting not in _running:
        found = Cluster(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")), accounting)  # short: sockets lie in it
        _running[accounting] = found
        try:
            found.start()
        except BaseException:
            _running.pop(accounting).stop()
            raise
    yield _running[accounting]
    if accounting in _running:  # the last module that uses it has ended
        ended = _running.pop(accounting)
        ended.stop()
        shutil.rmtree(ended.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def accounted() -> Iterator[Cluster]:
    """A cluster with slurmdbd and MariaDB."""
    yield from _cluster(accounting=True)


@pytest.fixture(scope="session")
def unaccounted() -> Iterator[Cluster]:
    """A cluster without accounting."""
    yield from _cluster(accounting=False)


@pytest.fixture
def cluster(accounted: Cluster) -> Iterator[Cluster]:
    """The cluster with accounting, empty before and after."""
    yield accounted
    accounted.clean()


@pytest.fixture
def plain_cluster(unaccounted: Cluster) -> Iterator[Cluster]:
    """The cluster without accounting, empty before and after."""
    yield unaccounted
    unaccounted.clean()


def environment(cluster: Cluster) -> dict[str, str]:
    """The variables of a login node of that cluster."""
    ours = {k: v for k, v in os.environ.items() if k.startswith(("SIMPLIFY_", "OMP_"))}
    return {**cluster.env, **ours, "PYTHONPATH": str(ROOT)}


def login(cluster: Cluster, here: Path) -> Simplify:
    """The command line as typed on a login node, run to its end."""
    return command_line(here, environment(cluster))


@pytest.fixture
def simplify(cluster: Cluster, here: Path) -> Simplify:
    """The command line on the login node of the cluster with accounting."""
    return login(cluster, here)


def states(simplify: Simplify) -> dict[str, str]:
    """The state of each run by its folder's name."""
    out = simplify("status", "--json")  # its standard error as well: that Slurm is waited for
    return {run["name"]: run["state"] for run in json.loads(out[out.index("{") :])["runs"]}


def wait_for(simplify: Simplify, *wanted: str, seconds: float = 300) -> dict[str, str]:
    """Wait until every run is in one of the wanted states."""
    seen: dict[str, str] = {}

    def reached() -> bool:
        seen.clear()
        seen.update(states(simplify))
        return bool(seen) and set(seen.values()) <= set(wanted)

    try:
        until(reached, seconds)
    except AssertionError:
        raise AssertionError(f"waited for {wanted}: {seen}\n{simplify('status')}") from None
    return seen


def begun(here: Path, step: int = 20, seconds: float = 60) -> Path:
    """The first run folder that has a checkpoint of at least `step`."""

    def look() -> Path | None:
        saved = (path for folder in folders(here) for path in folder.glob("checkpoint/step-*.json"))
        return next((p.parents[1] for p in saved if int(p.stem.split("-")[1]) >= step), None)

    return until(look, seconds)


def whole(folder: Path, steps: int, every: int = 5) -> bool:
    """Whether each logged step is there once, in order."""
    return [row["step"] for row in rows(folder)] == list(range(every, steps + 1, every))


def attempts(folder: Path) -> list[dict[str, Any]]:
    """The attempts of a run."""
    return job(folder)["attempts"]


def wrapped(here: Path, **scripts: str) -> dict[str, str]:
    """A PATH on which commands of Slurm are scripts of ours; REAL stands for the command itself."""
    (here / "bin").mkdir(exist_ok=True)
    for name, script in scripts.items():
        path = here / "bin" / name
        path.write_text(f"#!/bin/sh\n{script.replace('REAL', str(shutil.which(name)))}\n")
        path.chmod(0o755)
    return {"PATH": f"{here / 'bin'}{os.pathsep}/usr/sbin{os.pathsep}{os.environ['PATH']}"}


def hold(cluster: Cluster) -> str:
    """Keep what waits from beginning, also after a controller's death; returns it as scontrol takes it."""
    waiting = ",".join(cluster.run("squeue", "-h", "-r", "-t", "PENDING", "-o", "%i").split())
    since, saved = time.time(), cluster.folder / "ctld" / "job_state"
    cluster.run("scontrol", "hold", waiting)
    until(lambda: saved.exists() and saved.stat().st_mtime > since)
    return waiting
