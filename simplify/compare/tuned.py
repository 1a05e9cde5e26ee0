"""A tuned comparison's rows: the product's own verdict at each one's best, and what tuning says beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simplify.compare.kinds import Kind, Kinds
from simplify.compare.tuned_words import Gap, Said, gaps_at, in_words
from simplify.compare.tuning import Tuning
from simplify.runs.store import RunView
from simplify.tune.curve import Basin, Tried, basin, sensitivity, tried
from simplify.tune.study import DIVERGED, Arm, Place

if TYPE_CHECKING:
    from simplify.compare.comparison import Comparison, Row
    from simplify.compare.variants import Variant
    from simplify.compare.verdict import Judged

Compare = Callable[[Sequence[RunView], Kinds], "Comparison"]
TUNING, FINAL = "tuning seeds", "final seeds"


@dataclass(frozen=True)
class Untuned:
    """The verdict at the untuned values, which are the same for both."""

    said: Said
    words: str
    where: str  # TUNING or FINAL


@dataclass(frozen=True)
class TunedRow:
    """What tuning adds to a row. `chosen`: by study; None: not yet, or every value diverged."""

    kind: Kind
    arm: Arm
    is_done: bool  # whether all of the study is
    settled: bool  # whether this one has chosen in every study
    chosen: tuple[Place | None, ...]
    tied: tuple[tuple[Place, ...], ...]  # by study: the places that cannot be told apart, where they are several
    edges: tuple[str, ...]  # settings of which the best lies at the last value that may be tried
    places: Mapping[Place, Tried]
    gaps: tuple[Gap, ...]
    untuned: Untuned | None
    words: str
    sensitivity: tuple[float | None, ...]  # by ladder
    basin: tuple[Basin | None, ...]
    runs: int  # spent on its choice
    hours: tuple[float, float]  # of devices: tuning, final runs

    @property
    def is_tuned(self) -> bool:
        """Whether it has anything to choose."""
        return bool(self.arm.ladders)

    @property
    def is_lost(self) -> bool:
        """Whether every value diverged in some study, so that there is nothing to compare."""
        return self.is_tuned and self.settled and None in self.chosen

    @property
    def verdict(self) -> str | None:
        """What stands in place of the verdict; None: the verdict of the final runs."""
        if self.is_lost:
            return "every value diverged"
        return None if self.is_done else "-"


def tuned_comparison(tuning: Tuning, compare: Compare) -> Comparison:
    """The final runs as any other comparison, `compare`d by the product's own rules; each row with its tuning."""
    found = compare(*tuning.grouped())
    shared: dict[Kind, Row] = {}
    if tuning.study.rules.shared:
        shared = {_kind(row.variant): row for row in compare(*tuning.grouped(is_shared=True)).rows}
    rows = [_with_tuning(row, tuning, shared.get(_kind(row.variant))) for row in found.rows]
    return replace(found, rows=rows, tuning=tuning)


def _kind(variant: Variant) -> Kind:
    assert variant.kind is not None, "grouped by kinds"
    return variant.kind


def _with_tuning(row: Row, tuning: Tuning, untuned: Row | None) -> Row:
    kind = _kind(row.variant)
    arm, choices = tuning.arm(kind.arm), tuning.choices(kind.arm)
    places = tried(arm, tuning.study, tuning.results, [kind.cell])
    gaps = _gaps(row, tuning) if tuning.is_done else ()
    at_untuned = _untuned(row, tuning, gaps, untuned) if tuning.is_done else None
    final = _said(row) if tuning.is_done else None
    other: list[Said] = [gap.said for gap in gaps if gap.values != _untuned_values(arm)]
    found = TunedRow(
        kind=kind,
        arm=arm,
        is_done=tuning.is_done,
        settled=all(choice.settled for choice in choices),
        chosen=tuple(choice.chosen for choice in choices),
        tied=tuple(_tied(choice.lines[-1].tied) for choice in choices),
        edges=_edges(arm, tuning),
        places=places,
        gaps=gaps,
        untuned=at_untuned,
        words=in_words(final, at_untuned.said if at_untuned else None, other, _what(arm)) if arm.ladders else "",
        sensitivity=tuple(sensitivity(arm, places, at) for at in range(len(arm.ladders))),
        basin=tuple(basin(arm, places, at) for at in range(len(arm.ladders))),
        runs=len({run.run_id for _, run in tuning.tuning_runs(kind)}),
        hours=(tuning.hours(kind, "tune"), tuning.hours(kind, "final")),
    )
    also = tuple(key for key in row.also if key not in tuning.keys)
    if tuning.is_done:
        return replace(
            row, tuned=found, also=also, judged=_of_studies(row.judged) if tuning.studies > 1 else row.judged
        )
    return replace(row, tuned=found, also=also, gap=None, judged=None)  # no verdict, and nothing to read one off


