"""Cancelling: runs that wait leave the queue, runs that are being trained save and stop."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simplify.errors import SimplifyError
from simplify.runs.facts import is_training, read_facts
from simplify.runs.files import write_json
from simplify.runs.folder import RunFolder, now
from simplify.runs.folders import read_folders
from simplify.runs.process import is_alive, is_local
from simplify.runs.queue import Job, Queue, read_job
from simplify.runs.scheduler import ask
from simplify.runs.slurm_board import Element, SlurmBoard
from simplify.runs.slurm_command import command
from simplify.runs.studies import hold, is_study

_OVER = ("Invalid job id", "already completing", "no longer", "not running")  # it has ended in the meantime
_OF_A_JOB = re.compile(r"^scancel: error: (?:Kill job error on job id \S+: )?")
_AT_ONCE = 200  # ids in one scancel
_TAKES = 3.0  # seconds in which Slurm has to show that it has heard
_GONE = ("COMPLETING", "CANCELLED", "COMPLETED", "FAILED", "TIMEOUT")


@dataclass(frozen=True)
class Cancelled:
    """What a cancellation came to, as names of run folders."""

    dequeued: list[str] = field(default_factory=list)
    asked_to_stop: list[str] = field(default_factory=list)
    out_of_reach: dict[str, str] = field(default_factory=dict)  # with the reason


def cancel(queue: Queue, run_ids: Collection[str] | None = None, sweep: str | None = None) -> Cancelled:
    """Cancel runs by id, or all that a sweep has put into a queue.

    Those being trained get a signal: they finish their step, save and stop, which may take a while.
    """
    found = Cancelled()
    submitted = _cancel_submitted(queue.root, run_ids, sweep, found)
    others = None if run_ids is None else set(run_ids) - submitted
    _cancel_local(queue, others, sweep, found)
    return found


def cancel_the_rest(queue: Queue, job: Job, folder: RunFolder) -> None:
    """The rest of the sweep of a run that has failed, where that was asked for.

    To a tuned sweep a loss that is no number is an answer, and no failure.
    """
    if not (job.fail_fast and job.sweep):
        return
    if is_study(queue.root, job.sweep):
        if (folder.error() or {}).get("cause") == "non_finite":
            return
        with contextlib.suppress(SimplifyError):  # whoever decides now finds these runs cancelled
            hold(queue.root, job.sweep)
    cancel(queue, sweep=job.sweep)


def _cancel_local(queue: Queue, run_ids: Collection[str] | None, sweep: str | None, found: Cancelled) -> None:
    with queue.locked():
        folders = read_folders(queue.root).runs  # a run may have been renamed while it waited
        wanted: dict[str, Path] = {}  # id -> folder, of what is in the queue
        for run_id, path in queue.waiting().items():
            job = read_job(path)
            if job and ((run_ids is not None and run_id in run_ids) or (sweep is not None and job.sweep == sweep)):
                wanted[run_id] = folders.get(run_id, queue.root / job.name)
                path.unlink(missing_ok=True)
        claims = queue.claims()
    trained = {i: path for i in run_ids or () if (path := folders.get(i)) and is_training(read_facts(path), path)}
    for run_id, folder in {**trained, **wanted}.items():
        claim, name = claims.get(run_id) if queue.held(claims.get(run_id)) else None, folder.name
        target = _target(folder, claim)
        if (target or claim) and not is_local(target or claim or {}):
            found.out_of_reach[name] = "is trained on another host; cancel it there"
        elif target is None:  # it waits; or is so close to its start that it will not find its job any more
            found.dequeued.append(name)
        else:
            write_json(folder / "cancelled.json", {"cancelled": now()})
            terminate(folder, claim)
            found.asked_to_stop.append(name)


def _cancel_submitted(root: Path, run_ids: Collection[str] | None, sweep: str | None, found: Cancelled) -> set[str]:
    """Cancel what Slurm has; returns the ids of all that was looked after."""
    board = SlurmBoard(root)
    ends: list[Element] = []
    stops: list[Element] = []
    chosen: set[str] = set()
    for run_id, element in board.elements():
        if not ((run_ids is not None and run_id in run_ids) or (sweep is not None and element.array.sweep == sweep)):
            continue
        folder = board.folder(element)
        facts = read_facts(folder)
        standing = board.standing(run_id, facts)
        if standing is None or standing.state == "ended":
            continue
        chosen.add(run_id)
        # It does not begin again, whatever Slurm does; and while it trains it looks at the mark itself (task.py).
        element.array.cancelled(element.index).touch()
        training = is_training(facts, folder)
        if training:
            write_json(folder / "cancelled.json", {"cancelled": now()})
        (stops if training else ends).append(element)
    untold, problem = _scancel(ends)
    _scancel(stops, "--signal=USR2")  # sooner than it would look
    found.asked_to_stop.extend(board.folder(element).name for element in stops)
    still = untold | _still_there([element for element in ends if element.slurm_id not in untold])
    for element in ends:
        if element.slurm_id not in still:
            found.dequeued.append(board.folder(element).name)
            continue
        why = f"Slurm cannot be told ({problem})" if element.slurm_id in untold else _refused(problem)
        found.out_of_reach[board.folder(element).name] = (
            f"will not be trained, but {why}: job {element.slurm_id} stays in its queue; the same command later"
        )
    return chosen


def _scancel(elements: Sequence[Element], *words: str) -> tuple[set[str], str]:
    """Tell Slurm; returns the ids that it may not have heard of, and what it had to say against others."""
    ids = [slurm_id for element in elements if (slurm_id := element.slurm_id)]
    problem = ""
    for start in range(0, len(ids), _AT_ONCE):
        reply = command("scancel", *words, *ids[start : start + _AT_ONCE])
        if reply.code and (reply.silent or not any(word in reply.said for word in _OVER)):
            problem = _OF_A_JOB.sub("", reply.problem) or f"scancel ended with code {reply.code}"
        if reply.silent or not reply.ran:
            return set(ids[start:]), problem
    return set(), problem


def _refused(problem: str) -> str:
    return f"scancel has not taken it out{f' ({problem})' if problem else ''}"


def _still_there(elements: Sequence[Element]) -> set[str]:
    """The elements that Slurm still has although it was told: what scancel's exit code says is not enough."""
    ids = [slurm_id for element in elements if (slurm_id := element.slurm_id)]
    end, wait = time.monotonic() + _TAKES, 0.1
    while ids:
        answer = ask(ids, anew=True)
        there = {i for i in ids if (told := answer.of(i)) and told.active and told.state not in _GONE}
        if answer.problem or not there or time.monotonic() > end:
            return there
        time.sleep(wait)
        wait *= 2
    return set()


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
