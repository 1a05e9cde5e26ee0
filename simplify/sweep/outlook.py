"""What is ahead of a tuned sweep: how far finished runs bring it, and how few and how many runs it can still take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simplify.config import RunConfig
from simplify.runs.store import RunStore, RunView
from simplify.sweep.plan import Here, PlannedRun
from simplify.sweep.record import Recorded
from simplify.sweep.study import StudyRecord, results_of, trial_config, trial_point, trial_run_id
from simplify.tune.decide import ROUNDS, TOGETHER, Choice, Decision, decide
from simplify.tune.study import DIVERGED, Arm, Part, Place, Results, Rules, Study, Trial
from simplify.zoo.counts import count_parameters

Where = tuple[Part, str, int]  # a part of the study, an arm and a cell: whose runs take equally long


@dataclass(frozen=True)
class Replay:
    """A study as far as the finished runs of a run root bring it, whoever asked for them."""

    record: StudyRecord
    decision: Decision
    results: Results
    runs: Mapping[Trial, PlannedRun]  # what is wanted so far

    @property
    def left(self) -> list[Trial]:
        """What is wanted by now and has not ended, each run once."""
        found = {run.folder.run_id if run.folder else str(trial): trial for trial, run in self.runs.items()}
        missing = set(self.decision.missing)
        return [trial for trial in found.values() if trial in missing]


def replay(record: StudyRecord, root: Path) -> Replay:
    """Decide again and again until what is wanted has not ended."""
    here, store = Here(root), RunStore(root)
    configs: dict[Trial, RunConfig] = {}
    ids: dict[Trial, str | None] = {}
    views: dict[str, RunView] = {}
    results: Results = {}
    decision = decide(record.study, results)
    while fresh := [trial for trial in decision.wanted if trial not in configs]:
        configs |= {trial: trial_config(record, trial) for trial in fresh}
        ids |= {trial: trial_run_id(record, trial, configs[trial]) for trial in fresh}
        wanted = dict.fromkeys(ids[trial] for trial in fresh if ids[trial] not in views)
        views |= {view.run_id: view for view in store.runs(filter(None, wanted))}
        known = {trial: Recorded(name, "", {}) for trial, name in ids.items() if name}
        results, _ = results_of(known, views.values())
        decision = decide(record.study, results)
    runs: dict[Trial, PlannedRun] = {}
    for trial in decision.wanted:
        config, name = configs[trial], ids[trial]
        folder = here.folder(config, name) if name else None
        state = views[name].state if name in views else "new"
        parameters = count_parameters(config.block, config.model, config.data.vocab_size)
        runs[trial] = PlannedRun(
            trial_point(record, trial), config, folder, state, parameters, record.draft(trial).corpus
        )
    return Replay(record, decision, results, runs)


@dataclass(frozen=True)
class Outlook:
    """Runs that are still to be made, by what decides how long they take: the fewest and the most."""

    fewest: Mapping[Where, int]
    most: Mapping[Where, int]

    def total(self) -> tuple[int, int]:
        """Of all together."""
        return sum(self.fewest.values()), sum(self.most.values())


def outlook(study: Study, results: Results) -> Outlook:
    """The fewest: no window grows further, and one seed tells the values apart. The most: all that a rule allows."""
    few = [trial for trial in _fewest(study, results).wanted if trial not in results]
    return Outlook(Counter(map(_where, few)), _most(study, results))


def _where(trial: Trial) -> Where:
    return trial.part, trial.arm, trial.cell


def _most(study: Study, results: Results) -> Counter[Where]:
    found: Counter[Where] = Counter()
    rules, choices = study.rules, decide(study, results).choices
    for arm in study.arms:
        for number, (seeds, finals) in enumerate(zip(rules.seeds, rules.finals, strict=True)):
            own = {trial for trial in results if trial.study == number and trial.arm == arm.name}
            choice = choices.get((number, arm.name))
            runs = 0 if choice is None or choice.settled else _places(arm) * len(seeds) - _spared(choice, rules)
            for cell in range(arm.cells):
                done = Counter(trial.part for trial in own if trial.cell == cell)
                found["tune", arm.name, cell] += max(runs - done["tune"], 0)
                found["final", arm.name, cell] += len(finals) - done["final"]
                found["shared", arm.name, cell] += len(finals) - done["shared"] if rules.shared and choice else 0
    return +found


def _spared(choice: Choice, rules: Rules) -> int:
    """Runs that places which were dropped on the first seed will not need: no later best takes that back."""
    first = {place for line in choice.lines for place, out in line.dropped.items() if out.rung == 1}
    return len(first) * (len(rules.seeds[choice.study]) - 1) if len(choice.lines) == 1 else 0


def _places(arm: Arm) -> int:
    """How many places of an arm can be asked for at most, each on each seed."""
    lengths = [len(ladder.values) for ladder in arm.ladders]
    if not lengths:
        return 0
    return math.prod(lengths) if len(lengths) <= TOGETHER else ROUNDS * sum(lengths)


def _fewest(study: Study, results: Results) -> Decision:
    """The study played to its end, each arm's best being what it is now."""
    known = dict(results)
    while missing := (decision := decide(study, known)).missing:
        for trial in missing:
            known[trial] = _guess(study, results, trial)
    return decision


def _guess(study: Study, results: Results, trial: Trial) -> float:
    """A loss that ends the search soonest: what other seeds gave at that place, else the worse the further off."""
    arm = next(arm for arm in study.arms if arm.name == trial.arm)
    if trial.part != "tune":
        return 0.0
    seen: dict[Place, list[float]] = {}
    for other, loss in results.items():
        if other.part == "tune" and other[1:4] == trial[1:4]:
            seen.setdefault(other.place, []).append(loss if loss == DIVERGED else min(loss, study.ceiling))
    means = {place: math.fsum(losses) / len(losses) for place, losses in seen.items()}
    if trial.place in means:
        return means[trial.place]
    best = min(means, key=lambda place: (means[place], place), default=_middle(arm))
    least = means.get(best, 0.0)
    if least == DIVERGED:
        best, least = _middle(arm), 0.0
    away = sum(abs(own - other) for own, other in zip(trial.place, best, strict=True))
    furthest = sum(len(ladder.values) for ladder in arm.ladders)
    return least + (study.ceiling - least) * away / furthest


def _middle(arm: Arm) -> Place:
    return tuple(sum(ladder.window) // 2 for ladder in arm.ladders)


def representatives(record: StudyRecord, where: Sequence[Where]) -> dict[Where, RunConfig]:
    """A run of each kind, by which its time is told."""
    found: dict[Where, RunConfig] = {}
    for part, name, cell in where:
        arm, rules = record.arm(name), record.study.rules
        tunes = part == "tune"
        seed = (rules.seeds if tunes else rules.finals)[0][0]
        found[part, name, cell] = trial_config(record, Trial(part, 0, name, cell, _middle(arm) if tunes else (), seed))
    return found


def as_planned(config: RunConfig) -> PlannedRun:
    """A run of which nothing is made yet, for a plan's times."""
    parameters = count_parameters(config.block, config.model, config.data.vocab_size)
    return PlannedRun({}, config, None, "new", parameters)
