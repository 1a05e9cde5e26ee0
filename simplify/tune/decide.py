"""What a tuned comparison does next: a pure function of the results that are there.

Each arm has the same ladders, the same seeds and the same rule; the baseline tries at least as many values as any
other arm. Up to two settings are tuned together, more of them one after the other, twice round.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from simplify.tune.race import Ask, Line, Loss, Others, race
from simplify.tune.study import DIVERGED, Arm, Place, Results, Rules, Study, Trial

TOGETHER = 2  # settings that are tuned on one grid; more of them in turn
ROUNDS = 2  # over the settings, where they are tuned in turn
Phase = Literal["tuning", "final", "done"]


@dataclass(frozen=True)
class Choice:
    """How far one arm of one study is. `lines`: one, or one for each setting in turn."""

    arm: Arm
    study: int
    lines: tuple[Line, ...]
    settled: bool
    chosen: Place | None  # None: not yet, or every value diverged

    @property
    def tried(self) -> list[Place]:
        """Every place, in the order in which they were first asked for."""
        return list(dict.fromkeys(place for line in self.lines for place in line.tried))

    @property
    def asked(self) -> list[Ask]:
        """Every place and seed, in the order in which they were first asked for."""
        return list(dict.fromkeys(ask for line in self.lines for ask in line.asked))


@dataclass(frozen=True)
class Decision:
    """All that is wanted so far, what of it is missing, and what is chosen."""

    choices: Mapping[tuple[int, str], Choice]  # by study and arm; without those that have nothing to choose
    wanted: Sequence[Trial] = field(repr=False)
    missing: Sequence[Trial] = field(repr=False)

    @property
    def phase(self) -> Phase:
        """The furthest back of all arms and studies."""
        if not all(choice.settled for choice in self.choices.values()):
            return "tuning"
        return "final" if self.missing else "done"


def decide(study: Study, results: Results) -> Decision:
    """What is wanted, dropped and chosen, from the finished runs alone."""
    choices: dict[tuple[int, str], Choice] = {}
    wanted: list[Trial] = []
    for number, (seeds, finals) in enumerate(zip(study.rules.seeds, study.rules.finals, strict=True)):
        rules = replace(study.rules, seeds=(seeds,), finals=(finals,))
        tuned = [arm for arm in study.arms if arm.ladders]
        others = [_choice(arm, number, rules, study, results, []) for arm in tuned if not arm.is_baseline]
        bases = [_choice(arm, number, rules, study, results, others) for arm in tuned if arm.is_baseline]
        choices |= {(number, choice.arm.name): choice for choice in (*bases, *others)}
        for arm in study.arms:
            wanted += _wanted(arm, number, rules, choices.get((number, arm.name)))
    missing = [trial for trial in wanted if trial not in results]
    return Decision(choices, wanted, missing)


def _wanted(arm: Arm, number: int, rules: Rules, choice: Choice | None) -> list[Trial]:
    """The runs of an arm: those of its tuning, then its final ones."""
    cells = range(arm.cells)
    asked = choice.asked if choice else []
    found = [Trial("tune", number, arm.name, cell, place, seed) for place, seed in asked for cell in cells]
    if choice is None:
        return [Trial("final", number, arm.name, cell, (), seed) for seed in rules.finals[0] for cell in cells]
    if choice.chosen is not None:
        place = choice.chosen
        found += [Trial("final", number, arm.name, cell, place, seed) for seed in rules.finals[0] for cell in cells]
    if choice.settled and rules.shared:
        found += [Trial("shared", number, arm.name, cell, (), seed) for seed in rules.finals[0] for cell in cells]
    return found


def _choice(arm: Arm, number: int, rules: Rules, study: Study, results: Results, others: Sequence[Choice]) -> Choice:
    loss = _losses(arm, number, study.ceiling, results)
    lines: list[Line] = []
    if len(arm.ladders) <= TOGETHER:
        moving = range(len(arm.ladders))
        start = list(itertools.product(*(_window(arm, at) for at in moving)))
        lines.append(race(arm.ladders, moving, start, rules, loss, _others(others, 0)))
        return Choice(arm, number, tuple(lines), lines[0].settled, lines[0].chosen)
    centre: Place = tuple(_middle(arm, at) for at in range(len(arm.ladders)))
    for turn in range(ROUNDS * len(arm.ladders)):
        at = turn % len(arm.ladders)
        values = sorted({*_window(arm, at), centre[at]})
        start = [(*centre[:at], value, *centre[at + 1 :]) for value in range(values[0], values[-1] + 1)]
        lines.append(race(arm.ladders, [at], start, rules, loss, _others(others, turn), _places(lines)))
        if not lines[-1].settled or lines[-1].chosen is None:
            return Choice(arm, number, tuple(lines), lines[-1].settled, None)
        centre = lines[-1].chosen
    return Choice(arm, number, tuple(lines), True, centre)


def _window(arm: Arm, at: int) -> range:
    first, last = arm.ladders[at].window
    return range(first, last + 1)


def _middle(arm: Arm, at: int) -> int:
    """Where a setting rests while another one is tuned for the first time: its default, or the window's middle."""
    ladder = arm.ladders[at]
    return sum(ladder.window) // 2 if ladder.default is None else ladder.default


def _others(choices: Sequence[Choice], turn: int) -> Others:
    """The most places that other arms tried up to the same line, and along it."""
    first: list[int | None] = []
    last: list[int | None] = []
    for choice in choices:
        if _gave_up(choice, turn):
            continue
        line = choice.lines[turn] if turn < len(choice.lines) else None
        before = _places(choice.lines[:turn])
        first.append(len(before | {*line.tried[: line.windows]}) if line and line.windows is not None else None)
        last.append(len(before | {*line.tried}) if line and line.settled else None)
    return Others(_most(first), _most(last))


def _places(lines: Sequence[Line]) -> frozenset[Place]:
    """What was tried along some lines."""
    return frozenset(place for line in lines for place in line.tried)


def _gave_up(choice: Choice, turn: int) -> bool:
    """Whether this arm has no such line and never will, since every value diverged before."""
    return choice.settled and turn >= len(choice.lines)


def _most(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else max((count for count in counts if count is not None), default=0)


def _losses(arm: Arm, number: int, ceiling: float, results: Results) -> Loss:
    """The mean over the arm's cells, none of them above the loss at initialisation; one that diverged makes it so."""

    def loss(place: Place, seed: int) -> float | None:
        found = [results.get(Trial("tune", number, arm.name, cell, place, seed)) for cell in range(arm.cells)]
        known = [min(value, ceiling) if value != DIVERGED else value for value in found if value is not None]
        return math.fsum(known) / len(known) if len(known) == len(found) else None

    return loss
