"""What a Slurm job runs: find the run in the array's folder, train it, and see that it goes on elsewhere.

Every process of a run begins here. A signal before the time limit, or when the job is preempted, lets the
run save; then process 0 asks Slurm to start the job again. A cancelled run is not started again, nor one
that attempt after attempt came no further.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.config import RunConfig, validate
from simplify.dispatch.advance import go_on
from simplify.dispatch.cancel import cancel_the_rest
from simplify.display import print_into, tell
from simplify.errors import AlreadyRunning, Interrupted, RunFolderError, SimplifyError, TrainingFailed, UserError
from simplify.program import forget_group
from simplify.runs.files import storage_failure
from simplify.runs.folder import RunFolder
from simplify.runs.folders import folder_of
from simplify.runs.queue import Job, Queue
from simplify.runs.slurm import Array, read_array
from simplify.runs.slurm_command import command

Train = Callable[[RunConfig, Job, Mapping[str, Any], int], None]
_LAST_LINES = 20
_LOOK_EVERY = 5.0  # seconds between two looks for the mark of a cancelled run
_ONE_TRY = 10.0  # seconds for one answer of the controller
_TRIES = 90.0  # seconds in which it is asked again; a preempted job, or one near its limit, has not much more
_REFUSALS = 4  # said no so often: it means it
_ENDING = ("already completing", "already pending")  # it has heard an earlier try


@dataclass(frozen=True)
class Place:
    """Which element of which job this process is of."""

    array: Array
    index: int
    job: Job
    rank: int

    @property
    def root(self) -> Path:
        """The run root."""
        return self.array.folder.parents[1]

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return folder_of(self.root, self.job.run_id, self.job.name)  # it may have been renamed since

    @property
    def element(self) -> str:
        """Slurm's name for this element."""
        return _own_id() if len(self.array.runs) == 1 else f"{_own_id()}_{self.index}"

    @property
    def origin(self) -> dict[str, Any]:
        """What is kept with the attempt."""
        node = os.environ.get("SLURM_JOB_NODELIST", "")
        return {"array": self.array.token, "slurm": self.element, "node": node}


def run_task(folder: Path, train: Train) -> None:
    """Train this process' run. Raises what training raises."""
    for number in (signal.SIGUSR2, signal.SIGUSR1):  # once training handles them no longer they must not kill
        signal.signal(number, lambda *_: None)
    place = _place(folder)
    if place is None or not _is_wanted(place):
        return
    try:
        _settle_in(place)
        config = validate(RunConfig, place.job.config)  # by the code of today, if there is no snapshot
        _watch_for_cancel(place)
        train(config, place.job, place.origin, config.cluster.max_stalled)
    except Interrupted as stop:
        # the processes other than 0 leave without a word: srun would end 0 for their exit codes
        if place.rank == 0 and not _goes_on(place, stop):
            raise
    except AlreadyRunning as other:  # the cluster believed a process dead that is not
        tell(other)
    except Exception as error:
        if place.rank == 0:
            _note_failure(place, error)
            go_on(place.root, place.job.run_id, {})
        raise
    else:
        if place.rank == 0:
            go_on(place.root, place.job.run_id, {})


def _place(folder: Path) -> Place | None:
    array = read_array(folder)
    index = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    job = array.job(index) if array else None
    if array is None or job is None:
        tell(f"{folder}: holds no run {index}; it was cancelled, or removed")
        return None
    return Place(array, index, job, int(os.environ.get("SLURM_PROCID", "0")))


def _is_wanted(place: Place) -> bool:
    """Whether this job is the one that is to train the run."""
    array, known = place.array, place.array.job_id
    if known is None and not array.is_over:
        if place.rank == 0:
            array.note_id(_own_id())  # its submitter died before it could
        return not array.cancelled(place.index).exists()
    if known != _own_id():
        tell(f"job {_own_id()}: the run was given up, or to job {known}; nothing to do")
        return False
    array.reopen()
    return not array.cancelled(place.index).exists()


