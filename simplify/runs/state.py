"""How runs stand, told from their files each time and stored nowhere.

new        never started
queued     waits for a lane
running    a process trains it, and that process lives; or a living lane is starting it
stopped    a signal stopped it, its state is saved; the same command continues it
cancelled  `simplify cancel` stopped it
lost       it was being trained, and its process is gone without a word (kill -9, power)
failed     it ended badly; error.json says why
done       its result is there
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from simplify.runs.files import read_json
from simplify.runs.process import is_alive
from simplify.runs.queue import Queue, Record

State = Literal["new", "queued", "running", "stopped", "cancelled", "lost", "failed", "done"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Facts:
    """The small files of a run folder, each read at most once. None where there is none."""

    done: dict[str, Any] | None
    job: dict[str, Any] | None
    error: dict[str, Any] | None
    cancelled: bool
    names: frozenset[str]  # of all files in the folder

    @property
    def attempt(self) -> dict[str, Any] | None:
        """The newest attempt."""
        attempts = (self.job or {}).get("attempts") or [None]
        return attempts[-1]


def read_facts(folder: Path) -> Facts:
    """What lies in a run folder; missing folders have nothing in them."""
    try:
        names = frozenset(os.listdir(folder))
    except OSError:
        names = frozenset()

    def read(name: str) -> dict[str, Any] | None:
        return read_json(folder / name) if name in names else None

    return Facts(read("done.json"), read("job.json"), read("error.json"), "cancelled.json" in names, names)


class Board:
    """The queue of a run root at one moment, against which the state of any run in it can be told."""

    def __init__(self, root: Path) -> None:
        queue = Queue(root)
        self.waiting = queue.waiting()
        self.lanes = queue.lanes()
        self._claims: Mapping[str, Record] = {
            run_id: claim for run_id, claim in queue.claims().items() if queue.held(claim)
        }

    def claim(self, run_id: str) -> Record | None:
        """The claim of a living lane on a run."""
        return self._claims.get(run_id)

    def state(self, run_id: str, folder: Path, facts: Facts | None = None) -> State:
        """How a run stands."""
        facts = facts or read_facts(folder)
        if facts.done is not None:
            return "done"
        if run_id in self._claims or is_training(facts, folder):
            return "running"
        if run_id in self.waiting:
            return "queued"
        if facts.error is not None:
            return "failed"
        if facts.cancelled:
            return "cancelled"
        if facts.attempt is None:
            return "new"
        return "stopped" if "ended" in facts.attempt else "lost"


def is_training(facts: Facts, folder: Path) -> bool:
    """Whether the newest attempt has not ended and its process lives."""
    attempt = facts.attempt
    return attempt is not None and "ended" not in attempt and is_alive(attempt, folder / "heartbeat")
