"""The batch script of an array, by submitit, and what sbatch makes of it.

submitit knows sbatch's options; what the job then runs is our own program, which is given the folder of the
array and finds its run there. So nothing is pickled, and a job whose submitter died before it had the id has
all it needs.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simplify.config import ClusterConfig, RunConfig, show
from simplify.errors import TryAgain, UserError
from simplify.program import program
from simplify.runs.folder import RunFolder
from simplify.runs.job_output import START
from simplify.runs.reasons import is_submit_limit, setting_of
from simplify.runs.slurm import Array
from simplify.runs.slurm_command import command, is_silent

if TYPE_CHECKING:
    import submitit

# A signal that comes before the run can handle it waits until it can (training/signals.py). One that comes even
# before Python, and kills, is answered by the batch script: it asks for what the run would have asked for.
_HOLD = "import signal as s; s.pthread_sigmask(s.SIG_BLOCK, [s.SIGUSR1, s.SIGUSR2]); "
_SURVIVE = "trap : USR1 USR2"
_REQUEUE = """\
code=$?
job=$SLURM_JOB_ID
again=$code
[ -z "${{SLURM_ARRAY_JOB_ID:-}}" ] || job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
[ $code = 143 ] && squeue -h -j $job -o %T | grep -qx RUNNING && again=140
if [ $again = 138 ] || [ $again = 140 ]; then
    for pause in 1 2 4 8 16; do
        [ -e {folder}/${{SLURM_ARRAY_TASK_ID:-0}}.cancelled ] || scontrol requeue $job && break
        sleep $pause
    done
fi
exit $code"""
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
# What sbatch says, among whatever else a site lets it print: with and without --parsable.
_ID = re.compile(r"(?:Submitted batch job )?(\d+)(?:;\S+| on cluster \S+)?")
Runs = Sequence[tuple[RunFolder, RunConfig]]


@dataclass(frozen=True)
class Request:
    """What one array asks for: runs that want the same, and how many of them at the same time."""

    cluster: ClusterConfig
    runs: Runs
    parallel: int | None
    after: int | None = None  # the number of the array it waits for, where fewer than one run each would be allowed
    behind: tuple[str, ...] = ()  # jobs of an earlier submission that it waits for, for the same reason


def script(
    array_folder: Path, count: int, request: Request, name: str, code: Path | None, after: Sequence[str] = ()
) -> str:
    """The text that sbatch is given for an array of `count` runs."""
    executor = _executor(array_folder, count, request, name, after)
    return executor._make_submission_file_text(_task_command(array_folder, code), "")


def test_only(text: str) -> str:
    """What `sbatch --test-only` says: when the job would begin, or why it would not; nothing is submitted."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(text)
        file.flush()
        reply = command("sbatch", "--test-only", file.name)
    said = (reply.said + reply.out).strip()
    return explained(said, request=None) if said else "sbatch --test-only says nothing"


class Unanswered(TryAgain):
    """sbatch was begun, and whether Slurm has the job now is not known."""


class NotTried(TryAgain):
    """Slurm does not answer other questions: sbatch was not begun."""


def sbatch(array: Array, request: Request, code: Path | None, after: Sequence[str]) -> str:
    """Submit an array, to begin once the jobs `after` have ended; returns Slurm's id.

    Raises UserError if it is refused, Unanswered if it may have been taken, NotTried.
    """
    if is_silent():
        raise NotTried("Slurm does not answer")
    file = array.folder / "batch.sh"
    file.write_text(script(array.folder, len(array.runs), request, array.name, code, after), encoding="utf-8")
    try:
        reply = command("sbatch", "--parsable", str(file))
    except BaseException:  # Ctrl-C
        array.note_unanswered()
        raise
    if not reply.code and (found := told_id(reply.out)):
        return found
    if reply.ran and (not reply.code or reply.silent or not reply.said.strip()):
        array.note_unanswered()
        raise Unanswered(reply.problem or f"sbatch ended with code {reply.code} and without the job's number")
    raise UserError(explained(reply.said, request))


def told_id(out: str) -> str | None:
    """The job's id, as sbatch prints it; None where there is none."""
    return next((match[1] for line in out.splitlines() if (match := _ID.fullmatch(line.strip()))), None)


def _executor(folder: Path, count: int, request: Request, name: str, after: Sequence[str]) -> submitit.SlurmExecutor:
    import submitit

    cluster = request.cluster
    place = str(folder).replace("%", "%%")
    output = f"{place}/%A_%a.out" if count > 1 else f"{place}/%j_0.out"
    # not the job's own --output: each line of every process, as it comes
    srun = ["--output", output, "--kill-on-bad-exit=1"]
    setup = [_SURVIVE, f'echo "{START} $SLURM_JOB_ID"']
    if cluster.setup:  # training without it would be another run
        setup += ["set -e", *cluster.setup, "set +e"]
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
        setup=setup,
        teardown=_REQUEUE.format(folder=shlex.quote(str(folder))).splitlines(),
        srun_args=srun,
        stderr_to_stdout=True,
        additional_parameters={key: value for key, value in more.items() if value is not False},
    )
    if count > 1:
        executor.parameters["map_count"] = count  # as submitit's own map_array does
    return executor


def _task_command(folder: Path, code: Path | None) -> str:
    return shlex.join(program("task", str(folder), code=code, first=_HOLD))


def explained(said: str, request: Request | None) -> str:
    """What sbatch refuses, with the setting that asks for it."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith('Try "sbatch')]
    errors = [line.removeprefix("sbatch: error: ") for line in lines if line.startswith("sbatch: error: ")]
    # the last line only says that it failed, unless it is the only one
    text = errors[0].removeprefix("Batch job submission failed: ") if errors else _told(lines)
    cluster = request.cluster if request else None
    if is_submit_limit(said):
        runs = f"{len(request.runs)} run{'s'[: len(request.runs) != 1]} left out; " if request else ""
        later = "nothing is lost: the same command later, when fewer jobs of yours are there, or with fewer runs"
        return f"sbatch: {text}: {runs}{later}"
    if (setting := setting_of(text)) is not None and cluster:
        value = getattr(cluster, setting.partition(".")[2], None)
        shown = setting if value is None else f"{setting}={show(value)}"
        return f"{shown}: Slurm refuses it: {text}; valid: within the limits of the account and QOS (sacctmgr show qos)"
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
    rows = (line.split("|") for line in command("sinfo", "-h", "-o", "|%R|").out.splitlines())
    return ", ".join(dict.fromkeys(row[1] for row in rows if len(row) == 3)) or "a partition of this cluster (sinfo)"


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
