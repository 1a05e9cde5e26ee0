"""What a Slurm job runs: find the run in the array's folder, train it, and see that it goes on elsewhere.

Every process of a run begins here. A signal before the time limit, or when the job is preempted, lets the
run save; then process 0 asks Slurm to start the job again. A cancelled run is not started again, nor one
that attempt after attempt came no further.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.config import RunConfig, validate
from simplify.dispatch.cancel import cancel
from simplify.errors import AlreadyRunning, Interrupted, RunFolderError, SimplifyError, TrainingFailed, UserError
from simplify.program import forget_group
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Job, Queue
from simplify.runs.scheduler import command
from simplify.runs.slurm import Array, read_array

Train = Callable[[RunConfig, Job, Mapping[str, Any], int], None]
_LAST_LINES = 20


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
        return RunFolder(self.root / self.job.name, self.job.run_id)

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
    for number in (signal.SIGUSR2, signal.SIGUSR1):  # ignored for as long as nobody could handle them
        signal.signal(number, signal.SIG_DFL)
    place = _place(folder)
    if place is None or not _is_wanted(place):
        return
    try:
        _settle_in(place)
        config = validate(RunConfig, place.job.config)  # by the code of today, if there is no snapshot
        train(config, place.job, place.origin, config.cluster.max_stalled)
    except Interrupted as stop:
        # the processes other than 0 leave without a word: srun would end 0 for their exit codes
        if place.rank == 0 and not _goes_on(place, stop):
            raise
    except AlreadyRunning as other:  # the cluster believed a process dead that is not
        print(other, flush=True)
    except Exception as error:
        if place.rank == 0:
            _note_failure(place, error)
        raise


def _place(folder: Path) -> Place | None:
    array = read_array(folder)
    index = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    job = array.job(index) if array else None
    if array is None or job is None:
        print(f"{folder}: holds no run {index}; it was cancelled, or removed", flush=True)
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
        print(f"job {_own_id()}: the run was given up, or to job {known}; nothing to do", flush=True)
        return False
    array.reopen()
    return not array.cancelled(place.index).exists()


def _settle_in(place: Place) -> None:
    """The folder, the variables and the log that the run expects."""
    job = place.job
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
    if place.rank == 0:
        place.folder.path.mkdir(parents=True, exist_ok=True)
        if not (place.folder.path / "config.yaml").exists():
            place.folder.keep_config(job.config)
        _print_into(place.folder.log)
        print(f"--- job {place.element} on {os.environ.get('SLURM_JOB_NODELIST', '?')}", flush=True)


def _print_into(log: Path) -> None:
    """From here on everything this process prints goes into the run's log."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    sys.stdout.flush()
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)


def _goes_on(place: Place, stop: Interrupted) -> bool:
    """Have the job started again, unless somebody wants it to end; whether all is as it was wanted."""
    print(stop, flush=True)
    if place.array.cancelled(place.index).exists():
        return True
    if stop.signal in (signal.SIGTERM, signal.SIGINT):  # scancel's signal, and some sites' way to preempt
        _, out, _ = command("squeue", "-h", "-j", place.element, "-o", "%T")
        if out.strip() != "RUNNING":
            return False
    code, _, problem = command("scontrol", "requeue", place.element)
    print(f"job {place.element}: requeued" if not code else f"job {place.element}: not requeued: {problem}", flush=True)
    return not code


def _note_failure(place: Place, error: Exception) -> None:
    """Write down what ended the run where training itself did not get to it, and stop the others if asked to."""
    if not isinstance(error, TrainingFailed):
        facts = {"cause": "refused", "message": str(error), "traceback": []}
        if not isinstance(error, SimplifyError):
            lines = "".join(traceback.format_exception(error)).strip().splitlines()[-_LAST_LINES:]
            facts = {"cause": "exception", "message": f"{type(error).__name__}: {error}", "traceback": lines}
        with contextlib.suppress(OSError):
            if isinstance(error, UserError) or place.folder.error() is None:
                place.folder.end("error", facts)
    if place.job.fail_fast and place.job.sweep:
        cancel(Queue(place.root), sweep=place.job.sweep)


def _own_id() -> str:
    return os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ["SLURM_JOB_ID"]
