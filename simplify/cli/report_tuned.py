"""What of the runs that were chosen belongs to a tuned sweep, and is no variant of a report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from simplify.cli.select import Selected
from simplify.display import tell_aside
from simplify.runs.studies import is_study
from simplify.sweep.record import records

if TYPE_CHECKING:
    from simplify.compare.tuning import Tuning
    from simplify.runs.store import RunView

_MOST = 4  # runs that a line names
_DEAD = ("failed", "lost", "cancelled", "stopped")  # ended without an answer


def tuning_of(chosen: Selected) -> Tuning | None:
    """The study of the sweep that was chosen, with all of its runs; None where it is none, or not alone."""
    if len(chosen.sweeps) != 1 or not is_study(chosen.store.root, chosen.sweeps[0].name):
        return None
    from simplify.compare.tuning import Tuning
    from simplify.sweep.advance import standing

    at = standing(chosen.store.root, chosen.sweeps[0].name)
    runs = {trial: at.views[run.run_id] for trial, run in at.trials.items() if run.run_id in at.views}
    dead: dict[str, dict[str, None]] = {}
    for trial in at.decision.missing:
        if (state := at.state(trial)) in _DEAD:
            dead.setdefault(state, {})[at.trials[trial].folder] = None
    shown = None if chosen.whole else frozenset(run.run_id for run in chosen.runs)
    return Tuning(at.record.study, at.decision, at.results, runs, [_named(*pair) for pair in dead.items()], shown)


def _named(state: str, names: Iterable[str]) -> str:
    first, rest = [*names][:_MOST], len([*names]) - _MOST
    return f"{', '.join(first)}{f' and {rest} more' if rest > 0 else ''} ({state})"


def without_tuning(chosen: Selected) -> list[RunView]:
    """The runs that were chosen, but for those that tuned sweeps spent on their choices alone; which is said.

    A selection by settings, or of all runs, would else judge blocks on the seeds on which they chose. A run that is
    named counts.
    """
    from simplify.sweep.study import read_trials

    if chosen.named and not chosen.sweeps:
        return chosen.runs
    tuning: set[str] = set()
    others: set[str] = set()
    for sweep in chosen.sweeps or records(chosen.store.root):
        ids = {run.run_id for run in sweep.runs}
        own = read_trials(chosen.store.root, sweep.name) if is_study(chosen.store.root, sweep.name) else {}
        compared = {run.run_id for trial, run in own.items() if trial.part != "tune"}
        spent = {run.run_id for run in own.values()} - compared
        tuning |= spent
        others |= ids - spent
    left = [run for run in chosen.runs if run.run_id not in tuning - others]
    if len(left) < len(chosen.runs):
        number = len(chosen.runs) - len(left)
        tell_aside(
            f"simplify: {number} tuning run{'s'[: number != 1]} left out; a tuned sweep by itself shows its choices, "
            "--tuning every run as a variant"
        )
    return left
