"""What Slurm, srun and a job's shell wrote of its end, and the line of it that says why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

START = "--- start of job"  # the batch script's first line: what stands before it is of an earlier start
_LAST_LINES = 20
_TAIL = 64 * 1024
# Said at every end, whatever it was.
_NOISE = re.compile(
    r"^(srun|slurmstepd(-\S+)?): (error: )?"
    r"(job step|launch|complete|force terminated|terminating|timed out|got sig|spank|mpi|\*\*\*|waiting|forcing)",
    re.IGNORECASE,
)
_TASK = re.compile(r"^srun: error: (\S+): tasks? (\S+): (.+)$")
_CODE = re.compile(r"Exited with exit code \d+")
_OURS = "simplify: "
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_STORAGE = re.compile(r"Read-only file system|Stale file handle|Input/output error")


def tail(path: Path) -> list[str]:
    """The last lines of a job's output that say something, of its newest start."""
    try:
        with open(path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - _TAIL, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    starts = [number for number, line in enumerate(lines) if line.startswith(START)]
    newest = lines[starts[-1] + 1 :] if starts else lines
    return [line for line in newest if line.strip() and not _NOISE.match(line)][-_LAST_LINES:]


def own_word(lines: Sequence[str]) -> str | None:
    """What our own program said, if it did."""
    said = [line.removeprefix(_OURS) for line in lines if line.startswith(_OURS)]
    return said[-1] if said else None


def reason(lines: Sequence[str]) -> str:
    """The line that says why: what a program said before what srun says of every end; empty where nobody said it."""
    told = [line for line in lines if not _TASK.match(line)]
    if told:
        return told[-1]
    ends = [match for line in lines if (match := _TASK.match(line))]
    return next((_ended(match) for match in ends if not _CODE.match(match[3])), "")


def ended_by_itself(lines: Sequence[str]) -> bool:
    """Whether a process has ended with a code of its own: a run of ours says why then, wherever it can."""
    return any((match := _TASK.match(line)) and _CODE.match(match[3]) for line in lines)


def storage_cause(lines: Sequence[str]) -> str | None:
    """disk_full or storage, where a line says so."""
    text = "\n".join(lines)
    if _DISK_FULL.search(text):
        return "disk_full"
    return "storage" if _STORAGE.search(text) else None


def _ended(match: re.Match[str]) -> str:
    node, which, how = match.groups()
    why = "killed (SIGKILL: kill -9, or the system does it when memory runs out)" if how.startswith("Killed") else how
    return f"process {which} on {node}: {why}"