def _of_studies(judged: Judged | None) -> Judged | None:
    """A verdict whose pairs are studies, in words that say so."""
    if judged is None:
        return None
    return replace(judged, words=judged.words.replace("seeds", "studies").replace("seed", "study"))


def _said(row: Row) -> Said | None:
    """The verdict that stands; None where there is none."""
    return row.judged.verdict if row.judged is not None and row.judged.n else None


def _what(arm: Arm) -> str:
    """What is tuned, in a word."""
    keys = [ladder.key for ladder in arm.ladders]
    if len(keys) > 1:
        return "setting"
    return "rate" if keys[0] == "optimiser.lr" else keys[0].rpartition(".")[2]


def _tied(places: tuple[Place, ...]) -> tuple[Place, ...]:
    return tuple(sorted(places)) if len(places) > 1 else ()


def _edges(arm: Arm, tuning: Tuning) -> tuple[str, ...]:
    found = {
        at for choice in tuning.choices(arm.name) for line in choice.lines[-len(arm.ladders) :] for at in line.edges
    }
    return tuple(arm.ladders[at].key for at in sorted(found))


def _untuned_values(arm: Arm) -> tuple[float, ...] | None:
    """The untuned values, where all of them are among those to be tried."""
    defaults = [ladder.values[ladder.default] for ladder in arm.ladders if ladder.default is not None]
    return tuple(defaults) if defaults and len(defaults) == len(arm.ladders) else None


def _gaps(row: Row, tuning: Tuning) -> tuple[Gap, ...]:
    """The paired gaps to the baseline at each value that both have tried."""
    if row.base is None or row.is_base:
        return ()
    kinds = [_kind(variant) for variant in (row.variant, row.base)]
    arms = [tuning.arm(kind.arm) for kind in kinds]
    if [ladder.key for ladder in arms[0].ladders] != [ladder.key for ladder in arms[1].ladders]:
        return ()
    sides = [tried(arm, tuning.study, tuning.results, [k.cell]) for arm, k in zip(arms, kinds, strict=True)]
    named = [{tuning.values(arm, p): one for p, one in side.items()} for arm, side in zip(arms, sides, strict=True)]
    out = [frozenset(values for values, one in side.items() if one.diverged) for side in named]
    mine, base = ({values: one.losses for values, one in side.items()} for side in named)
    finals = [_finals(kind, tuning) for kind in kinds]
    pairs = [loss - finals[1][seed] for seed, loss in finals[0].items() if seed in finals[1]]
    return tuple(gaps_at(mine, base, pairs, (out[0], out[1])))


def _finals(kind: Kind, tuning: Tuning) -> dict[int, float]:
    """The losses of a row's final runs by seed, without those that diverged."""
    return {
        trial.seed: loss
        for trial in tuning.decision.wanted
        if trial.part == "final"
        and (trial.arm, trial.cell) == kind
        and (loss := tuning.results.get(trial, DIVERGED)) != DIVERGED
    }


def _untuned(row: Row, tuning: Tuning, gaps: Sequence[Gap], final: Row | None) -> Untuned | None:
    """What final runs at the untuned values say; without any, the tuning runs that were made there."""
    if row.base is None or row.is_base:
        return None
    if final is not None:
        said = _said(final)
        return None if said is None else Untuned(said, final.verdict, FINAL)
    values = {_untuned_values(tuning.arm(_kind(variant).arm)) for variant in (row.variant, row.base)}
    gap = next((gap for gap in gaps if {gap.values} == values), None)
    if gap is None:
        return None
    return Untuned(gap.said, f"{gap.said}, {gap.n} tuning seed{'s'[: gap.n != 1]}", TUNING)
