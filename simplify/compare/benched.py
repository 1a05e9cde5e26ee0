"""What benches have measured of a comparison's variants, in place of the runs' own speeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simplify.compare.comparison import Comparison, Row
from simplify.compare.ratios import Ratio
from simplify.compare.speed import Entry, Speed
from simplify.compare.variants import Variant


def with_bench(found: Comparison, speed: Speed | None) -> Comparison:
    """The comparison with what benches have measured of its variants in place of the runs' own speeds."""
    if speed is None or "train" not in speed.modes:
        return found
    entries = {entry.name: entry for entry in speed.entries if "train" in entry.modes}
    base = entries.get(speed.baseline)
    return found if base is None else replace(found, rows=[_row(row, base, entries) for row in found.rows])


def colours_of(found: Comparison, speed: Speed) -> dict[str, str]:
    """The colours that a bench's variants have in the other figures, by their names in the bench."""
    pairs = [(entry.name, variant) for entry in speed.entries for variant in found.variants if _is_of(entry, variant)]
    return {name: variant.style.colour for name, variant in reversed(pairs)}


def labels_of(found: Comparison, speed: Speed, labels: Mapping[str, str]) -> dict[str, str]:
    """What a bench's variants are called, by their names in the bench: as the report's labels have it."""
    shown = {variant.printed: variant.label for variant in found.variants} | dict(labels)
    names = [entry.name for entry in speed.entries]
    called = {name: shown.get(name) or " ".join(shown.get(word, word) for word in name.split()) for name in names}
    return {name: " ".join(label.split()) or name for name, label in called.items()}


def _row(row: Row, base: Entry, entries: Mapping[str, Entry]) -> Row:
    if row.base is None or row.is_base or not _is_of(base, row.base):
        return row
    for entry in entries.values():
        ratio = entry.modes["train"]["ratio"]
        if ratio and _is_of(entry, row.variant):
            return replace(row, speed=Ratio(ratio["median"], ratio["low"], ratio["high"], 0), benched=ratio["verdict"])
    return row


def _is_of(entry: Entry, variant: Variant) -> bool:
    """Whether a bench's variant has this one's block and model."""
    config = entry.bench.record["variants"][entry.name]["config"]
    return all(_plain(config[name]) == _plain(variant.config[name]) for name in ("block", "model"))


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in ("name", "seed")}
