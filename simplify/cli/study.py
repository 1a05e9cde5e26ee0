"""A tuned sweep in words: how far each block is, what was dropped and why, what is chosen, what it waits for."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simplify.cli.table import counted
from simplify.config import show
from simplify.display import say
from simplify.errors import SimplifyError
from simplify.runs.folder import root_path
from simplify.runs.studies import study_names, why_stuck
from simplify.sweep.advance import Standing, standing
from simplify.sweep.decisions import choice_data
from simplify.sweep.record import Record
from simplify.tune.decide import Choice
from simplify.tune.study import DIVERGED, Arm, Trial

_ACTIVE = ("running", "queued", "unknown")
_DEAD = ("failed", "lost", "cancelled", "stopped", "new")  # begun once, and nothing brings them on but a word
_NAMED = 6


def say_studies(root: Path, sweeps: Sequence[Record]) -> None:
    """How tuned sweeps stand, and what to type where nothing moves them."""
    for record in sweeps:
        try:
            at = standing(root, record.name)
        except SimplifyError as error:
            say(str(error))
            continue
        for line in (headline(at), *block_lines(at), *waiting_lines(root, at, typed(record))):
            say(line)


def say_waiting(root: Path) -> None:
    """A line or two for each tuned sweep of a run root that is not done: how far it is, and what it waits for."""
    for name in study_names(root):
        with contextlib.suppress(SimplifyError):  # said where it is asked about
            at = standing(root, name)
            for line in (
                [] if at.decision.phase == "done" else [headline(at), *waiting_lines(root, at, shlex.quote(name))]
            ):
                say(line)


def is_done(root: Path, name: str) -> bool:
    """Whether a tuned sweep waits for nothing any more."""
    try:
        return standing(root, name).decision.phase == "done"
    except SimplifyError:
        return False


def typed(record: Record) -> str:
    """What stands for a sweep on the command line."""
    return shlex.quote(record.name)


def headline(at: Standing) -> str:
    """The phase, and how many runs of those asked for have ended."""
    word = {"tuning": "tuning", "final": "final runs", "done": "done"}[at.decision.phase]
    asked = {run.run_id for run in at.trials.values()}
    over = {run.run_id for trial, run in at.trials.items() if trial in at.results}
    return f"{at.record.name}: {word}: {len(over)} of the {len(asked)} runs asked for so far are done"


def block_lines(at: Standing) -> list[str]:
    """A line or two for each block of each study."""
    found: list[str] = []
    for number in range(len(at.record.study.rules.seeds)):
        for arm in at.record.study.arms:
            choice = at.decision.choices.get((number, arm.name))
            far = f": {_how_far(choice)}" if choice else ": untuned"
            found.append(f"  {_head(at, number, arm)}{far}{_finals(at, number, arm)}")
            if choice and (out := _dropped(choice)):
                found.append(f"    dropped: {out}")
    return found


def block_words(at: Standing) -> list[str]:
    """What each block that has a choice is at, in a line."""
    return [f"{_head(at, c.study, c.arm)}: {_how_far(c)}" for c in at.decision.choices.values()]


def _head(at: Standing, number: int, arm: Arm) -> str:
    return f"study {number + 1}, {arm.name}" if len(at.record.study.rules.seeds) > 1 else arm.name


def _how_far(choice: Choice) -> str:
    line, tried = choice.lines[-1], len(choice.tried)
    values = f"{tried} value{'s'[: tried != 1]} of {' and '.join(ladder.key for ladder in choice.arm.ladders)}"
    if not choice.settled:
        left = len([place for place in line.tried if place not in line.dropped])
        seeds = sorted({seed for _, seed in line.asked}, key=[seed for _, seed in line.asked].index)
        return f"tries {values}, {left} left, on seed {seeds[line.rung - 1] if seeds else '-'}"
    if choice.chosen is None:
        return f"nothing to choose: every one of {values} diverged"
    others = [_values(choice.arm, place) for place in line.tied if place != choice.chosen]
    same = f", not told apart from {', '.join(others)}" if others else ""
    edge = f", at the edge of {' and '.join(choice.arm.ladders[at].key for at in line.edges)}" if line.edges else ""
    return f"chosen {_values(choice.arm, choice.chosen)} of {values}{same}{edge}"


def _finals(at: Standing, number: int, arm: Arm) -> str:
    finals = [t for t in at.decision.wanted if t.part != "tune" and (t.study, t.arm) == (number, arm.name)]
    done = sum(trial in at.results for trial in finals)
    return f"; {done} of {len(finals)} final runs done" if finals else ""


def _dropped(choice: Choice) -> str:
    return ", ".join(
        f"{_values(choice.arm, place)} (diverged)"
        if out.behind == DIVERGED
        else f"{_values(choice.arm, place)} ({out.behind:.3g} behind on {out.rung} seed{'s'[: out.rung != 1]}, "
        f"limit {out.limit:.3g})"
        for line in choice.lines
        for place, out in line.dropped.items()
    )


def _values(arm: Arm, place: tuple[int, ...]) -> str:
    values = [show(ladder.values[index]) for ladder, index in zip(arm.ladders, place, strict=True)]
    if len(values) == 1:
        return values[0]
    return " ".join(f"{ladder.key}={value}" for ladder, value in zip(arm.ladders, values, strict=True))


def waits_for(at: Standing) -> dict[str, list[Trial]]:
    """What a study still waits for, by the state of its runs; `begin`: those that nobody has begun yet."""
    begin = {at.trials[trial].run_id for trial in at.unbegun()}
    found: dict[str, list[Trial]] = {}
    for trial in at.decision.missing:
        run = at.trials.get(trial)
        found.setdefault("begin" if run is None or run.run_id in begin else at.state(trial), []).append(trial)
    return found


def waiting_lines(root: Path, at: Standing, name: str) -> list[str]:
    """What moves it on, or what to type where nothing does."""
    waits, why = waits_for(at), why_stuck(root, at.record.name)
    elsewhere = _elsewhere(root)
    dead = {state: waits[state] for state in _DEAD if state in waits}
    lines: list[str] = []
    if at.held:
        lines.append(f"  held, since it was cancelled: simplify retry {name}{elsewhere} goes on")
    elif "begin" in waits:
        runs = f"the next {len(waits['begin'])} runs are" if len(waits["begin"]) > 1 else "the next run is"
        usual = "" if why else "; where this line stays"
        lines.append(
            f"  {runs} not begun yet{f' ({why})' if why else usual}: simplify retry {name}{elsewhere} begins them, "
            f"simplify watch {name}{elsewhere} stays, and begins what comes after them too"
        )
    if dead:
        told = "; ".join(f"{_names(at, trials)} ({_WORDS.get(state, state)})" for state, trials in dead.items())
        lines.append(f"  waits for: {told}: simplify retry {name}{elsewhere} trains them again")
    states = [state for state in _ACTIVE for _ in waits.get(state, [])]
    return [*lines, f"  goes on by itself after: {counted(states)}"] if states and not lines else lines


_WORDS = {"new": "taken out of the queue before it began"}


def _elsewhere(root: Path) -> str:
    return "" if root == root_path(None) else f" --run-root {shlex.quote(str(root))}"


def _names(at: Standing, trials: Sequence[Trial]) -> str:
    names = [*dict.fromkeys(at.trials[trial].folder for trial in trials)]
    return ", ".join(names[:_NAMED]) + (f", ... ({len(names)})" if len(names) > _NAMED else "")


def study_data(root: Path, record: Record) -> dict[str, Any]:
    """The same for --json."""
    try:
        at = standing(root, record.name)
    except SimplifyError as error:
        return {"sweep": record.name, "problem": str(error)}
    waits = {
        state: [at.trials[trial].run_id for trial in trials if trial in at.trials]
        for state, trials in waits_for(at).items()
        if state != "begin"
    }
    return {
        "sweep": at.record.name,
        "phase": at.decision.phase,
        "held": at.held,
        "may_go_on": at.may_go_on,
        "stuck": why_stuck(root, at.record.name) or None,
        "asked": len({run.run_id for run in at.trials.values()}),
        "waits_for": waits,
        "choices": [choice_data(at.record, choice, at.results) for choice in at.decision.choices.values()],
        "runs": [
            {"id": run.run_id, "part": trial.part, "study": trial.study, "arm": trial.arm, "seed": trial.seed}
            for trial, run in at.trials.items()
        ],
    }
