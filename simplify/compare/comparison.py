"""A sweep's answer in numbers: one row a variant, held against its baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from simplify.compare.asked import Asked, Looked
from simplify.compare.baseline import Home, apart, baseline_of, bases, missing_line
from simplify.compare.curves import Logged
from simplify.compare.kinds import Kinds
from simplify.compare.pairs import apart_line, finals_of
from simplify.compare.ratios import Ratio, Reach, fact_of, memory_of, reach_of, same_machine, speed_of
from simplify.compare.statistics import Difference, compare, mean_sd
from simplify.compare.variants import Variant, group
from simplify.compare.verdict import UNDECIDED, Judged, judge
from simplify.runs.store import RunView

if TYPE_CHECKING:
    from simplify.compare.tuned import TunedRow
    from simplify.compare.tuning import Tuning


@dataclass(frozen=True)
class Row:
    """One variant. Losses in nats a token."""

    variant: Variant
    base: Variant | None  # what it is held against: another variant, or itself
    loss: tuple[float, float | None] | None  # mean and standard deviation over seeds
    gap: Difference | None  # over all pairs; None for the baseline itself, and where nothing can be compared
    judged: Judged | None = None  # what it decides among all rows of the table
    also: tuple[str, ...] = ()  # settings beside the block in which it differs from its baseline
    speed: Ratio | None = None
    memory: Ratio | None = None
    reach: Reach | None = None
    benched: str = ""  # a bench's verdict on its speed; empty: the speed is that of runs side by side
    unjudged: str = ""  # why there is no gap although both have finished runs
    tuned: TunedRow | None = None  # of a tuned comparison

    @property
    def is_base(self) -> bool:
        """Whether others are held against it."""
        return self.base is self.variant

    @property
    def verdict(self) -> str:
        """In words. A variant that diverges is not judged by its survivors, and judges nobody as a baseline."""
        mine, base = self.variant.diverged, self.base.diverged if self.base else []
        if self.tuned is not None and self.tuned.verdict is not None:
            return self.tuned.verdict
        if mine:
            return f"diverged in {len(mine)} of {len(self.variant.runs)}"
        if self.gap is None or self.judged is None:
            return self.unjudged or "-"
        return f"baseline diverged in {len(base)} of {len(self.base.runs)}" if base and self.base else self.judged.words

    @property
    def speed_verdict(self) -> str:
        """A bench's word; of runs side by side only that it is not decided: one pair, or pairs on both sides of 1."""
        if self.benched or self.speed is None:
            return self.benched
        return UNDECIDED if self.speed.n == 1 or self.speed.least <= 1 <= self.speed.most else ""

    @property
    def parameters_share(self) -> float | None:
        """Its parameters over the baseline's."""
        mine, its = self.variant.costs, self.base.costs if self.base else None
        return mine.parameters / its.parameters if mine and its else None


@dataclass(frozen=True)
class Comparison:
    """All variants among some runs, and what is not among them."""

    rows: list[Row]
    not_begun: list[RunView]
    logged: Logged = field(repr=False)
    margin: float | None = None  # nats
    looks: tuple[int, ...] = ()  # numbers of pairs at which verdicts are read; empty: none are planned
    no_baseline: str = ""  # what to do where every variant would be its own baseline
    tuning: Tuning | None = None  # how each variant came to its settings, where they were tuned

    @property
    def variants(self) -> list[Variant]:
        """In the order of the rows."""
        return [row.variant for row in self.rows]

    @property
    def unfinished(self) -> list[RunView]:
        """Runs that have no result, for whatever reason."""
        tuned = [run for _, run in self.tuning.tuning_runs()] if self.tuning else []
        begun = [run for variant in self.variants for run in variant.runs] + tuned
        return [run for run in begun if run.state != "done"] + self.not_begun

    def apart_in(self, what: str) -> list[str]:
        """The different values among finished runs of a fact of run.json: device, torch, precision."""
        return sorted({fact_of(run, what) for v in self.variants for run in v.done})


def comparison(
    runs: Sequence[RunView],
    baseline: str | None = None,
    margin: float | None = None,
    colour: str = "block",
    labels: Mapping[str, str] | None = None,
    as_given: bool = True,
    home: Home = lambda _: None,
    looks: Sequence[int] = (),
    seen: Looked = lambda *_: (),
    kinds: Kinds | None = None,
) -> Comparison:
    """Group runs, choose each variant's baseline, and compare.

    `as_given`: the variants in the order of the runs; else in that of their settings. `home`: what a variant's groups
    are without a setting on top, for the choice of a baseline among variants of one block. `looks`: the numbers of
    pairs at which verdicts are read, in the order of the runs. `seen`: the looks that there were at a variant's
    difference from its baseline. `kinds`: which variant each run is of, where its settings do not say, and which ones
    are baselines where `baseline` does not.
    """
    variants, not_begun = group(runs, colour, labels, as_given, kinds)
    chosen, logged = bases(variants, baseline, home), Logged()
    if kinds is not None and baseline is None:
        chosen = [variant for variant in variants if variant.kind in kinds.bases] or chosen
    rows = [_row(variant, baseline_of(variant, chosen), logged) for variant in variants]
    rows = judged_rows(rows, Asked(runs, variants, as_given), looks, margin, seen)
    missing = missing_line(variants, baseline, chosen)
    return Comparison(rows, not_begun, logged, margin, tuple(looks), missing)


def judged_rows(
    rows: Sequence[Row],
    asked: Asked,
    looks: Sequence[int],
    margin: float | None,
    seen: Looked,
) -> list[Row]:
    """The rows with their verdicts. All that are held against another variant are one family, finished or not."""
    held = {n: (row.variant, row.base) for n, row in enumerate(rows) if row.base is not None and not row.is_base}
    family = {number: asked.evidence(variant, base, seen) for number, (variant, base) in held.items()}
    verdicts = dict(zip(family, judge([*family.values()], looks, margin), strict=True))
    return [replace(row, judged=verdicts.get(number)) for number, row in enumerate(rows)]


def _row(variant: Variant, base: Variant | None, logged: Logged) -> Row:
    finals = variant.final()
    loss = mean_sd(list(finals.values())) if finals else None
    if base is None or base is variant:
        return Row(variant, base, loss, None)
    return Row(
        variant,
        base,
        loss,
        compare(*finals_of(variant, base)),
        None,
        tuple(apart(base, variant)),
        speed_of(variant, base) if same_machine(variant, base) else None,
        memory_of(variant, base) if same_machine(variant, base) else None,
        reach_of(variant, base, logged),
        unjudged=apart_line(variant, base),
    )
