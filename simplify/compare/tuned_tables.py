"""What stands behind a tuned comparison's rows: each value tried, each tuning run; for the page, and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simplify.compare.kinds import Kind
from simplify.compare.page import Table
from simplify.compare.tuned import TunedRow
from simplify.compare.tuned_notes import budget_line
from simplify.compare.tuned_table import NONE, place_text
from simplify.compare.tuning import Tuning
from simplify.tune.curve import Tried
from simplify.tune.study import DIVERGED, Place

if TYPE_CHECKING:
    from simplify.compare.comparison import Comparison, Row


def tuning_tables(found: Comparison) -> list[Table]:
    """Every value tried with its seeds, its loss and its gap to the baseline; then every tuning run. Folded."""
    tuning = found.tuning
    if tuning is None:
        return []
    rows = [(row, row.tuned) for row in found.rows if row.tuned is not None]
    head = ["variant", "value", "seeds", "loss", f"minus the baseline ({_LEVEL})", "there", "standing"]
    values = [_value_row(row, own, place, one, tuning) for row, own in rows for place, one in own.places.items()]
    names = {own.kind: row.variant.name for row, own in rows}
    runs = [
        [
            *(run.run_id, names.get(Kind(trial.arm, trial.cell), trial.arm), _place(tuning, trial.arm, trial.place)),
            *(str(trial.seed), run.state, _loss(tuning.results.get(trial))),
        ]
        for trial, run in tuning.tuning_runs()
    ]
    told = [Table("Values tried", [head, *values], folded=True)] if values else []
    run_head = ["run", "variant", "value", "seed", "state", "final loss"]
    return [*told, *([Table(f"{len(runs)} tuning runs", [run_head, *runs], folded=True)] if runs else [])]


_LEVEL = "95%, spread pooled"


def _value_row(row: Row, own: TunedRow, place: Place, one: Tried, tuning: Tuning) -> list[str]:
    gap = next((gap for gap in own.gaps if gap.values == tuning.values(own.arm, place)), None)
    between = "" if gap is None or gap.low is None else f" ({gap.low:+.4f} to {gap.high:+.4f})"
    told = [NONE, NONE] if gap is None else [f"{gap.mean:+.4f}{between}", gap.said]
    loss = "diverged" if one.diverged else f"{one.level:.4f}"
    return [row.variant.name, place_text(own, place), str(len(one.losses)), loss, *told, _standing(own, place, tuning)]


def _standing(own: TunedRow, place: Place, tuning: Tuning) -> str:
    """Whether a place was chosen, was as good, or dropped, and from where on that is too much."""
    told: list[str] = []
    for choice in tuning.choices(own.arm.name):
        dropped = next((line.dropped[place] for line in reversed(choice.lines) if place in line.dropped), None)
        if choice.chosen == place:
            told.append("chosen")
        elif choice.settled and place in choice.lines[-1].tied:
            told.append("cannot be told apart from the best")
        elif dropped is not None and dropped.behind != DIVERGED:
            told.append(f"dropped after seed {dropped.rung}: {dropped.behind:.4f} behind, limit {dropped.limit:.4f}")
        elif dropped is not None:
            told.append(f"diverged at seed {dropped.rung}")
    return "; ".join(dict.fromkeys(told)) or NONE


def _place(tuning: Tuning, name: str, place: Place) -> str:
    return " ".join(f"{value:g}" for value in tuning.values(tuning.arm(name), place))


def _loss(loss: float | None) -> str:
    return NONE if loss is None else "diverged" if loss == DIVERGED else f"{loss:.4f}"


def tuning_numbers(found: Comparison) -> dict[str, Any] | None:
    """A study for programs: settings, seeds, phase, price. None where nothing was tuned."""
    tuning = found.tuning
    if tuning is None:
        return None
    rules, hours = tuning.study.rules, tuning.all_hours()
    rows = [row.tuned for row in found.rows if row.tuned is not None]
    return {
        "settings": tuning.keys,
        "phase": tuning.decision.phase,
        "missing": len(tuning.decision.missing),
        "waits": list(tuning.waits),
        "tuning_seeds": [list(seeds) for seeds in rules.seeds],
        "final_seeds": [list(seeds) for seeds in rules.finals],
        "race": rules.race,
        "gap": rules.gap,
        "loss_at_initialisation": tuning.study.ceiling,
        "device_hours": {"tuning": hours[0], "final": hours[1]},
        "budget": budget_line(tuning, rows),
    }


def row_numbers(row: Row, found: Comparison) -> dict[str, Any] | None:
    """What tuning adds to a row, for programs. Losses in nats; values by setting."""
    own, tuning = row.tuned, found.tuning
    if own is None or tuning is None:
        return None

    def values(place: Place | None) -> dict[str, float] | None:
        return None if place is None else {tuning.keys[at]: own.arm.ladders[at].values[i] for at, i in enumerate(place)}

    return {
        "block": own.kind.arm,
        "is_tuned": own.is_tuned,
        "chosen": [values(place) for place in own.chosen],
        "tied": [[values(place) for place in places] for places in own.tied],
        "at_edge": list(own.edges),
        "words": own.words or None,
        "untuned": None if own.untuned is None else {**vars(own.untuned)},
        "sensitivity": dict(zip(tuning.keys, own.sensitivity, strict=False)),
        "basin": {
            key: None if one is None else {**vars(one)} for key, one in zip(tuning.keys, own.basin, strict=False)
        },
        "tuning_runs": own.runs,
        "device_hours": {"tuning": own.hours[0], "final": own.hours[1]},
        "tried": [
            {"values": values(place), "losses": dict(one.losses), "level": one.level, "diverged": one.diverged}
            for place, one in own.places.items()
        ],
        "gaps": [{**vars(gap), "values": list(gap.values)} for gap in own.gaps],
    }
