"""The batch script of an array, by submitit, and what sbatch makes of it.

submitit knows sbatch's options and hands the script over; what the job then runs is our own program, which is
given the folder of the array and finds its run there. So nothing is pickled, and a job whose submitter died
before it had the id has all it needs.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simplify.config import ClusterConfig, RunConfig, show
from simplify.errors import UserError
from simplify.program import program
from simplify.runs.folder import RunFolder
from simplify.runs.scheduler import command
from simplify.runs.slurm import Array

if TYPE_CHECKING:
    import submitit

# A signal that comes before Python has its handlers must not kill it.
_IGNORE = ("sh", "-c", "trap '' USR2; exec \"$@\"", "sh")
_SAME_NAMES = (
    "partition",
    "account",
    "qos",
    "constraint",
    "exclude",
    "gpus_per_node",
    "gres",
    "cpus_per_task",
    "mem",
    "wckey",
)
Runs = Sequence[tuple[RunFolder, RunConfig]]


@dataclass(frozen=True)
class Request:
    """What one array asks for: runs that want the same, and how many of them at the same time."""

    cluster: ClusterConfig
    runs: Runs
    parallel: int | None
    after: int | None = None  # the number of the array it waits for, where fewer than one run each would be allowed
    behind: tuple[str, ...] = ()  # jobs of an earlier submission that it waits for, for the same reason


def script(array_folder: Path, count: int, request: Request, name: str, code: Path | None) -> str:
    """The text that sbatch is given for an array of `count` runs."""
    executor = _executor(array_folder, count, request, name, ())
    return executor._make_submission_file_text(_task_command(array_folder, code), "")


def test_only(text: str) -> str:
    """What `sbatch --test-only` says: when the job would begin, or why it would not; nothing is submitted."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file, _clean():
        file.write(text)
        file.flush()
        try:
            done = subprocess.run(
                ["sbatch", "--test-only", file.name], capture_output=True, text=True, timeout=60, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f"sbatch --test-only: {error}"
    said = (done.stderr + done.stdout).strip().splitlines()
    return explained("\n".join(said), request=None) if said else "sbatch --test-only says nothing"


def sbatch(array: Array, request: Request, code: Path | None, after: Sequence[str]) -> str:
    """Submit an array, to begin once the jobs `after` have ended; returns Slurm's id. Raises UserError if refused."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = _executor(array.folder, len(array.runs), request, array.name, after)
    try:
        # clean also inside a job, whose variables would become the new job's; submitit prints what it raises as well
        with _clean(), contextlib.redirect_stderr(io.StringIO()):
            return executor._submit_command(_task_command(array.folder, code)).job_id
    except (FailedJobError, FailedSubmissionError) as error:
        raise UserError(explained(str(error), request)) from None


@contextlib.contextmanager
def _clean() -> Iterator[None]:
    """submitit's own context, which would also forget where the cluster is described."""
    from submitit.helpers import clean_env

    kept = os.environ.get("SLURM_CONF")
    with clean_env():
        if kept is not None:
            os.environ["SLURM_CONF"] = kept
        yield


def _executor(folder: Path, count: int, request: Request, name: str, after: Sequence[str]) -> submitit.SlurmExecutor:
    import submitit

    cluster = request.cluster
    place = str(folder).replace("%", "%%")
    output = f"{place}/%A_%a.out" if count > 1 else f"{place}/%j_0.out"
    # not the job's own --output: each line of every process, as it comes
    srun = ["--output", output, "--kill-on-bad-exit=1"]
    setup = ["set -e", *cluster.setup, "set +e"] if cluster.setup else []  # training without it would be another run
    if cluster.cpus_per_task is not None:
        setup.append(f"export SRUN_CPUS_PER_TASK={cluster.cpus_per_task}")  # srun no longer inherits it
        if cluster.cpu_threads is None:
            setup.append(f"export OMP_NUM_THREADS={cluster.cpus_per_task}")
    more = {"output": output, "requeue": True, **cluster.additional_parameters}
    executor = submitit.SlurmExecutor(folder)
    executor.update_parameters(
        job_name=name,
        time=cluster.timeout,
        nodes=cluster.nodes,
        ntasks_per_node=cluster.tasks // cluster.nodes,
        **{key: getattr(cluster, key) for key in _SAME_NAMES},
        signal_delay_s=cluster.signal_seconds,
        array_parallelism=request.parallel or count,
        dependency=f"afterany:{':'.join(after)}" if after else None,
        setup=setup or None,
        srun_args=srun,
        stderr_to_stdout=True,
        additional_parameters={key: value for key, value in more.items() if value is not False},
    )
    if count > 1:
        executor.parameters["map_count"] = count  # as submitit's own map_array does
    return executor


def _task_command(folder: Path, code: Path | None) -> str:
    return shlex.join([*_IGNORE, *program("task", str(folder), code=code)])


def explained(said: str, request: Request | None) -> str:
    """What sbatch refuses, with the setting that asks for it."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith('Try "sbatch')]
    errors = [line.removeprefix("sbatch: error: ") for line in lines if line.startswith("sbatch: error: ")]
    # the last line only says that it failed, unless it is the only one
    text = errors[0].removeprefix("Batch job submission failed: ") if errors else _told(lines)
    cluster = request.cluster if request else None
    for words, names, valid in _REFUSALS:
        if words in text:
            asked = {name: getattr(cluster, name) for name in names} if cluster else dict.fromkeys(names)
            shown = " ".join(f"cluster.{name}={show(value)}" for name, value in asked.items() if value)
            listed = valid() if callable(valid) else valid
            return f"{shown or f'cluster.{names[0]}'}: Slurm refuses it: {text}; valid: {listed}"
    return f"sbatch: {text}"


def _told(lines: Sequence[str]) -> str:
    told = [line.removeprefix("sbatch: ") for line in lines if line.startswith("sbatch: ")] or list(lines)
    return next((line for line in told if "unrecognized" in line), told[-1] if told else "it says nothing")


def _partitions() -> str:
    _, out, _ = command("sinfo", "-h", "-o", "%R")
    return ", ".join(dict.fromkeys(out.split()))


_NODE = ("nodes", "tasks_per_node", "cpus_per_task", "gpus_per_node", "gres", "mem")
_REFUSALS: tuple[tuple[str, tuple[str, ...], str | Callable[[], str]], ...] = (
    ("invalid partition", ("partition",), _partitions),
    ("Invalid account", ("account",), "an account of yours (sacctmgr show associations user=$USER)"),
    ("Invalid qos", ("qos",), "a QOS of yours (sacctmgr show qos)"),
    ("Invalid generic resource", ("gres", "gpus_per_node"), "GPUs as this cluster names them (sinfo -o %G)"),
    ("Memory specification can not be satisfied", ("mem",), "less than a node has (sinfo -o %m)"),
    ("time limit", ("timeout",), "less than the partition's limit (sinfo -o %l)"),
    ("node configuration is not available", _NODE, "what some node has (sinfo -o '%c %m %G')"),
    ("CPU count per node can not be satisfied", _NODE, "what some node has (sinfo -o '%c %m %G')"),
    ("Invalid feature", ("constraint",), "features of nodes (sinfo -o %f)"),
    ("unrecognized option", ("additional_parameters",), "long names of sbatch's options (sbatch --help)"),
    ("eservation", ("additional_parameters",), "a reservation of yours (scontrol show reservation)"),
)
