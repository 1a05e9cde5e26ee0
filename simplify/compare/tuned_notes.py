"""What a reader has to know of a tuned comparison: what the tuning was given, what was close, how columns are meant."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from simplify.compare.tuned import FINAL, TUNING, TunedRow
from simplify.compare.tuned_table import hours_text, place_text, setting_name, short_key
from simplify.compare.tuning import Tuning
from simplify.runs.words import as_word
from simplify.tune.curve import WITHIN

if TYPE_CHECKING:
    from simplify.compare.comparison import Comparison


def budget_line(tuning: Tuning, rows: Sequence[TunedRow]) -> str:
    """What each one's choice was made from, what the verdict is read on, and the price."""
    tuned = [row for row in rows if row.is_tuned]
    blocks = {row.arm.name: row for row in tuned}
    if not blocks:
        return ""
    runs = [sum(row.runs for row in tuned if row.arm.name == name) for name in blocks]
    rules = tuning.study.rules
    first, studies = rules.seeds[0], tuning.studies
    several = f", {studies} times with other seeds" if studies > 1 else ""
    hours = [hours_text(part) for part in tuning.all_hours()]
    others = list(dict.fromkeys(row.arm.name for row in rows if not row.is_tuned))
    parts = [
        f"each block: {_values_told([*blocks.values()], tuning)}, {_count(len(first), 'seed')}{several}, "
        f"{_span(runs)} run{'s'[: max(runs) != 1]}{f' (not tuned: {_and(others)})' if others else ''}",
        f"chosen on {_seeds(rules.seeds)}",
        f"verdict on {_seeds(rules.finals)}",
        f"{hours[0]} device hours of tuning, {hours[1]} of final runs",
    ]
    return "; ".join(parts)


def _values_told(rows: Sequence[TunedRow], tuning: Tuning) -> str:
    """`7 rates from 0.00025 to 0.016`, or the numbers of several settings."""
    told: list[str] = []
    for at, key in enumerate(tuning.keys):
        tried = [sorted({place[at] for place in tuning.tried(row.arm.name)}) for row in rows]
        found = [row.arm.ladders[at].values[index] for row, places in zip(rows, tried, strict=True) for index in places]
        many = _span([len(places) for places in tried])
        what = "rates" if key == "optimiser.lr" else f"values of {short_key(key, tuning)}"
        told.append(f"{many} {what}" + (f" from {as_word(min(found))} to {as_word(max(found))}" if found else ""))
    if len(told) == 1:
        return told[0]
    return f"{_and(told)}, {_span([len(tuning.tried(row.arm.name)) for row in rows])} pairs of them"


def tuned_notes(found: Comparison, has: Collection[str]) -> list[str]:
    """The budget statement first; then what is to be known of each row's choice, and of the columns, `has`."""
    tuning = found.tuning
    if tuning is None:
        return []
    rows = [row.tuned for row in found.rows if row.tuned is not None]
    names = {row.tuned.kind: row.variant.name for row in found.rows if row.tuned is not None}
    notes = [line for line in (_phase_line(tuning), budget_line(tuning, rows)) if line]
    notes += _of_precision(tuning)
    for row in rows:
        notes += [f"{names[row.kind]}: {line}." for line in _of_choice(row, tuning)]
    notes += _of_untuned(rows, tuning) if "untuned" in has else []
    number = tuning.studies
    if tuning.is_done and number > 1:
        notes.append(
            f"{number} studies: each block was tuned and compared {number} times with other seeds. Pairs are of a "
            "study's means, so loss and interval are over studies and contain the luck of tuning."
        )
    return [*notes, *_of_columns(rows, tuning, has)]


def _of_precision(tuning: Tuning) -> list[str]:
    """Final runs of two precisions are no pair; tuning runs of two make a choice that may be one between these."""
    kinds = {str((run.about.get("device") or {}).get("precision")) for _, run in tuning.tuning_runs()} - {"None"}
    told = _and(sorted(kinds))
    return [f"tuning runs are in {told}: what was chosen may be a precision and no setting."] if len(kinds) > 1 else []


