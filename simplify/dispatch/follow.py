"""A short job behind the arrays of a tuned sweep, in case that the last of its runs dies before it can go on."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from simplify.config import ClusterConfig
from simplify.dispatch.batch import explained, told_id
from simplify.program import program
from simplify.runs.files import write_whole
from simplify.runs.slurm_command import command

_MINUTES = 5  # Python's start on a node whose disk is cold, and one sbatch
_SAME = ("partition", "account", "qos", "wckey")


def follow_up(root: Path, name: str, cluster: ClusterConfig, after: Sequence[str], code: Path | None) -> str:
    """Submit the job that asks what is next once the jobs `after` have ended; returns why there is none, if so."""
    script = _place(root, name, "sh")
    lines = ["#!/bin/bash", *(["set -e", *cluster.setup] if cluster.setup else [])]
    lines.append("exec " + shlex.join(program("advance", name, "--run-root", str(root), code=code)))
    asked = {key: getattr(cluster, key) for key in _SAME} | {
        "reservation": cluster.additional_parameters.get("reservation"),
        "job-name": f"{name[:40]}.next",
        "dependency": f"afterany:{':'.join(after)}",
        "time": _MINUTES,
        "output": str(_place(root, name, "out")).replace("%", "%%"),
    }
    words = [f"--{key}={value}" for key, value in asked.items() if value is not None]
    try:
        write_whole(script, "\n".join(lines) + "\n", sync=False)
        reply = command("sbatch", "--parsable", "--ntasks=1", "--open-mode=append", *words, str(script))
        job_id = None if reply.code else told_id(reply.out)
        if job_id is None:
            return explained(reply.said, request=None) if reply.said.strip() else "sbatch says nothing"
        with open(_place(root, name, "jobs"), "a", encoding="utf-8") as file:
            file.write(job_id + "\n")
    except OSError as error:
        return f"{script}: {error.strerror or error}"
    return ""


def cancel_follow_ups(root: Path, name: str) -> None:
    """Take those that still wait out of Slurm's queue. One that begins all the same finds nothing to do."""
    path = _place(root, name, "jobs")
    with contextlib.suppress(OSError):
        ids = [word for word in path.read_text(encoding="utf-8").split() if word.isdecimal()]
        if ids:
            command("scancel", *ids)
        path.unlink()


def _place(root: Path, name: str, kind: str) -> Path:
    return root / ".sweeps" / f"{name}.next.{kind}"
