"""What Slurm says of jobs: one squeue for all of them, and one sacct for those that squeue has forgotten.

squeue knows every job that waits or runs, and those that ended within MinJobAge (300 s as shipped). An
array's element that was cancelled while it waited is in neither, ever. Works without accounting.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

_TIMEOUT = 12.0  # seconds for an answer; a busy controller takes some
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
_RANGE = re.compile(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]")


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


def ask(elements: Iterable[str]) -> Answer:
    """How elements of jobs stand, asked anew after some seconds: `watch` looks more often than Slurm likes.

    Raises nothing: an unreachable controller is a `problem`.
    """
    wanted = frozenset(elements)
    if wanted in _asked and time.monotonic() - _asked[wanted][0] < _FRESH:
        return _asked[wanted][1]
    answer = _ask(wanted)
    _asked.clear()
    _asked[wanted] = time.monotonic(), answer
    return answer


def _ask(wanted: frozenset[str]) -> Answer:
    ids = ",".join(sorted({element.partition("_")[0] for element in wanted}, key=int))
    if not wanted:
        return Answer({})
    code, out, problem = command("squeue", "-h", "-r", "-t", "all", "-j", ids, "-o", "%i|%T|%r|%N|%S|%e")
    if code and "Invalid job id" not in problem:  # said where it has forgotten the only one asked for
        return Answer({}, problem or f"squeue ended with code {code}")
    jobs = parse_squeue(out)
    if any(element not in jobs or not jobs[element].active for element in wanted):
        code, out, _ = command("sacct", "-n", "-P", "-j", ids, "-o", "JobID,State,Reason,NodeList,Start,End")
        if not code:  # else there is no accounting; the runs' own files have to do
            jobs = merge(jobs, parse_sacct(out))
    return Answer(jobs)


def find_by_name(name: str) -> tuple[str | None, str | None]:
    """The id of the job with that name, and why Slurm could not be asked."""
    code, out, problem = command("squeue", "-h", "-t", "all", "--name", name, "-o", "%F")
    if code:
        return None, problem or f"squeue ended with code {code}"
    ids = out.split()
    if not ids:
        code, out, _ = command("sacct", "-n", "-P", "-X", "--name", name, "-S", "now-2days", "-o", "JobID")
        ids = [line.partition("_")[0] for line in out.split()] if not code else []
    return (ids[0] if ids else None), None


def command(*words: str) -> tuple[int, str, str]:
    """Run one of Slurm's commands: its code, its output, and what is wrong in one line."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    env = {**quiet, "SLURM_TIME_FORMAT": "standard", "LC_ALL": "C"}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT, env=env, check=False)
    except FileNotFoundError:
        return 127, "", f"{words[0]} is not on this machine"
    except subprocess.TimeoutExpired:
        return 124, "", f"{words[0]} did not answer within {_TIMEOUT:.0f} s"
    except OSError as error:
        return 126, "", f"{words[0]}: {error.strerror or error}"
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return done.returncode, done.stdout, said[-1] if said else ""


def parse_squeue(output: str) -> dict[str, Told]:
    """Lines of `squeue -r -o '%i|%T|%r|%N|%S|%e'`."""
    found: dict[str, Told] = {}
    for line in output.splitlines():
        parts = line.split("|")
        if len(parts) == 6:
            found[parts[0].strip()] = Told(parts[1], _none(parts[2]), parts[3], _none(parts[4]), _none(parts[5]))
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
        told = Told(state.split()[0] if state else "", *map(_none, rest))  # CANCELLED by 0
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
        return [job]
    found: list[str] = []
    for part in match[2].split(","):
        low, _, high = part.partition("-")
        found += [f"{match[1]}_{n}" for n in range(int(low), int(high or low) + 1)]
    return found


def _none(word: str) -> str:
    return "" if word.strip() in ("None", "N/A", "Unknown", "NONE", "(null)") else word.strip()
