"""The columns of a tuned comparison: what each chose, its verdicts, how much hangs on the setting, the price."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from simplify.compare.names import short
from simplify.compare.tuned import TunedRow
from simplify.compare.tuning import Tuning
from simplify.runs.words import as_word
from simplify.tune.curve import Basin
from simplify.tune.study import Place

if TYPE_CHECKING:
    from simplify.compare.comparison import Row

NONE = "-"
HEADS = {  # of the columns, by key; `{}` is the tuned setting's short name, or `settings`
    "chosen": "chosen {}",
    "untuned": "at the untuned {}",
    "words": "in words",
    "sensitivity": "{} sensitivity",
    "basin": "basin (octaves)",
    "trials": "tuning runs",
    "hours": "device hours",
}


def setting_name(tuning: Tuning) -> str:
    """What is tuned, in a word."""
    return short_key(tuning.keys[0], tuning) if len(tuning.keys) == 1 else "settings"


def cell_of(key: str) -> Callable[[Row], str]:
    """What stands in a column of these."""
    cells: dict[str, Callable[[TunedRow], str]] = {
        "chosen": chosen_cell,
        "untuned": lambda row: row.untuned.words if row.untuned else NONE,
        "words": lambda row: row.words or NONE,
        "sensitivity": lambda row: _each(row, [None if s is None else f"{s:.3f}" for s in row.sensitivity]),
        "basin": lambda row: _each(row, [None if b is None else _octaves(b) for b in row.basin]),
        "trials": lambda row: f"{row.runs}" if row.is_tuned else NONE,
        "hours": lambda row: f"{hours_text(row.hours[0])} + {hours_text(row.hours[1])}",
    }
    return lambda row: NONE if row.tuned is None else cells[key](row.tuned)


def chosen_cell(row: TunedRow) -> str:
    """What it chose, study by study."""
    if not row.is_tuned:
        return "not tuned"
    if row.is_lost:
        return "none"
    found = ["not yet" if place is None else place_text(row, place) for place in row.chosen]
    return ", ".join(found) if len(row.arm.ladders) == 1 else "; ".join(found)


def place_text(row: TunedRow, place: Place) -> str:
    """The tuned settings at a place: `0.002`, or `lr=0.002 weight_decay=0.1`."""
    keys = [ladder.key for ladder in row.arm.ladders]
    values = [as_word(ladder.values[index]) for ladder, index in zip(row.arm.ladders, place, strict=True)]
    if len(values) == 1:
        return values[0]
    among = dict.fromkeys(keys)
    return " ".join(f"{short(key, among)}={value}" for key, value in zip(keys, values, strict=True))


def _each(row: TunedRow, texts: Sequence[str | None]) -> str:
    """A number for each tuned setting."""
    if len(texts) < 2:
        return (texts[0] if texts else None) or NONE
    keys = dict.fromkeys(ladder.key for ladder in row.arm.ladders)
    return ", ".join(f"{short(key, keys)} {text or NONE}" for key, text in zip(keys, texts, strict=True))


def _octaves(found: Basin) -> str:
    return f"{found.octaves:.1f} or more" if found.is_open else f"{found.octaves:.1f}"


def hours_text(hours: float) -> str:
    """41, 3.2, 0.05."""
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"


def short_key(key: str, tuning: Tuning) -> str:
    """A tuned setting's key without its group, unless two are alike then."""
    return short(key, dict.fromkeys(tuning.keys))
