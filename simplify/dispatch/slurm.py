"""Runs onto a Slurm cluster: one job array for each distinct request, written down before Slurm is told.

submitit writes the batch script and hands it to sbatch; what the job then runs is our own program, which
is given the folder of the array and finds its run there. So nothing is pickled, and a job whose submitter
died before it had the id has all it needs.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.config import ClusterConfig, RunConfig
from simplify.dispatch.asked import Asked, job_of
from simplify.errors import ConfigError, UserError
from simplify.program import program
from simplify.runs.folder import RunFolder
from simplify.runs.queue import Queue
from simplify.runs.scheduler import command
from simplify.runs.slurm import Array, arrays_folder, new_array
from simplify.runs.state import Board

if TYPE_CHECKING:
    import submitit

_TAGS = ("%j", "%t", "%A", "%a")  # submitit replaces them in paths
_MAX_ARRAY_SIZE = 1001  # Slurm's own default
# A signal that comes before Python has its handlers must not kill it.
_IGNORE = ("sh", "-c", "trap '' USR2; exec \"$@\"", "sh")
Runs = Sequence[tuple[RunFolder, RunConfig]]


@dataclass(frozen=True)
class Request:
    """What one array asks for: runs that want the same, and how many of them at the same time."""

    cluster: ClusterConfig
    runs: Runs
    parallel: int | None
    after: int | None = None  # the number of the array it waits for, where fewer than one run each would be allowed


@dataclass(frozen=True)
class Submitted:
    """What came of a submission."""

    added: int
    jobs: list[str]  # Slurm's ids
    problems: list[str]


def requests(runs: Runs, limit: int | None = None) -> list[Request]:
    """The arrays that runs come to: alike requests together, each below the cluster's MaxArraySize (`limit`)."""
    groups: dict[str, list[tuple[RunFolder, RunConfig]]] = {}
    for folder, config in runs:
        groups.setdefault(config.cluster.model_dump_json(), []).append((folder, config))
    chunks = [chunk for group in groups.values() for chunk in _chunks(group, limit or max_array_size())]
    found: list[Request] = []
    for number, chunk in enumerate(chunks):
        cluster = chunk[0][1].cluster
        parallel = None if cluster.max_parallel is None else max(cluster.max_parallel // len(chunks), 1)
        chained = parallel is not None and number >= (cluster.max_parallel or 0)
        found.append(Request(cluster, chunk, parallel, number - (cluster.max_parallel or 0) if chained else None))
    return found


def submit(root: Path, runs: Runs, asked: Asked) -> Submitted:
    """Submit runs, frozen; those that wait or are being trained already are left alone."""
    refuse_without_slurm(root)
    wanted = requests(runs)
    with Queue(root).locked():
        board = Board(root)
        free = [[pair for pair in request.runs if _is_free(board, pair[0])] for request in wanted]
        label = asked.sweep or (runs[0][0].path.name if runs else "")
        arrays = [
            (request, new_array(root, label, [job_of(folder, config, root, asked) for folder, config in pairs]))
            for request, pairs in zip(wanted, free, strict=True)
            if pairs
        ]
    jobs: list[str] = []
    problems: list[str] = []
    added = 0
    for request, array in arrays:
        after = jobs[request.after] if request.after is not None and request.after < len(jobs) else None
        try:
            job_id = _sbatch(array, request, asked, after)
        except UserError as error:
            shutil.rmtree(array.folder, ignore_errors=True)
            problems += str(error).splitlines()
            continue
        array.note_id(job_id)
        jobs.append(job_id)
        added += len(array.runs)
    return Submitted(added, jobs, problems)


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


def script(array_folder: Path, count: int, request: Request, name: str, code: Path | None) -> str:
    """The text that sbatch is given for an array of `count` runs."""
    executor = _executor(array_folder, count, request, name, None)
    return executor._make_submission_file_text(_task_command(array_folder, code), "")


def test_only(text: str) -> str:
    """What `sbatch --test-only` says: when the job would begin, or why it would not; nothing is submitted."""
    import subprocess
    import tempfile

    from submitit.helpers import clean_env

    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file, _clean(clean_env):
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


def _is_free(board: Board, folder: RunFolder) -> bool:
    return board.state(folder.run_id, folder.path) not in ("queued", "running", "unknown", "done")


def _sbatch(array: Array, request: Request, asked: Asked, after: str | None) -> str:
    """Slurm's id of the array. Raises UserError where it is refused."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError
    from submitit.helpers import clean_env

    executor = _executor(array.folder, len(array.runs), request, array.name, after)
    try:
        # clean also inside a job, whose variables would become the new job's; submitit prints what it raises as well
        with _clean(clean_env), contextlib.redirect_stderr(io.StringIO()):
            return executor._submit_command(_task_command(array.folder, asked.code)).job_id
    except (FailedJobError, FailedSubmissionError) as error:
        raise UserError(explained(str(error), request)) from None


def _clean(clean_env: Any) -> Any:
    """submitit's context, which would also forget where the cluster is described."""

    @contextlib.contextmanager
    def context() -> Iterator[None]:
        kept = os.environ.get("SLURM_CONF")
        with clean_env():
            if kept is not None:
                os.environ["SLURM_CONF"] = kept
            yield

    return context()


def _executor(folder: Path, count: int, request: Request, name: str, after: str | None) -> submitit.SlurmExecutor:
    import submitit

    cluster = request.cluster
    place = str(folder).replace("%", "%%")
    output = f"{place}/%A_%a.out" if count > 1 else f"{place}/%j_0.out"
    # not the job's own --output: each line of every process, as it comes
    srun = ["--output", output, "--kill-on-bad-exit=1"]
    setup = [*cluster.setup]
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
        dependency=f"afterany:{after}" if after else None,
        setup=setup or None,
        srun_args=srun,
        stderr_to_stdout=True,
        additional_parameters={key: value for key, value in more.items() if value is not False},
    )
    if count > 1:
        executor.parameters["map_count"] = count  # as submitit's own map_array does
    return executor


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


