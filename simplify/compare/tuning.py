"""A tuned comparison as a report needs it: who chose what on which runs, at what price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from simplify.compare.kinds import Kind, Kinds
from simplify.compare.variants import devices_of
from simplify.runs.settings import flat
from simplify.runs.store import RunView
from simplify.tune.decide import Choice, Decision
from simplify.tune.study import Arm, Place, Results, Study, Trial


@dataclass(frozen=True)
class Tuning:
    """A study as far as it is."""

    study: Study
    decision: Decision = field(repr=False)
    results: Results = field(repr=False)
    runs: Mapping[Trial, RunView] = field(repr=False)  # those that have a folder or wait for one
    waits: Sequence[str] = ()  # what stands in its way, in words
    shown: frozenset[str] | None = None  # ids of the runs that are asked for; None: all. Prices are of all

    @property
    def is_done(self) -> bool:
        """Whether all runs of all phases have ended."""
        return self.decision.phase == "done"

    @property
    def studies(self) -> int:
        """How often all of it was done, with other seeds."""
        return len(self.study.rules.seeds)

    @cached_property
    def kinds(self) -> list[Kind]:
        """The rows, the baseline's first."""
        arms = sorted(self.study.arms, key=lambda arm: not arm.is_baseline)
        return [Kind(arm.name, cell) for arm in arms for cell in range(arm.cells)]

    @cached_property
    def keys(self) -> list[str]:
        """The settings that are tuned, by full key."""
        return list(dict.fromkeys(ladder.key for arm in self.study.arms for ladder in arm.ladders))

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.study.arms if arm.name == name)

    def choices(self, name: str) -> list[Choice]:
        """How far an arm is, study by study; none of one that has nothing to choose."""
        numbers = range(len(self.study.rules.seeds))
        return [self.decision.choices[number, name] for number in numbers if (number, name) in self.decision.choices]

    def tried(self, name: str) -> set[Place]:
        """Every place that an arm has tried, or is trying, in any study."""
        return {place for choice in self.choices(name) for place in choice.tried}

    def values(self, arm: Arm, place: Place) -> tuple[float, ...]:
        """The tuned settings at a place."""
        return tuple(ladder.values[index] for ladder, index in zip(arm.ladders, place, strict=False))

    def compared(self, is_shared: bool = False) -> Iterator[tuple[Trial, RunView]]:
        """The final runs, each at its choice, or those at the untuned values."""
        wanted = set(self.decision.wanted)  # not what an earlier choice had asked for
        for trial, run in self.runs.items():
            is_untuned = not self.arm(trial.arm).ladders
            is_asked = trial in wanted and self._is_shown(run)
            if is_asked and trial.part == ("shared" if is_shared and not is_untuned else "final"):
                yield trial, run

    def _is_shown(self, run: RunView) -> bool:
        return self.shown is None or run.run_id in self.shown

    def tuning_runs(self, kind: Kind | None = None) -> list[tuple[Trial, RunView]]:
        """The runs spent on choosing, of one row or of all."""
        return [
            (trial, run)
            for trial, run in self.runs.items()
            if trial.part == "tune" and kind in (None, Kind(trial.arm, trial.cell))
        ]

    def grouped(self, is_shared: bool = False) -> tuple[list[RunView], Kinds]:
        """The runs to be compared, and which row each is of. A row without any is known by one of its tuning runs."""
        pairs = list(self.compared(is_shared))
        of = {run.run_id: Kind(trial.arm, trial.cell) for trial, run in pairs}
        have, spare = set(of.values()), dict[Kind, RunView]()
        for trial, run in self.tuning_runs():
            kind = Kind(trial.arm, trial.cell)
            if kind not in have and self._is_shown(run) and isinstance(run.about.get("identity"), dict):
                spare.setdefault(kind, run)
        units = {run.run_id: (("study", trial.study),) for trial, run in pairs} if self.studies > 1 else {}
        bases = frozenset(kind for kind in self.kinds if self.arm(kind.arm).is_baseline)
        of |= {run.run_id: kind for kind, run in spare.items()}
        known = frozenset(run.run_id for run in spare.values())
        kinds = Kinds(of, self.kinds, bases, known, units, tuple(self.keys))
        return [*(run for _, run in pairs), *spare.values()], kinds

    def hours(self, kind: Kind, part: str) -> float:
        """Device hours of a row's runs of a part, each run once."""
        found = {
            run.run_id: run
            for trial, run in self.runs.items()
            if trial.part == part and (trial.arm, trial.cell) == kind
        }
        return sum(device_hours(run) for run in found.values())

    def all_hours(self) -> tuple[float, float]:
        """Device hours of tuning, and of everything else; a run that is of both counts as tuning."""
        tuning = {run.run_id: run for _, run in self.tuning_runs()}
        others = {run.run_id: run for run in self.runs.values() if run.run_id not in tuning}
        return sum(map(device_hours, tuning.values())), sum(map(device_hours, others.values()))


def device_hours(run: RunView) -> float:
    """What a run has taken so far, all its devices together."""
    return float(run.last.get("seconds") or 0.0) / 3600 * devices_of(flat(run.config))
