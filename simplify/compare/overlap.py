"""Whether two runs trained side by side: on one host, for the most of their time at the same moments.

Only then a ratio of their times says anything. The seeds of a variant train next to each other, so their spread does
not know what else the machine had to do at other times, and an interval of ratios across times would be too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from itertools import product

from simplify.runs.store import RunView

_MOST = 0.5  # of the longer run's time


def at_once(run: RunView, other: RunView) -> bool:
    """Whether for at least half of the longer one's time both were being trained, on one host."""
    mine, its = list(_spans(run)), list(_spans(other))
    longer = max(sum(end - begin for _, begin, end in spans) for spans in (mine, its))
    both = math.fsum(
        max(0.0, min(end, its_end) - max(begin, its_begin))
        for (host, begin, end), (its_host, its_begin, its_end) in product(mine, its)
        if host == its_host
    )
    return longer > 0 and both >= _MOST * longer


def _spans(run: RunView) -> Iterator[tuple[str, float, float]]:
    """Host, begin and end of each attempt that has both, in seconds since 1970."""
    for attempt in (run.facts.job or {}).get("attempts") or []:
        try:
            begin, end = (_seconds(attempt[key]) for key in ("started", "ended"))
            yield str(attempt["host"]), begin, end
        except (AttributeError, KeyError, TypeError, ValueError):
            continue


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()  # Python 3.10 knows no Z
