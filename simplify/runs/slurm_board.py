"""How the runs that were submitted to Slurm stand: from their files, and where those do not settle it, by Slurm.

Slurm is asked at most once for all of a run root's runs, and not at all where every run has ended by its
own word.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from simplify.runs.facts import Facts, read_facts
from simplify.runs.folders import read_folders
from simplify.runs.reasons import hopeless, waiting
from simplify.runs.scheduler import Answer, Told, ask
from simplify.runs.slurm import Array, adopt, arrays_folder, is_being_submitted, open_arrays
from simplify.runs.verdict import Traces, Verdict, verdict

SUSPENDED = "suspended by Slurm, and goes on where it is when it is let"


@dataclass(frozen=True)
class Element:
    """One run of an array."""

    array: Array
    index: int
    run_id: str
    name: str  # of the run's folder when it was submitted; see `SlurmBoard.folder`

    @property
    def slurm_id(self) -> str | None:
        """Slurm's name for it; None before that is known."""
        return self.array.element(self.index)


@dataclass(frozen=True)
class Standing:
    """How a submitted run stands, where its own files do not settle it."""

    state: Literal["queued", "running", "unknown", "ended"]
    note: str = ""  # why it waits, or since when nothing is known
    nodes: str = ""
    verdict: Verdict | None = None  # what its end came to


class SlurmBoard:
    """The submitted runs of a run root at one moment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._unreachable = ""
        self.arrays = self._known_arrays()
        self._elements = {
            run_id: Element(array, index, run_id, name)
            for array in self.arrays  # a newer one wins
            for index, (run_id, name) in enumerate(array.runs)
        }

    def element(self, run_id: str) -> Element | None:
        """The newest open element of a run."""
        return self._elements.get(run_id)

    def elements(self) -> Iterator[tuple[str, Element]]:
        """Every run that may still wait or run, with its newest element."""
        yield from self._elements.items()

    def folder(self, element: Element) -> Path:
        """The run's folder, which may have been renamed while it waited."""
        return self._folders.get(element.run_id, self.root / element.name)

    @functools.cached_property
    def _folders(self) -> Mapping[str, Path]:
        return read_folders(self.root).runs

    def standing(self, run_id: str, facts: Facts) -> Standing | None:
        """How a run stands; None where it was not submitted, or has ended by its own word since."""
        element = self._elements.get(run_id)
        if element is None or has_ended(element, facts):
            return None
        slurm_id = element.slurm_id
        if slurm_id is None:
            return self._without_id(element)
        answer = self._answer
        if answer.problem is not None:
            return Standing("unknown", self._since(element, answer.problem))
        told = answer.of(slurm_id)
        if told is not None and told.waits:
            why = _why_it_waits(told, slurm_id, element.array.parallel, begun=facts.attempt is not None)
            return Standing("queued", why)
        if told is not None and told.active:
            return Standing("running", f"job {slurm_id}{f', {SUSPENDED}' if told.suspended else ''}", told.nodes)
        return Standing("ended", verdict=verdict(told, _attempt_of(element, facts), self._traces(element)))

    def suspended(self, run_id: str) -> bool:
        """Whether Slurm has stopped a run for others; asked only of one that gives no sign of life."""
        element = self._elements.get(run_id)
        told = self._answer.of(element.slurm_id) if element is not None and element.slurm_id else None
        return told is not None and told.suspended

    def _traces(self, element: Element) -> Traces:
        array, index = element.array, element.index
        job = array.job(index)
        setup = job.config.get("cluster", {}).get("setup") if job else None
        return Traces(self.folder(element), array.out(index), array.last_word(index), bool(setup))

    @functools.cached_property
    def _answer(self) -> Answer:
        """Slurm's word on all runs that have not ended by their own."""
        wanted = [
            slurm_id
            for element in self._elements.values()
            if (slurm_id := element.slurm_id) and not has_ended(element, read_facts(self.folder(element)))
        ]
        answer = ask(wanted)
        if answer.problem is None:
            with contextlib.suppress(OSError):
                (arrays_folder(self.root) / "answered").touch()
        return answer

    def _known_arrays(self) -> list[Array]:
        found: list[Array] = []
        for array in open_arrays(self.root):
            problem = adopt(array)
            self._unreachable = problem or self._unreachable
            if not array.is_over:
                found.append(array)
        return found

    def _without_id(self, element: Element) -> Standing:
        if is_being_submitted(element.array):
            return Standing("queued", "is being submitted")
        return Standing("unknown", self._since(element, self._unreachable or "Slurm has no job of its name"))

    def _since(self, element: Element, problem: str) -> str:
        for file in (arrays_folder(self.root) / "answered", element.array.folder / "array.json"):
            with contextlib.suppress(OSError):
                return f"unknown since {datetime.fromtimestamp(file.stat().st_mtime):%d %b %H:%M} ({problem})"
        return f"unknown ({problem})"


def has_ended(element: Element, facts: Facts) -> bool:
    """Whether a run has ended by its own word since it was submitted."""
    if facts.done is not None:
        return True
    attempt = _attempt_of(element, facts)
    if attempt is not None and attempt.get("ended") and element.array.cancelled(element.index).exists():
        return True  # it has saved, and does not begin again
    if facts.error is None:  # a new attempt takes an old one away
        return False
    # An error of the very second of the submission is an old one: nothing begins so fast.
    return attempt is not None or str(facts.error.get("ended")) > element.array.created


def _attempt_of(element: Element, facts: Facts) -> Mapping[str, Any] | None:
    """The newest attempt, if it was this element's."""
    attempt = facts.attempt
    return attempt if attempt is not None and attempt.get("array") == element.array.token else None


def _why_it_waits(told: Told, slurm_id: str, parallel: int | None, begun: bool) -> str:
    if (never := hopeless(told.reason)) is not None:
        return f"will not begin: {told.reason}: {never}"
    clock = _clock(told.start)
    if told.state in ("NODE_FAIL", "PREEMPTED"):
        return f"{'its node failed' if told.state == 'NODE_FAIL' else 'preempted'}; Slurm starts it again"
    if told.reason == "BeginTime" or told.state not in ("PENDING", "REQUEUE_HOLD"):
        return ("requeued" if begun else "waits") + (f", eligible at {clock}" if clock else "")
    known = waiting(told.reason, slurm_id, parallel)
    word = told.reason or "not looked at yet"
    return f"pending: {word}{f': {known}' if known else ''}" + (f", expected at {clock}" if clock else "")


def _clock(moment: str) -> str:
    """A time of Slurm's as people say it: hh:mm, with the day where that is not today."""
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return ""
    return f"{when:%H:%M}" if when.date() == datetime.now().date() else f"{when:%d %b %H:%M}"