def _settle_in(place: Place) -> None:
    """The folder, the variables and the log that the run expects."""
    job = place.job
    if place.rank == 0:
        place.array.last_word(place.index).make_room()
        place.folder.path.mkdir(parents=True, exist_ok=True)
        if not (place.folder.path / "config.yaml").exists():
            place.folder.keep_config(job.config)
        print_into(place.folder.log)
        tell(f"--- job {place.element} on {os.environ.get('SLURM_JOB_NODELIST', '?')}")
    try:
        os.chdir(job.cwd)
    except OSError as error:
        raise RunFolderError(
            f"{job.cwd}: cannot be entered on this node: {error.strerror}; is it on a shared disk?"
        ) from None
    os.environ |= {"SIMPLIFY_RUNS": str(place.root), "SIMPLIFY_CACHE": job.cache, "PYTHONUNBUFFERED": "1"}
    if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        from submitit.helpers import TorchDistributedEnvironment

        TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
    else:
        forget_group()  # sbatch hands the submitting shell's variables on


def _goes_on(place: Place, stop: Interrupted) -> bool:
    """Have the job started again, unless somebody wants it to end; whether all is as it was wanted."""
    tell(stop)
    if place.array.cancelled(place.index).exists():
        return True
    if stop.signal in (signal.SIGTERM, signal.SIGINT):  # scancel's signal, and some sites' way to preempt
        seen = command("squeue", "-h", "-j", place.element, "-o", "%T", seconds=_ONE_TRY)
        if "RUNNING" not in seen.out.split():
            return False
    problem = _requeue(place)
    tell(f"job {place.element}: {f'not requeued: {problem}' if problem else 'requeued'}")
    if problem:
        why = f"{stop}; but Slurm was asked in vain to start the job again: {problem}"
        with contextlib.suppress(OSError):
            place.folder.end("error", {"cause": "not_requeued", "message": why, "traceback": []})
    return not problem


def _requeue(place: Place) -> str:
    """Ask Slurm to start the job again, until it has heard or the time is up; returns why it has not."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())  # the end, or that it was heard: what is begun is finished
    end, pause, refusals = time.monotonic() + _TRIES, 1.0, 0
    while True:
        reply = command("scontrol", "requeue", place.element, seconds=_ONE_TRY)
        if not reply.code or any(word in reply.said for word in _ENDING):
            return ""
        refusals += not reply.silent
        tell(f"job {place.element}: not requeued yet: {reply.problem}")
        if ended.wait(pause) or refusals > _REFUSALS or time.monotonic() > end:
            return reply.problem or f"scontrol ended with code {reply.code}"
        pause = min(2 * pause, _ONE_TRY)


def _watch_for_cancel(place: Place) -> None:
    """Let the run stop when its mark appears: cancelling needs no controller then, and no signal can get lost."""
    mark = place.array.cancelled(place.index)

    def watch() -> None:
        while not mark.exists():
            time.sleep(_LOOK_EVERY)
        os.kill(os.getpid(), signal.SIGUSR2)

    threading.Thread(target=watch, daemon=True, name="cancelled?").start()


def _note_failure(place: Place, error: Exception) -> None:
    """Write down what ended the run where training itself did not get to it, and stop the others if asked to."""
    facts = _facts_of(place, error)
    try:
        if isinstance(error, UserError) or place.folder.error() is None:
            place.folder.end("error", facts)
    except OSError:  # the folder is gone, or its disk is full
        place.array.last_word(place.index).say(facts)
    cancel_the_rest(Queue(place.root), place.job, place.folder)


def _facts_of(place: Place, error: Exception) -> dict[str, Any]:
    """What error.json is to say."""
    known = storage_failure(error, place.root) if isinstance(error, OSError) else error
    if isinstance(known, TrainingFailed):
        return {"cause": known.cause, "message": str(known), **known.facts, "traceback": []}
    if isinstance(error, SimplifyError):
        return {"cause": "refused", "message": str(error), "traceback": []}
    lines = "".join(traceback.format_exception(error)).strip().splitlines()[-_LAST_LINES:]
    return {"cause": "exception", "message": f"{type(error).__name__}: {error}", "traceback": lines}


def _own_id() -> str:
    return os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ["SLURM_JOB_ID"]
