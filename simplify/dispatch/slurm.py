"""Runs onto a Slurm cluster: one job array for each distinct request, written down before Slurm is told.

Whoever is killed in between leaves an array that has no id yet: its job is found again by its name, or was
never made (`simplify.runs.slurm`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from simplify.config import RunConfig
from simplify.dispatch.asked import Asked, job_of
from simplify.dispatch.batch import NotTried, Request, Runs, Unanswered, sbatch
from simplify.errors import ConfigError, UserError
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Queue
from simplify.runs.slurm import Array, new_array
from simplify.runs.slurm_command import command
from simplify.runs.state import Board

_TAGS = ("%j", "%t", "%A", "%a")  # submitit replaces them in paths
_MAX_ARRAY_SIZE = 1001  # Slurm's own default


@dataclass(frozen=True)
class Submitted:
    """What came of a submission."""

    added: int
    jobs: list[str]  # Slurm's ids
    problems: list[str]  # what Slurm refused
    unknown: list[str]  # what it may have, or was not asked for: nothing is wrong


def requests(runs: Runs, limit: int | None = None, before: Sequence[Array] = (), ended: int = 0) -> list[Request]:
    """The arrays that runs come to: alike requests together, each below the cluster's MaxArraySize (`limit`).

    `before` are arrays of the same sweep that may still be at work, with `ended` of their runs over: what
    they may run at the same time counts against max_parallel, and where nothing is left of it, the new ones
    begin after them.
    """
    groups: dict[str, list[tuple[RunFolder, RunConfig]]] = {}
    for folder, config in runs:
        groups.setdefault(config.cluster.model_dump_json(), []).append((folder, config))
    chunks = [chunk for group in groups.values() for chunk in _chunks(group, limit or max_array_size())]
    left = sum(len(array.runs) for array in before) - ended
    taken = min(sum(array.parallel or len(array.runs) for array in before), left)
    found: list[Request] = []
    for number, chunk in enumerate(chunks):
        cluster, most = chunk[0][1].cluster, chunk[0][1].cluster.max_parallel
        if most is None:
            found.append(Request(cluster, chunk, None))
            continue
        behind = tuple(job_id for array in before if (job_id := array.job_id)) if taken >= most else ()
        free = most if behind or taken >= most else most - taken
        parallel = min(max(free // len(chunks), 1), len(chunk))
        found.append(Request(cluster, chunk, parallel, number - free if number >= free else None, behind))
    return found


def submit(root: Path, runs: Runs, asked: Asked) -> Submitted:
    """Submit runs, frozen; those that wait or are being trained already are left alone."""
    refuse_without_slurm(root)
    limit = max_array_size()
    with Queue(root).locked():
        board = Board(root)
        wanted = requests(runs, limit, *_at_work(board, asked.sweep))
        label = asked.sweep or (runs[0][0].path.name if runs else "")
        arrays = {
            number: new_array(root, label, jobs, request.parallel)
            for number, request in enumerate(wanted)
            if (jobs := [job_of(f, config, root, asked) for f, config in request.runs if _is_free(board, f)])
        }
    return _submit_each(arrays, wanted, asked.code)


def _submit_each(arrays: Mapping[int, Array], wanted: Sequence[Request], code: Path | None) -> Submitted:
    """Hand arrays to sbatch. Only what Slurm certainly does not have is taken back."""
    ids: dict[int, str] = {}
    problems: list[str] = []
    unknown: list[str] = []
    todo = dict(arrays)
    try:
        for number, array in arrays.items():
            request = wanted[number]
            try:
                array.note_id(sbatch(array, request, code, [*request.behind, *_known(ids, request.after)]))
            except UserError as error:
                problems += str(error).splitlines()
                _take_back(todo.pop(number))
                continue
            except Unanswered as error:
                unknown.append(_may_be_there(todo.pop(number), error))
                break  # others might have to wait for this one
            ids[number] = todo.pop(number).job_id or ""
    except NotTried:
        pass
    finally:
        for array in todo.values():
            _take_back(array)
    if todo:
        runs = _counted(sum(len(array.runs) for array in todo.values()))
        unknown.append(f"{runs} not submitted, since Slurm does not answer; nothing is lost: the same command later")
    return Submitted(sum(len(arrays[number].runs) for number in ids), list(ids.values()), problems, unknown)


def _take_back(array: Array) -> None:
    shutil.rmtree(array.folder, ignore_errors=True)


def _may_be_there(array: Array, why: Unanswered) -> str:
    return (
        f"{_counted(len(array.runs))}: whether Slurm has taken the job is not known yet ({why}); simplify status "
        "finds it by its name, and nothing is submitted twice"
    )


def _counted(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"


def refuse_without_slurm(root: Path) -> None:
    """Raise ConfigError where jobs cannot be submitted from here."""
    missing = [name for name in ("sbatch", "srun", "squeue", "scontrol") if shutil.which(name) is None]
    if missing:
        raise ConfigError(
            f"cluster.kind=slurm: {missing[0]} is not on this machine; valid here: cluster=local, or run this command "
            "on the cluster's login node"
        )
    found = next((tag for tag in _TAGS if tag in str(root)), None)
    if found:
        raise ConfigError(f"run_root={root}: Slurm puts a job's number in place of {found}; valid: a path without it")


def max_array_size() -> int:
    """Elements that an array of this cluster may have."""
    for line in command("scontrol", "show", "config").out.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize" and value.strip().isdigit():
            return max(int(value), 1)
    return _MAX_ARRAY_SIZE


def _chunks(pairs: Runs, size: int) -> Iterator[Runs]:
    rest = iter(pairs)
    while chunk := list(islice(rest, size)):
        yield chunk


def _at_work(board: Board, sweep: str | None) -> tuple[list[Array], int]:
    """The arrays of a sweep that may still be at work, and how many of their runs are over."""
    arrays = [array for array in board.slurm.arrays if sweep is not None and array.sweep == sweep]
    over = 0
    for array in arrays:
        for run_id, _ in array.runs:
            element = board.slurm.element(run_id)
            newest = element is not None and element.array.token == array.token
            state = board.state(run_id, board.slurm.folder(element)) if element and newest else "done"
            over += state not in ("queued", "running", "unknown")
    return arrays, over


def _known(ids: Mapping[int, str], number: int | None) -> list[str]:
    return [ids[number]] if number is not None and number in ids else []


def _is_free(board: Board, folder: RunFolder) -> bool:
    return board.state(folder.run_id, folder.path) not in ("queued", "running", "unknown", "done")