def _task_command(folder: Path, code: Path | None) -> str:
    return shlex.join([*_IGNORE, *program("task", str(folder), code=code)])


def explained(said: str, request: Request | None) -> str:
    """What sbatch refuses, with the setting that asks for it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("sbatch: error: ") for line in lines if line.startswith("sbatch: error: ")]
    # the last line only says that it failed, unless it is the only one
    text = errors[0].removeprefix("Batch job submission failed: ") if errors else lines[-1].removeprefix("sbatch: ")
    cluster = request.cluster if request else None

    def setting(name: str) -> str:
        return f"cluster.{name}" + (f"={getattr(cluster, name)}" if cluster else "")

    for words, name, valid in _REFUSALS:
        if words in text:
            listed = valid() if callable(valid) else valid
            return f"{setting(name)}: Slurm refuses it: {text}" + (f"; valid: {listed}" if listed else "")
    return f"sbatch: {text}"


def _partitions() -> str:
    _, out, _ = command("sinfo", "-h", "-o", "%R")
    return ", ".join(dict.fromkeys(out.split()))


_REFUSALS: tuple[tuple[str, str, Any], ...] = (
    ("invalid partition", "partition", _partitions),
    ("Invalid account", "account", "an account of yours (sacctmgr show associations user=$USER)"),
    ("Invalid qos", "qos", "a QOS of yours (sacctmgr show qos)"),
    ("Invalid generic resource", "gres", "GPUs as this cluster names them (sinfo -o %G)"),
    ("Memory specification can not be satisfied", "mem", "less than a node has (sinfo -o %m)"),
    ("time limit", "timeout", "less than the partition's limit (sinfo -o %l)"),
    ("Invalid feature", "constraint", "features of nodes (sinfo -o %f)"),
)


def slurm_folder(root: Path) -> Path:
    """Where the plan shows that a job would find its runs."""
    return arrays_folder(root) / "<token>"
