"""The decisions of a study, each with the numbers it was made from: one JSON object a line, never changed afterwards.

time, host, pid      when and by whom
added                the runs that it asked for: trial (a list in the order of its fields), run_id, folder, point
phase                tuning, final or done
choices              of each study and arm: rung, tried (settings, losses by seed), dropped, chosen, tied, edges
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simplify.runs.files import append_line
from simplify.runs.folder import now
from simplify.runs.process import this_process
from simplify.runs.studies import decisions_path
from simplify.sweep.record import Recorded
from simplify.sweep.study import StudyRecord, chosen_settings
from simplify.tune.decide import Choice, Decision
from simplify.tune.study import DIVERGED, Place, Results, Trial


def decision_line(
    record: StudyRecord, decision: Decision, results: Results, added: Mapping[Trial, Recorded]
) -> dict[str, Any]:
    """A decision as data."""
    asked = [
        {
            "trial": [*trial[:4], [*trial.place], trial.seed],
            "run_id": run.run_id,
            "folder": run.folder,
            "point": run.point,
        }
        for trial, run in added.items()
    ]
    process = this_process()
    choices = [choice_data(record, choice, results) for choice in decision.choices.values()]
    return {
        "time": now(),
        "host": process["host"],
        "pid": process["pid"],
        "added": asked,
        "phase": decision.phase,
        "choices": choices,
    }


def choice_data(record: StudyRecord, choice: Choice, results: Results) -> dict[str, Any]:
    """How far an arm of a study is, with values in place of places: for the file, and for --json."""
    arm = choice.arm
    dropped = {place: out for line in choice.lines for place, out in line.dropped.items()}

    def values(place: Place) -> dict[str, Any]:
        return chosen_settings(arm, place)

    return {
        "study": choice.study,
        "arm": arm.name,
        "settled": choice.settled,
        "rung": choice.lines[-1].rung,
        "tried": [
            {"values": values(place), "losses": _losses(record, choice, place, results)} for place in choice.tried
        ],
        "dropped": [
            {"values": values(place), "rung": out.rung, "behind": _number(out.behind), "limit": out.limit}
            for place, out in dropped.items()
        ],
        "chosen": None if choice.chosen is None else values(choice.chosen),
        "tied": [values(place) for place in choice.lines[-1].tied],
        "edges": [arm.ladders[at].key for line in choice.lines for at in line.edges],
    }


def _losses(record: StudyRecord, choice: Choice, place: Place, results: Results) -> dict[str, Any]:
    """By seed: a loss for each cell, `diverged`, or null for what has not ended; without seeds not asked for."""
    found: dict[str, Any] = {}
    for seed in record.study.rules.seeds[choice.study]:
        if (place, seed) in choice.asked:
            trials = [
                Trial("tune", choice.study, choice.arm.name, cell, place, seed) for cell in range(choice.arm.cells)
            ]
            found[str(seed)] = [_number(results.get(trial)) for trial in trials]
    return found


def _number(value: float | None) -> float | str | None:
    """JSON has no infinity."""
    return "diverged" if value == DIVERGED else None if value is None or math.isnan(value) else value


def append_decision(root: Path, name: str, line: Mapping[str, Any]) -> None:
    """Write a decision down so that it is on the disk when this returns. Call it under the study's lock."""
    append_line(decisions_path(root, name), line)
