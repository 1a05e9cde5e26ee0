"""What became of a run whose job has ended without the run's own word: told from Slurm's state and its output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simplify.runs.files import storage_now
from simplify.runs.job_output import ended_by_itself, own_word, reason, storage_cause, tail
from simplify.runs.last_word import LastWord
from simplify.runs.ranks import first_rank_error
from simplify.runs.scheduler import Told

# By slurmstepd, whatever state the job is given: polling writes the first, cgroups the second.
_OUT_OF_MEMORY = re.compile(r"[Ee]xceeded .*memory limit|[Oo]om[-_ ]kill|out of memory", re.ASCII)


@dataclass(frozen=True)
class Verdict:
    """How a run ended: the state it is in now, and error.json's facts where that is `failed`."""

    state: Literal["failed", "cancelled", "ended"]  # ended: the run's own files say the rest
    error: dict[str, Any] | None = None


@dataclass(frozen=True)
class Traces:
    """What a run has left of its end."""

    folder: Path  # the run's
    out: Path  # what Slurm and srun said
    last_word: LastWord
    has_setup: bool  # shell lines before training


def verdict(told: Told | None, attempt: Mapping[str, Any] | None, traces: Traces) -> Verdict:
    """The end of an element that Slurm says has ended, or does not know (any more).

    `attempt` is the run's newest attempt, if that was this element's.
    """
    out = traces.out
    stopped = attempt is not None and "ended" in attempt  # it has saved, and said so
    state = told.state if told is not None else "GONE"  # forgotten, where there is no accounting
    if state == "CANCELLED":
        return Verdict("cancelled" if attempt is not None else "ended")
    if stopped or state == "COMPLETED":
        return Verdict("ended")
    where = f" on {told.nodes}" if told is not None and told.nodes not in ("", "None assigned") else ""
    if state == "OUT_OF_MEMORY" or _OUT_OF_MEMORY.search("\n".join(tail(out))):
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
    said = first_rank_error(traces.folder)
    if said is not None and attempt is not None:
        return Verdict("failed", said)
    return _without_a_word(state, where, attempt is not None, traces)


def _without_a_word(state: str, where: str, has_attempt: bool, traces: Traces) -> Verdict:
    """The end of a run that could not write into its folder, by what else there is to see."""
    lines, word = tail(traces.out), traces.last_word
    begun = has_attempt or word.begun
    if begun and not traces.folder.exists():
        why = f"its folder {traces.folder} was removed or renamed while it was being trained; retry begins it anew"
        return _failed("storage", why, traces.out)
    if (facts := word.read()) is not None:
        return Verdict("failed", {"traceback": [], **facts, "out": str(traces.out)})
    if state == "GONE" and (begun or not lines):  # cancelled while it waited, or killed: its files tell
        return Verdict("ended")
    ended, why = f"its job ended ({state}){where}", reason(lines)
    if (cause := storage_cause(lines)) is not None:
        return _failed(cause, f"{ended}: {why}", traces.out)
    if not why and (now := storage_now(traces.folder)) is not None:
        return _failed(now[0], f"{ended} without a word; {now[1]}", traces.out)
    if begun and not why and ended_by_itself(lines):
        return _failed("storage", f"{ended}, and it could write nothing: was its disk full or read-only?", traces.out)
    if begun:
        return _failed("killed", f"{ended}{f': {why}' if why else ' without a word'}", traces.out)
    if (ours := own_word(lines)) is not None:
        return _failed("refused", ours, traces.out)
    if not why and traces.has_setup:
        why = "it said nothing: look at cluster.setup"
    elif not why:
        why = f"it said nothing: can the node read and write {traces.folder.parent}, and was there space?"
    return _failed("never_began", f"{ended} before the run began: {why}", traces.out)


def _failed(cause: str, message: str, out: Path) -> Verdict:
    return Verdict("failed", {"cause": cause, "message": message, "traceback": tail(out), "out": str(out)})
