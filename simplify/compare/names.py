"""What variants are called: by the settings that tell them apart, and as a paper's labels have it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simplify.runs.settings import NO_PART, varied_words

_LONG = 60  # characters from which names leave out what is usual among the variants
_MATHS = re.compile(r"\$([^$]*)\$")


@dataclass(frozen=True)
class Names:
    """Of each variant the settings that tell it apart, by full key, and its name; and what the names leave out."""

    cells: Sequence[Mapping[str, str]]
    names: Sequence[str]
    usual: Mapping[str, str]  # settings that are as said here where a name does not say


def names_of(configs: Sequence[Mapping[str, Any]]) -> Names:
    """A short name for each configuration, in which stands what not all of them share; one name twice gets a number.

    Of variants that differ in so much that a name is a line of its own, what most of them share is left out too.
    """
    told = varied_words(configs)
    unsaid = NO_PART | _repeated(told)
    cells = [{key: value for key, value in row.items() if key not in unsaid} for row in told]
    blocks = [str(config["block"]["name"]) for config in configs]
    names, usual = [name_of(*pair) for pair in zip(cells, blocks, strict=True)], dict[str, str]()
    if max(map(len, names), default=0) > _LONG:
        usual = _usual(cells)
        shorter = [{key: value for key, value in row.items() if usual.get(key) != value} for row in cells]
        names = [name_of(*pair) for pair in zip(shorter, blocks, strict=True)]
    return Names(cells, _numbered(names), usual)


def name_of(cells: Mapping[str, str], block: str) -> str:
    """`sas, lr=0.001`, or `lr=0.001` where the block is all variants'; the block where there is nothing to say."""
    words = [value if key == "block" else f"{short(key, cells)}={value}" for key, value in cells.items()]
    return ", ".join(words) or block


def short(key: str, among: Mapping[str, Any]) -> str:
    """A key without its group, unless two keys are alike then."""
    inner = key.partition(".")[2]
    return inner if inner and sum(other.partition(".")[2] == inner for other in among) == 1 else key


def _usual(cells: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Of each setting beside the block the value that more than half of the variants with this setting have."""
    found: dict[str, str] = {}
    for key in dict.fromkeys(key for row in cells for key in row if key != "block"):
        values = [row[key] for row in cells if key in row]
        value, number = Counter(values).most_common(1)[0]
        if 2 * number > len(values):
            found[key] = value
    return found


def _numbered(names: Sequence[str]) -> list[str]:
    found = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        places = [place for place, other in enumerate(names) if other == name]
        for number, place in enumerate(places, start=1):
            found[place] = f"{name} ({number})"
    return found


def _repeated(told: Sequence[Mapping[str, str]]) -> set[str]:
    """Settings inside a setting that are the same as another's of that name in all runs: W_P's where W_V's say it."""
    keys = [key for key in dict.fromkeys(key for cells in told for key in cells) if key.count(".") > 1]
    first: dict[str, str] = {}
    for key in keys:
        column = [cells.get(key) for cells in told]
        first.setdefault(f"{key.rpartition('.')[2]} {column}", key)
    return set(keys) - set(first.values())


def labelled(name: str, cells: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """A name in a paper's words: a label stands for the whole name, or for each part of it.

    A part is found as it is printed (`projection=identity`), by its full key, or by its value alone; an empty label
    takes the part out of the name.
    """
    if name in labels:
        return labels[name]
    full = {f"{short(key, cells)}={value}": (f"{key}={value}", value) for key, value in cells.items()}
    parts = name.split(", ")
    found = [next((labels[word] for word in (part, *full.get(part, ())) if word in labels), part) for part in parts]
    return ", ".join(part for part in found if part) or name


def without_maths(label: str) -> str:
    """A label for where no formulas are set: `no $W_{P}$` is `no W_P`."""
    return _MATHS.sub(lambda found: re.sub(r"[{}\\]", "", found[1]), label)
