"""Cancelling: runs that wait leave the queue, runs that are being trained save and stop."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.runs.files import write_json
from simplify.runs.folder import now
from simplify.runs.process import is_alive
from simplify.runs.queue import Queue, read_job
from simplify.runs.state import is_training, read_facts


@dataclass(frozen=True)
class Cancelled:
    """What a cancellation came to, as names of run folders."""

    dequeued: list[str]
    asked_to_stop: list[str]
    out_of_reach: list[str]  # trained on another host


def cancel(queue: Queue, run_ids: Collection[str] | None = None, sweep: str | None = None) -> Cancelled:
    """Cancel runs by id, or all that a sweep has put into the queue.

    Those being trained get SIGTERM: they finish their step, save and stop, which may take a while.
    """
    with queue.locked():
        wanted: dict[str, str] = {}  # id -> folder name, of what is in the queue
        for run_id, path in queue.waiting().items():
            job = read_job(path)
            if job and ((run_ids is not None and run_id in run_ids) or (sweep is not None and job.sweep == sweep)):
                wanted[run_id] = job.name
                path.unlink(missing_ok=True)
        claims = queue.claims()
    found = Cancelled([], [], [])
    names = {**_training(queue.root, run_ids or ()), **wanted}
    for run_id, name in names.items():
        claim = claims.get(run_id) if queue.held(claims.get(run_id)) else None
        target = _target(queue.root / name, claim)
        host = (target or claim or {}).get("host", socket.gethostname())
        if host != socket.gethostname():
            found.out_of_reach.append(name)
        elif target is None:  # it waits; or is so close to its start that it will not find its job any more
            found.dequeued.append(name)
        else:
            write_json(queue.root / name / "cancelled.json", {"cancelled": now()})
            terminate(queue.root / name, claim)
            found.asked_to_stop.append(name)
    return found


def _training(root: Path, run_ids: Collection[str]) -> dict[str, str]:
    """Runs of these ids that are being trained, in the queue or not."""
    folders = [path for run_id in run_ids for path in root.glob(f"*-{run_id}")]
    return {p.name.rpartition("-")[2]: p.name for p in folders if is_training(read_facts(p), p)}


def _target(folder: Path, claim: Any) -> dict[str, Any] | None:
    """The process that trains a run: by its own word, or by its lane's while it is starting."""
    facts = read_facts(folder)
    if facts.attempt is not None and is_training(facts, folder):
        return facts.attempt
    if claim and claim.get("child"):
        return {"host": claim["host"], **claim["child"]}
    return None


def terminate(folder: Path, claim: Any) -> None:
    """Ask the process of this host that trains a run to save and stop, if it lives."""
    target = _target(folder, claim)
    if target is not None and is_alive(target):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(target["pid"]), signal.SIGTERM)
