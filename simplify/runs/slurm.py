"""What was submitted to Slurm, kept beside the run folders.

<run root>/.slurm/<token>/array.json     the job's name and its runs, in the order of its elements; who submitted it
<run root>/.slurm/<token>/<n>.json       run n, frozen: all that the job is handed
<run root>/.slurm/<token>/job_id         the id, once Slurm has said it
<run root>/.slurm/<token>/unanswered     sbatch ended without an answer: Slurm may have the job or not
<run root>/.slurm/<token>/missed         when Slurm first said that it has no job of that name
<run root>/.slurm/<token>/<n>.cancelled  run n is not to begin (again)
<run root>/.slurm/<token>/over           nothing has to be asked about it any more
<run root>/.slurm/<token>/<n>.word       made as run n begins; why it failed, where its own folder could not take that
<run root>/.slurm/<token>/<id>_<n>.out   what Slurm itself and srun said

All but `job_id` and the marks is written before Slurm is told. So a submitter that is killed in between, or an
answer that is lost, leaves an array without an id, whose job is found again by its name, or was never made.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from simplify.runs import shapes
from simplify.runs.files import read_json, write_json, write_whole
from simplify.runs.folder import now
from simplify.runs.last_word import LastWord
from simplify.runs.process import is_alive, this_process
from simplify.runs.queue import Job, read_job
from simplify.runs.scheduler import find_by_name

_IN_FLIGHT = 10.0  # seconds, counted from an answer, that Slurm may take to make a job whose sbatch was not answered
_ID = re.compile(r"\d+")


@dataclass(frozen=True)
class Array:
    """One job: an array of runs that ask for the same, or one run."""

    folder: Path
    name: str  # of the job; no other job has it
    runs: Sequence[tuple[str, str]]  # id and folder name, by element
    created: str
    submitter: Mapping[str, Any]
    sweep: str | None = None
    fail_fast: bool = False
    parallel: int | None = None  # runs of it at the same time

    @property
    def token(self) -> str:
        """What names it in the run root."""
        return self.folder.name

    @property
    def job_id(self) -> str | None:
        """Slurm's id; None before it is known, and where what was kept is none."""
        with contextlib.suppress(OSError, ValueError):
            found = (self.folder / "job_id").read_text().strip()
            return found if _ID.fullmatch(found) else None
        return None

    def element(self, index: int) -> str | None:
        """Slurm's name for run `index`: 123_4, or 123 where the job has one run."""
        job_id = self.job_id
        return job_id if job_id is None or len(self.runs) == 1 else f"{job_id}_{index}"

    def job(self, index: int) -> Job | None:
        """Run `index`, as it was frozen."""
        return read_job(self.folder / f"{index}.json")

    def cancelled(self, index: int) -> Path:
        """The mark that run `index` is not to begin."""
        return self.folder / f"{index}.cancelled"

    def last_word(self, index: int) -> LastWord:
        """Why run `index` failed, where its folder could not take that."""
        return LastWord(self.folder / f"{index}.word")

    def out(self, index: int) -> Path:
        """What Slurm and srun said of run `index`."""
        return self.folder / f"{self.job_id}_{index if len(self.runs) > 1 else 0}.out"

    def note_id(self, job_id: str) -> None:
        """Keep the id."""
        write_whole(self.folder / "job_id", job_id + "\n")

    def note_unanswered(self) -> None:
        """Keep that its submitter knows no more than others whether Slurm has it."""
        with contextlib.suppress(OSError):
            (self.folder / "unanswered").touch()

    @property
    def is_over(self) -> bool:
        """Whether nothing has to be asked about it any more."""
        return (self.folder / "over").exists()

    def close(self) -> None:
        """Nothing has to be asked about it any more."""
        (self.folder / "over").touch()

    def reopen(self) -> None:
        """It is at work again."""
        (self.folder / "over").unlink(missing_ok=True)


def arrays_folder(root: Path) -> Path:
    """Where a run root keeps what was submitted."""
    return root / ".slurm"


def new_array(root: Path, label: str, jobs: Sequence[Job], parallel: int | None = None) -> Array:
    """Write down an array before it is submitted."""
    token = f"{time.time_ns() // 1_000_000:x}-{uuid.uuid4().hex[:6]}"  # sorts by time
    folder = arrays_folder(root) / token
    folder.mkdir(parents=True)
    for index, job in enumerate(jobs):
        write_whole(folder / f"{index}.json", json.dumps(asdict(job)), sync=False)
    array = Array(
        folder=folder,
        name=f"{label[:40]}.{token}",
        runs=tuple((job.run_id, job.name) for job in jobs),
        created=now(),
        submitter=this_process(),
        sweep=jobs[0].sweep,
        fail_fast=jobs[0].fail_fast,
        parallel=parallel,
    )
    told = {field.name: getattr(array, field.name) for field in fields(array) if field.name != "folder"}
    write_json(folder / "array.json", told)
    return array


def read_array(folder: Path) -> Array | None:
    """An array; None where it is not whole."""
    data = read_json(folder / "array.json", shapes.Array)
    try:
        return Array(folder, **{**data, "runs": tuple(map(tuple, data["runs"]))}) if data else None
    except (TypeError, KeyError):
        return None


def open_arrays(root: Path) -> list[Array]:
    """The arrays of which something may still wait or run, oldest first."""
    try:
        names = sorted(os.listdir(arrays_folder(root)))
    except OSError:
        return []
    folders = [arrays_folder(root) / name for name in names]
    return [array for f in folders if not (f / "over").exists() and (array := read_array(f))]


def adopt(array: Array) -> str | None:
    """See that an array has its job's id, or is closed where there is no job; returns why that cannot be told.

    One whose submitter still lives is left to it. A controller that was away may make the job after its first answer:
    there is none only if it says so twice, some seconds apart.
    """
    if array.job_id is not None or _has_submitter(array):
        return None
    job_id, problem = find_by_name(array.name)
    missed = array.folder / "missed"
    with contextlib.suppress(OSError):  # looking needs no right to write
        if job_id is not None:
            array.note_id(job_id)
        elif problem is None and not missed.exists():
            missed.touch()
        elif problem is None and not _is_young(missed):
            array.close()
    return problem


def is_being_submitted(array: Array) -> bool:
    """Whether its submitter may still be about to tell Slurm, or Slurm about to make the job."""
    return _has_submitter(array) or _is_young(array.folder / "missed")


def _has_submitter(array: Array) -> bool:
    return not (array.folder / "unanswered").exists() and is_alive(array.submitter, array.folder / "array.json")


def _is_young(mark: Path) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - mark.stat().st_mtime < _IN_FLIGHT
    return False
