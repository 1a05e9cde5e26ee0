"""Times that are not known exactly, in words: between 3 and 9 hours."""

from __future__ import annotations

from collections.abc import Iterable

from simplify.display import short_time
from simplify.sweep.steps import How, Time

_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (0.0, "seconds"))
_FROM = 1.5  # of a unit, from which a time is told in it
_SURE = 2.0  # a time whose bounds are no further apart is told as one
_KNOWN_BY: dict[How, str] = {  # the surest first
    "budget": "by their hours",
    "runs": "by runs of the same models here",
    "steps": "by steps measured here",
    "similar": "scaled by FLOPs from other models here",
    "flops": "from FLOPs and a matrix product here alone",
}


def is_sure(times: Iterable[Time]) -> bool:
    """Whether one number says when they will be done."""
    known = list(times)
    return sum(time.high for time in known) <= _SURE * sum(time.low for time in known)


def told(time: Time) -> str:
    """`about 2:30` or `between 3 and 9 hours`."""
    return f"about {short_time(time.seconds)}" if is_sure([time]) else between(time.low, time.high)


def between(low: float, high: float, hours: str = "hours") -> str:
    """Two times to two digits, in one unit where that is readable."""
    (few, small), (many, large) = _rounded(low, high), _rounded(high, high)
    first = few if small == large else f"{few} {small}"
    return f"between {first} and {many} {hours if large == 'hours' and hours else large}"


def rough(seconds: float) -> str:
    """A time to two digits: `3.5 hours`."""
    return " ".join(_rounded(seconds, seconds))


def _rounded(seconds: float, beside: float) -> tuple[str, str]:
    """A number and its unit; that of `beside` where there is at least one of it."""
    size, unit = next((size, unit) for size, unit in _UNITS if beside >= _FROM * size)
    if size and seconds < 0.99 * size:
        size, unit = next((size, unit) for size, unit in _UNITS if seconds >= _FROM * size)
    number = seconds / (size or 1.0)
    digits = f"{float(f'{number:.2g}'):,.1f}" if number < 10 else f"{float(f'{number:.2g}'):,.0f}"
    return digits.removesuffix(".0"), unit


def known_by(times: Iterable[Time]) -> str:
    """What such times are known by: `4 by runs of the same models here, 2 by steps measured here`."""
    hows = [time.how for time in times]
    found = {words: hows.count(how) for how, words in _KNOWN_BY.items() if how in hows}
    return ", ".join(words if len(found) == 1 else f"{number} {words}" for words, number in found.items())
