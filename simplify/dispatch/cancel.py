"""Cancelling: runs that wait leave the queue, runs that are being trained save and stop."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simplify.runs.facts import is_training, read_facts
from simplify.runs.files import write_json
from simplify.runs.folder import now
from simplify.runs.process import is_alive, is_local
from simplify.runs.queue import Queue, read_job
from simplify.runs.scheduler import command
from simplify.runs.slurm_board import Element, SlurmBoard

_OVER = ("Invalid job id", "already completing", "no longer", "not running")  # it has ended in the meantime
_AT_ONCE = 200  # ids in one scancel


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


def _cancel_local(queue: Queue, run_ids: Collection[str] | None, sweep: str | None, found: Cancelled) -> None:
    with queue.locked():
        wanted: dict[str, str] = {}  # id -> folder name, of what is in the queue
        for run_id, path in queue.waiting().items():
            job = read_job(path)
            if job and ((run_ids is not None and run_id in run_ids) or (sweep is not None and job.sweep == sweep)):
                wanted[run_id] = job.name
                path.unlink(missing_ok=True)
        claims = queue.claims()
    names = {**_training(queue.root, run_ids or ()), **wanted}
    for run_id, name in names.items():
        claim = claims.get(run_id) if queue.held(claims.get(run_id)) else None
        target = _target(queue.root / name, claim)
        if (target or claim) and not is_local(target or claim or {}):
            found.out_of_reach[name] = "is trained on another host; cancel it there"
        elif target is None:  # it waits; or is so close to its start that it will not find its job any more
            found.dequeued.append(name)
        else:
            write_json(queue.root / name / "cancelled.json", {"cancelled": now()})
            terminate(queue.root / name, claim)
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
        facts = read_facts(root / element.name)
        standing = board.standing(run_id, facts)
        if standing is None or standing.state == "ended":
            continue
        chosen.add(run_id)
        element.array.cancelled(element.index).touch()  # it does not begin again, whatever Slurm does
        training = is_training(facts, root / element.name)
        if training:
            write_json(root / element.name / "cancelled.json", {"cancelled": now()})
        (stops if training else ends).append(element)
    for elements, words, names in ((ends, [], found.dequeued), (stops, ["--signal=USR2"], found.asked_to_stop)):
        for element, problem in _scancel(elements, words):
            if problem:  # its mark is set all the same
                found.out_of_reach[element.name] = f"Slurm cannot be told ({problem}); it will not begin again"
            else:
                names.append(element.name)
    return chosen


def _scancel(elements: Iterable[Element], words: list[str]) -> Iterator[tuple[Element, str]]:
    """Tell Slurm; for each element why it could not be told, if so."""
    todo = list(elements)
    for start in range(0, len(todo), _AT_ONCE):
        part = todo[start : start + _AT_ONCE]
        ids = [slurm_id for element in part if (slurm_id := element.slurm_id)]
        code, _, problem = command("scancel", *words, *ids) if ids else (0, "", "")
        over = any(words in problem for words in _OVER)
        why = (problem or f"scancel ended with code {code}") if code and not over else ""
        yield from ((element, why if element.slurm_id else "") for element in part)


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