def _phase_line(tuning: Tuning) -> str:
    """What an unfinished study is at, and what it waits for."""
    if tuning.is_done:
        return ""
    what = {"tuning": "The tuning is not finished", "final": "The final runs are not finished"}[tuning.decision.phase]
    missing = len(tuning.decision.missing)
    waits = f"; waits for: {', '.join(tuning.waits)}" if tuning.waits else ""
    return f"{what} ({missing} run{'s'[: missing != 1]} to come{waits}): no verdict yet, and what is here may change."


def _of_choice(row: TunedRow, tuning: Tuning) -> Iterator[str]:
    """What was close, at an edge, or diverged."""
    for number, (places, chosen) in enumerate(zip(row.tied, row.chosen, strict=True)):
        if places and chosen is not None:
            where = f" of study {number + 1}" if len(row.chosen) > 1 else ""
            told = _and([place_text(row, place) for place in places])
            taken = f"{place_text(row, chosen)} has the lowest mean and is taken"
            yield f"{told} cannot be told apart on the tuning seeds{where}; {taken}"
    for key in row.edges:
        yield f"the best {short_key(key, tuning)} lies at the edge of what may be tried: a better one may lie beyond"
    out = [place_text(row, place) for place, one in row.places.items() if one.diverged]
    if row.is_lost:
        yield "every value diverged on a tuning seed, so that there is nothing to compare"
    elif out:
        yield (
            f"diverged on a tuning seed at {_and(out)}, which cannot be chosen and counts as the loss at "
            f"initialisation, {tuning.study.ceiling:.3f}"
        )


def _of_untuned(rows: Sequence[TunedRow], tuning: Tuning) -> list[str]:
    """Where the verdict at the untuned values is from."""
    name = setting_name(tuning)
    where = {row.untuned.where for row in rows if row.untuned is not None}
    if FINAL in where:
        return [f"at the untuned {name}: final runs on the same seeds, both as they are without tuning."]
    if TUNING in where:
        return [
            f"at the untuned {name}: from the tuning runs made there, on the seeds they had before they were dropped, "
            "Holm over the values; tune.shared makes final runs of it."
        ]
    if tuning.is_done and any(row.gaps for row in rows):
        return [f"at the untuned {name}: was not tried; tune.shared makes final runs of it."]
    return []


def _of_columns(rows: Sequence[TunedRow], tuning: Tuning, has: Collection[str]) -> list[str]:
    """How the words and numbers of the columns are meant."""
    name = setting_name(tuning)
    notes: list[str] = []
    if "words" in has and any(row.words for row in rows):
        notes.append(
            f"in words: the verdict at each one's best against those at each {name} that both have tried (paired on "
            "tuning seeds, the spread of pairs pooled with that of the final runs, Holm over the values). only when "
            "tuned: surely not so at the untuned value. depends on: at one value surely so, at another surely not, or "
            "not at its best."
        )
    if "sensitivity" in has and any(number is not None for row in rows for number in row.sensitivity):
        notes.append(
            f"{name} sensitivity: mean over the window of the loss minus the best one, diverged runs at the loss at "
            "initialisation, nats (arXiv 2309.14322)."
        )
    if "basin" in has and any(found is not None for row in rows for found in row.basin):
        notes.append(f"basin: octaves round the best within {WITHIN:g} nats of it, straight between the values tried.")
    return [*notes, *(["device hours: of tuning + of final runs."] if "hours" in has else [])]


def _and(texts: Sequence[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s'[: number != 1]}"


def _span(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{least}" if least == most else f"{least} to {most}"


def _seeds(groups: Sequence[Sequence[int]]) -> str:
    """`seeds 1000-1002`, study by study."""
    return f"seed{'s'[: sum(map(len, groups)) != 1]} {', '.join(map(_range, groups))}"


def _range(seeds: Sequence[int]) -> str:
    ordered = sorted(seeds)
    is_run = len(ordered) > 1 and all(b - a == 1 for a, b in itertools.pairwise(ordered))
    return f"{ordered[0]}-{ordered[-1]}" if is_run else " ".join(map(str, ordered))
