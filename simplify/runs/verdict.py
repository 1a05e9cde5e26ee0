"""What became of a run whose job has ended without the run's own word: told from Slurm's state and its output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simplify.runs.ranks import first_rank_error
from simplify.runs.scheduler import Told

_LAST_LINES = 20
_TAIL = 64 * 1024
# By slurmstepd, whatever state the job is given: polling writes the first, cgroups the second.
_OUT_OF_MEMORY = re.compile(r"[Ee]xceeded .*memory limit|[Oo]om[-_ ]kill|out of memory", re.ASCII)
_NOISE = re.compile(r"^(srun|slurmstepd): (Job step|job step|launch|Complete|error: spank|error: mpi)")


@dataclass(frozen=True)
class Verdict:
    """How a run ended: the state it is in now, and error.json's facts where that is `failed`."""

    state: Literal["failed", "cancelled", "ended"]  # ended: the run's own files say the rest
    error: dict[str, Any] | None = None


def verdict(told: Told | None, attempt: Mapping[str, Any] | None, out: Path, folder: Path) -> Verdict:
    """The end of an element that Slurm says has ended, or does not know (any more).

    `attempt` is the run's newest attempt, if that was this element's; `out` has what Slurm and srun said;
    `folder` is the run's.
    """
    stopped = attempt is not None and "ended" in attempt  # it has saved, and said so
    state = told.state if told is not None else "GONE"  # forgotten, where there is no accounting
    if state == "CANCELLED":
        return Verdict("cancelled" if attempt is not None else "ended")
    if stopped or state == "COMPLETED":
        return Verdict("ended")
    where = f" on {told.nodes}" if told is not None and told.nodes not in ("", "None assigned") else ""
    if state == "OUT_OF_MEMORY" or _OUT_OF_MEMORY.search("\n".join(_tail(out))):
        return _failed(
            "out_of_memory",
            f"the job went over the memory it had asked for{where}; raise cluster.mem, or lower train.micro_batch (the "
            "batch and the result stay the same)",
            out,
        )
    if state in ("TIMEOUT", "DEADLINE"):
        return _failed(
            "time_limit",
            f"the time limit came before the run had saved{where}; raise cluster.signal_seconds above the time of a "
            "step and a checkpoint, or raise cluster.timeout",
            out,
        )
    if state in ("NODE_FAIL", "BOOT_FAIL"):
        return _failed("node_failure", f"its node failed{where}, and Slurm has not started it again", out)
    if state == "PREEMPTED":
        return _failed("preempted", f"preempted{where}, and this cluster does not start such jobs again", out)
    said = first_rank_error(folder)
    if said is not None and attempt is not None:
        return Verdict("failed", said)
    lines = _tail(out)
    if state == "GONE" and (attempt is not None or not lines):  # cancelled while it waited, or killed: its files tell
        return Verdict("ended")
    if attempt is None:
        said_last = f": {lines[-1]}" if lines else "; it said nothing: look at cluster.setup"
        return _failed("never_began", f"its job ended ({state}){where} before the run began{said_last}", out)
    last = f": {lines[-1]}" if lines else ""
    return _failed("killed", f"its job ended ({state}){where}{last}", out)


def _failed(cause: str, message: str, out: Path) -> Verdict:
    return Verdict("failed", {"cause": cause, "message": message, "traceback": _tail(out), "out": str(out)})


def _tail(path: Path) -> list[str]:
    """The last lines of a job's output that say something."""
    try:
        with open(path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - _TAIL, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.strip() and not _NOISE.match(line)][-_LAST_LINES:]
