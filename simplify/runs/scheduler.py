"""What Slurm says of jobs: one squeue for all of them, and one sacct for those that squeue has forgotten.

squeue knows every job that waits or runs, and those that ended within MinJobAge (300 s as shipped). An
array's element that was cancelled while it waited is in neither, ever. Works without accounting.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from simplify.runs.slurm_command import command

_ACTIVE = (
    "PENDING",
    "RUNNING",
    "CONFIGURING",
    "COMPLETING",
    "SUSPENDED",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
)
_RETURNS = ("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT")
_MAY_RETURN = ("NODE_FAIL", "PREEMPTED")  # said for some seconds before PENDING; else it is the end
_SETTLES = 120.0  # seconds after which those are the last word; a requeue shows itself within a few
_FRESH = 5.0  # seconds that an answer holds for the same question
_asked: dict[frozenset[str], tuple[float, Answer]] = {}  # the last question alone
_ELEMENT = re.compile(r"\d+(?:_\d+)?")  # a job's id, or an element's: whatever else is printed is a notice
_RANGE = re.compile(r"(\d+)_\[(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)(?:%\d+)?\]")
_STATE = re.compile(r"[A-Z][A-Z_]+")


@dataclass(frozen=True)
class Told:
    """One element of a job as Slurm sees it."""

    state: str  # Slurm's own word: PENDING, RUNNING, COMPLETED, FAILED, OUT_OF_MEMORY, ...
    reason: str = ""  # why it waits
    nodes: str = ""
    start: str = ""  # when it began, is expected to begin, or may begin again
    end: str = ""  # when it ended, or will at the latest

    @property
    def active(self) -> bool:
        """It waits, runs, or will again."""
        return self.state in (*_ACTIVE, *_RETURNS) or (self.state in _MAY_RETURN and self._just_ended())

    @property
    def waits(self) -> bool:
        """It has not begun, or not again."""
        return self.active and self.state in ("PENDING", *_MAY_RETURN, *_RETURNS)

    @property
    def suspended(self) -> bool:
        """It has been stopped for others, and stays where it is."""
        return self.state in ("SUSPENDED", "STOPPED")

    def _just_ended(self) -> bool:
        try:
            return (datetime.now() - datetime.fromisoformat(self.end)).total_seconds() < _SETTLES
        except ValueError:
            return False


@dataclass(frozen=True)
class Answer:
    """What is known of the jobs that were asked about; an element that is not in `jobs` is known to nobody."""

    jobs: Mapping[str, Told]  # by element: 123_4, or 123 where the job is no array
    problem: str | None = None  # why Slurm could not be asked

    def of(self, element: str) -> Told | None:
        """What Slurm knows of an element."""
        return self.jobs.get(element)


def ask(elements: Iterable[str], anew: bool = False) -> Answer:
    """How elements of jobs stand, asked again after some seconds: `watch` looks more often than Slurm likes.

    `anew` asks now. Raises nothing: an unreachable controller is a `problem`.
    """
    wanted = frozenset(elements)
    if not anew and wanted in _asked and time.monotonic() - _asked[wanted][0] < _FRESH:
        return _asked[wanted][1]
    answer = _ask(wanted)
    _asked.clear()
    _asked[wanted] = time.monotonic(), answer
    return answer


def _ask(wanted: frozenset[str]) -> Answer:
    ids = ",".join(sorted({element.partition("_")[0] for element in wanted}))
    if not wanted:
        return Answer({})
    reply = command("squeue", "-h", "-r", "-t", "all", "-j", ids, "-o", "%i|%T|%r|%N|%S|%e")
    if reply.code and "Invalid job id" not in reply.said:  # said where it has forgotten the only one asked for
        return Answer({}, reply.problem or f"squeue ended with code {reply.code}")
    jobs = parse_squeue(reply.out)
    if any(element not in jobs or not jobs[element].active for element in wanted):
        reply = command("sacct", "-n", "-P", "-j", ids, "-o", "JobID,State,Reason,NodeList,Start,End")
        if not reply.code:  # else there is no accounting; the runs' own files have to do
            jobs = merge(jobs, parse_sacct(reply.out))
    return Answer(jobs)


def find_by_name(name: str) -> tuple[str | None, str | None]:
    """The id of the job with that name, and why Slurm could not be asked."""
    reply = command("squeue", "-h", "-t", "all", "--name", name, "-o", "%F|%j")
    if reply.code:
        return None, reply.problem or f"squeue ended with code {reply.code}"
    ids = _ids_of(name, reply.out)
    if not ids:
        reply = command("sacct", "-n", "-P", "-X", "--name", name, "-S", "now-2days", "-o", "JobID,JobName")
        ids = _ids_of(name, reply.out) if not reply.code else []
    return (ids[0] if ids else None), None


def _ids_of(name: str, output: str) -> list[str]:
    """The ids in lines `123|NAME`, `123_4|NAME` or `123_[0-7]|NAME`."""
    rows = (line.strip().partition("|") for line in output.splitlines())
    jobs = (job.partition("_")[0] for job, _, theirs in rows if theirs == name)
    return [job for job in jobs if _ELEMENT.fullmatch(job)]


def parse_squeue(output: str) -> dict[str, Told]:
    """Lines of `squeue -r -o '%i|%T|%r|%N|%S|%e'`."""
    found: dict[str, Told] = {}
    for line in output.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 6 and _ELEMENT.fullmatch(parts[0]) and _STATE.fullmatch(parts[1]):
            found[parts[0]] = Told(parts[1], _none(parts[2]), parts[3], _none(parts[4]), _none(parts[5]))
    return found


def parse_sacct(output: str) -> dict[str, Told]:
    """Lines of `sacct -P -o JobID,State,Reason,NodeList,Start,End`. A step's OUT_OF_MEMORY is its job's."""
    found: dict[str, Told] = {}
    out_of_memory: set[str] = set()
    for line in output.splitlines():
        job, state, *rest = [part.strip() for part in line.split("|")] if line.count("|") == 5 else ["", ""]
        if not job:
            continue
        if "." in job:
            out_of_memory |= {job.partition(".")[0]} if state == "OUT_OF_MEMORY" else set()
            continue
        state = state.partition(" ")[0]  # CANCELLED by 0
        if not _STATE.fullmatch(state):
            continue
        told = Told(state, *map(_none, rest))
        found |= dict.fromkeys(_elements(job), told)
    return {job: replace(t, state="OUT_OF_MEMORY") if job in out_of_memory else t for job, t in found.items()}


def merge(squeue: Mapping[str, Told], sacct: Mapping[str, Told]) -> dict[str, Told]:
    """squeue's word for what it knows to wait or run, which accounting shows late; sacct's for how the others ended.

    A job that squeue has forgotten cannot be active any more, whatever an accounting that lost its end says.
    """
    found = dict(squeue)
    for job, told in sacct.items():
        here = squeue.get(job)
        if (here is None or not here.active) and not told.active:
            found[job] = told
    return found


def _elements(job: str) -> Sequence[str]:
    """123_[2-3,7%2] as its elements."""
    match = _RANGE.fullmatch(job)
    if not match:
        return [job] if _ELEMENT.fullmatch(job) else []
    found: list[str] = []
    for part in match[2].split(","):
        low, _, high = part.partition("-")
        found += [f"{match[1]}_{n}" for n in range(int(low), int(high or low) + 1)]
    return found


def _none(word: str) -> str:
    return "" if word.strip() in ("None", "N/A", "Unknown", "NONE", "(null)") else word.strip()
