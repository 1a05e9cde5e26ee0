"""How runs stand, told from their files each time and stored nowhere.

new        never started
queued     waits for a lane, or in Slurm's queue
running    a process trains it, and that process lives; or a living lane, or Slurm, is starting it
stopped    a signal stopped it, its state is saved; the same command continues it
cancelled  `simplify cancel` or scancel stopped it
unknown    it was submitted, and Slurm cannot be asked now
lost       it was being trained, and its process is gone without a word (kill -9, power)
failed     it ended badly; error.json says why
done       its result is there
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from simplify.runs.facts import Facts, is_training, read_facts
from simplify.runs.queue import Queue, Record
from simplify.runs.slurm_board import SlurmBoard, Standing

State = Literal["new", "queued", "running", "stopped", "cancelled", "unknown", "lost", "failed", "done"]
STATES: tuple[State, ...] = get_args(State)


class Board:
    """The queues of a run root at one moment, against which the state of any run in it can be told."""

    def __init__(self, root: Path) -> None:
        queue = Queue(root)
        self.waiting = queue.waiting()
        self.lanes = queue.lanes()
        self.slurm = SlurmBoard(root)
        self._claims: Mapping[str, Record] = {
            run_id: claim for run_id, claim in queue.claims().items() if queue.held(claim)
        }

    def claim(self, run_id: str) -> Record | None:
        """The claim of a living lane on a run."""
        return self._claims.get(run_id)

    def state(self, run_id: str, folder: Path, facts: Facts | None = None) -> State:
        """How a run stands."""
        return self.look(run_id, folder, facts or read_facts(folder))[0]

    def look(self, run_id: str, folder: Path, facts: Facts) -> tuple[State, Facts, Standing | None]:
        """How a run stands, its facts with what Slurm says of its end, and what Slurm says of it now."""
        if facts.done is not None:
            return "done", facts, None
        if run_id in self._claims or is_training(facts, folder):
            return "running", facts, None
        if run_id in self.waiting:
            return "queued", facts, None
        standing = self.slurm.standing(run_id, facts)
        if standing is not None and standing.state != "ended":
            return standing.state, facts, standing
        if standing is not None and standing.verdict is not None:
            if standing.verdict.state == "cancelled":
                return "cancelled", facts, standing
            if standing.verdict.error is not None:
                facts = replace(facts, error=standing.verdict.error)
        return _by_its_files(facts), facts, standing


def _by_its_files(facts: Facts) -> State:
    if facts.error is not None or (facts.attempt or {}).get("how") == "failed":  # also where its error is unreadable
        return "failed"
    if facts.cancelled:
        return "cancelled"
    if facts.attempt is None:
        return "new"
    return "stopped" if "ended" in facts.attempt else "lost"
