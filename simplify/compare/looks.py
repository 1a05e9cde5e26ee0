"""The looks that there were at a difference: what was read from it, on which seeds, before others were added.

<run root>/.sweeps/looks.jsonl   one line a look at one difference, never changed afterwards:

time                 when
variant, baseline    their names in that report
key                  what tells the two configurations, whatever they are called: a hash of their identities
seen                 the seeds of the interval that was shown; of unpaired runs those of both sides
read                 the seeds that the words rest on
verdict, words       what was said
looks                the looks that were planned then

A report that gives a verdict or advice is a look. The same seeds once more are no other one, nor is a report that says
only what it waits for, or a single pair, which decides nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

from simplify.compare.asked import as_data
from simplify.compare.comparison import Comparison, Row
from simplify.compare.reading import Seen
from simplify.compare.variants import Variant
from simplify.compare.verdict import UNDECIDED
from simplify.runs.files import append_line
from simplify.runs.folder import now
from simplify.runs.shapes import Shape


class _Look(Shape):
    """A line of the file."""

    key: str
    seen: list[dict[str, int]]
    read: list[dict[str, int]]
    verdict: str
    looks: list[int]


class Looks:
    """The looks of a run root, as they are when this is made."""

    def __init__(self, root: Path) -> None:
        self.path = root / ".sweeps" / "looks.jsonl"
        self.problems: list[str] = []  # what tells nothing, a line each
        self._seen: dict[str, list[Seen]] = {}
        try:
            lines = self.path.read_bytes().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            lines = []
        except OSError as error:
            lines = []
            self.problems.append(f"{self.path}: cannot be read: {error.strerror or error}")
        for number, line in enumerate(lines, start=1):
            try:
                found = _Look.model_validate(json.loads(line))
            except (ValueError, RecursionError):
                self.problems.append(f"{self.path}, line {number}: is no look")
                continue
            seen, read = (frozenset(map(_pair, seeds)) for seeds in (found.seen, found.read))
            look = Seen(seen, found.verdict != UNDECIDED, tuple(found.looks), read)
            self._seen.setdefault(found.key, []).append(look)

    def of(self, variant: Variant, base: Variant) -> list[Seen]:
        """The looks at this variant's difference from that baseline, the first one first."""
        return self._seen.get(_key(variant, base), [])

    def keep(self, found: Comparison) -> None:
        """Write down what a comparison shows and no look has shown yet. Raises OSError."""
        for row in found.rows:
            if row.base is None or row.judged is None or row.judged.waits or row.judged.n < 2:
                continue
            seen = _shown(row, row.base)
            if not any(look.seeds == seen and look.looks == found.looks for look in self.of(row.variant, row.base)):
                append_line(self.path, _line(row, row.base, seen, found.looks))


def _shown(row: Row, base: Variant) -> frozenset[Hashable]:
    """The seeds that the words tell of: those of a planned look, else of all pairs, else of both sides."""
    mine, its = row.variant.final(), base.final()
    if row.judged is not None and row.judged.next_look is not None:
        return frozenset(row.judged.seeds)
    return frozenset(seed for seed in mine if seed in its) or frozenset({*mine, *its})


def _line(row: Row, base: Variant, seen: frozenset[Hashable], looks: Iterable[int]) -> dict[str, Any]:
    judged = row.judged
    assert judged is not None
    return {
        "time": now(),
        "variant": row.variant.printed,
        "baseline": base.printed,
        "key": _key(row.variant, base),
        "seen": _in_order(seen),
        "read": _in_order(judged.seeds or seen),
        "verdict": judged.verdict,
        "words": judged.words,
        "looks": list(looks),
    }


def _in_order(pairs: Iterable[Hashable]) -> list[dict[str, int]]:
    return sorted(map(as_data, pairs), key=lambda seeds: sorted(seeds.items()))


def _pair(seeds: dict[str, int]) -> Hashable:
    return tuple(sorted(seeds.items()))


def _key(variant: Variant, base: Variant) -> str:
    text = json.dumps([variant.identity, base.identity], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
