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
from simplify.dispatch.batch import Request, Runs, sbatch
from simplify.errors import ConfigError, UserError
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Queue
from simplify.runs.scheduler import command
from simplify.runs.slurm import Array, new_array
from simplify.runs.state import Board

_TAGS = ("%j", "%t", "%A", "%a")  # submitit replaces them in paths
_MAX_ARRAY_SIZE = 1001  # Slurm's own default


@dataclass(frozen=True)
class Submitted:
    """What came of a submission."""

    added: int
    jobs: list[str]  # Slurm's ids
    problems: list[str]


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
    ids: dict[int, str] = {}
    problems: list[str] = []
    added = 0
    for number, array in arrays.items():
        request = wanted[number]
        try:
            job_id = sbatch(array, request, asked.code, [*request.behind, *_known(ids, request.after)])
        except UserError as error:
            shutil.rmtree(array.folder, ignore_errors=True)
            problems += str(error).splitlines()
            continue
        array.note_id(job_id)
        ids[number] = job_id
        added += len(array.runs)
    return Submitted(added, list(ids.values()), problems)


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
    _, out, _ = command("scontrol", "show", "config")
    for line in out.splitlines():
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
        for run_id, name in array.runs:
            element = board.slurm.element(run_id)
            newest = element is not None and element.array.token == array.token
            state = board.state(run_id, board.slurm.root / name) if newest else "done"
            over += state not in ("queued", "running", "unknown")
    return arrays, over


def _known(ids: Mapping[int, str], number: int | None) -> list[str]:
    return [ids[number]] if number is not None and number in ids else []


def _is_free(board: Board, folder: RunFolder) -> bool:
    return board.state(folder.run_id, folder.path) not in ("queued", "running", "unknown", "done")
