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
from simplify.runs.scheduler import Answer, Told, ask
from simplify.runs.slurm import Array, adopt, arrays_folder, is_being_submitted, open_arrays
from simplify.runs.verdict import Verdict, verdict

# What Slurm's reasons mean where waiting will not help.
_HOPELESS = {
    "DependencyNeverSatisfied": "the job it waits for has failed",
    "PartitionConfig": "the partition cannot give what it asks for",
    "PartitionNodeLimit": "it asks for more nodes than the partition allows (cluster.nodes)",
    "PartitionTimeLimit": "it asks for more time than the partition allows (cluster.timeout)",
    "BadConstraints": "no node has what it asks for (cluster.constraint, cluster.mem, cluster.cpus_per_task)",
    "AccountNotAllowed": "the account may not use this partition (cluster.account)",
    "InvalidAccount": "there is no such account (cluster.account)",
    "InvalidQOS": "there is no such QOS (cluster.qos)",
}


@dataclass(frozen=True)
class Element:
    """One run of an array."""

    array: Array
    index: int
    name: str  # of the run's folder

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
            run_id: Element(array, index, name)
            for array in self.arrays  # a newer one wins
            for index, (run_id, name) in enumerate(array.runs)
        }

    def element(self, run_id: str) -> Element | None:
        """The newest open element of a run."""
        return self._elements.get(run_id)

    def elements(self) -> Iterator[tuple[str, Element]]:
        """Every run that may still wait or run, with its newest element."""
        yield from self._elements.items()

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
            return Standing("queued", _why_it_waits(told, begun=facts.attempt is not None))
        if told is not None and told.active:
            return Standing("running", f"job {slurm_id}", told.nodes)
        attempt, out = _attempt_of(element, facts), element.array.out(element.index)
        return Standing("ended", verdict=verdict(told, attempt, out, self.root / element.name))

    @functools.cached_property
    def _answer(self) -> Answer:
        """Slurm's word on all runs that have not ended by their own."""
        wanted = [
            slurm_id
            for element in self._elements.values()
            if (slurm_id := element.slurm_id) and not has_ended(element, read_facts(self.root / element.name))
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
        return Standing("unknown", self._since(element, self._unreachable))

    def _since(self, element: Element, problem: str) -> str:
        for file in (arrays_folder(self.root) / "answered", element.array.folder / "array.json"):
            with contextlib.suppress(OSError):
                return f"unknown since {datetime.fromtimestamp(file.stat().st_mtime):%d %b %H:%M} ({problem})"
        return f"unknown ({problem})"


def has_ended(element: Element, facts: Facts) -> bool:
    """Whether a run has ended by its own word since it was submitted."""
    if facts.done is not None:
        return True
    if facts.error is None:  # a new attempt takes an old one away
        return False
    # An error of the very second of the submission is an old one: nothing begins so fast.
    return _attempt_of(element, facts) is not None or str(facts.error.get("ended")) > element.array.created


def _attempt_of(element: Element, facts: Facts) -> Mapping[str, Any] | None:
    """The newest attempt, if it was this element's."""
    attempt = facts.attempt
    return attempt if attempt is not None and attempt.get("array") == element.array.token else None


def _why_it_waits(told: Told, begun: bool) -> str:
    if told.reason in _HOPELESS:
        return f"will not begin: {told.reason}: {_HOPELESS[told.reason]}"
    clock = _clock(told.start)
    if told.state in ("NODE_FAIL", "PREEMPTED"):
        return f"{'its node failed' if told.state == 'NODE_FAIL' else 'preempted'}; Slurm starts it again"
    if told.reason == "BeginTime" or told.state != "PENDING":
        return ("requeued" if begun else "waits") + (f", eligible at {clock}" if clock else "")
    return f"pending: {told.reason or 'not looked at yet'}" + (f", expected at {clock}" if clock else "")


def _clock(moment: str) -> str:
    """A time of Slurm's as people say it: hh:mm, with the day where that is not today."""
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return ""
    return f"{when:%H:%M}" if when.date() == datetime.now().date() else f"{when:%d %b %H:%M}"
