"""What Slurm says of the end of runs, written down before Slurm forgets it."""

from __future__ import annotations

import contextlib

from simplify.runs.facts import is_training, read_facts
from simplify.runs.files import write_json
from simplify.runs.folder import RunFolder, now
from simplify.runs.slurm_board import Element, SlurmBoard
from simplify.runs.verdict import Verdict


def settle(board: SlurmBoard) -> None:
    """Give each run that ended without a word of its own its end marker, and close the arrays that are over.

    Whoever looks does it. Where the disk may only be read, nothing is kept and nothing is lost.
    """
    alive: set[str] = set()
    with contextlib.suppress(OSError):
        elements = list(board.elements())
        for run_id, element in elements:
            path = board.folder(element)
            facts = read_facts(path)
            training = is_training(facts, path)
            standing = None if training else board.standing(run_id, facts)
            if training or (standing is not None and standing.state != "ended"):
                alive.add(element.array.token)
            elif standing is not None and standing.verdict is not None:
                _write(RunFolder(path, run_id), standing.verdict, element)
        for array in board.arrays:
            if array.token not in alive and array.job_id is not None:
                array.close()


def _write(folder: RunFolder, verdict: Verdict, element: Element) -> None:
    if verdict.state == "cancelled":
        write_json(folder.path / "cancelled.json", {"cancelled": now()})
    if verdict.error is None:
        return
    folder.path.mkdir(parents=True, exist_ok=True)
    job = element.array.job(element.index)
    if job is not None and not (folder.path / "config.yaml").exists():  # it never began
        folder.keep_config(job.config)
    folder.end("error", verdict.error)
