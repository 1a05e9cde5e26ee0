"""Who is timed when: variants in turn, round after round, so that the machine's moods reach all of them. No torch.

round 1   A B C        Each round times every variant once. The first of a round changes from
round 2   B C A        round to round, and so does who comes before whom (every other sweep
round 3   C A B        through the places runs backwards): neither favours anyone.
round 4   C B A
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from simplify.bench.statistics import least_rounds, median

MOST_ROUNDS = 200  # the interval shrinks with the root of the rounds
_WARM_UP = 3  # calls before anything is timed, the first one included
_WARM_UP_SECONDS = 0.1  # and so long at least, for caches and clocks


class Work(Protocol):
    """Something to be timed."""

    def prepare(self) -> None:
        """What has to be done before a call, untimed."""

    def call(self) -> None:
        """The work itself; the device may still be busy with it at the end."""


@dataclass(frozen=True)
class Terms:
    """How long to measure."""

    rounds: int | None = None  # None: as many as `seconds` allow
    seconds: float = 30.0  # for all rounds of a mode; the warm-up comes on top
    unit_seconds: float = 0.02  # shorter works are called several times in a row


@dataclass
class Times:
    """What was measured of one mode. Seconds are those of one call."""

    repeats: int = 1  # calls in a unit of time
    seconds: dict[str, list[float]] = field(default_factory=dict)  # by variant: one mean a round
    warm_up: dict[str, list[float]] = field(default_factory=dict)  # the first call is the first of these


def order(names: Sequence[str], number: int) -> list[str]:
    """The variants in the order of round `number`, counted from 0."""
    count = len(names)
    start, backwards = number % count, (number // count) % 2
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if backwards else turned


def measure(
    works: Mapping[str, Work],
    terms: Terms,
    synchronise: Callable[[], None],
    planned: Callable[[int, float], None] = lambda _rounds, _seconds: None,
    done: Callable[[int], None] = lambda _round: None,
) -> Times:
    """Warm up, then time every work once a round.

    How many rounds is fixed before the first one (`planned` is told, with the seconds they will take):
    to go on until something is decided would find differences in nothing.
    """
    times = Times()
    for name, work in works.items():
        times.warm_up[name] = _warm_up(work, synchronise)
    rounds, seconds = _plan(times, terms)
    planned(rounds, seconds)
    _run(works, rounds, synchronise, times, done)
    return times


def _warm_up(work: Work, synchronise: Callable[[], None]) -> list[float]:
    """First calls, timed apart: they compile, load kernels, reserve memory."""
    found = [_unit(work, 1, synchronise)]
    while len(found) < _WARM_UP or (sum(found[1:]) < _WARM_UP_SECONDS and len(found) < 50 * _WARM_UP):
        found.append(_unit(work, 1, synchronise))
    return found


def _plan(times: Times, terms: Terms) -> tuple[int, float]:
    """How many rounds, and the seconds they will take; sets the repeats."""
    usual = {name: median(found[1:]) for name, found in times.warm_up.items()}
    times.repeats = max(1, math.ceil(terms.unit_seconds / min(usual.values())))
    calls = times.repeats + (times.repeats > 1)
    one = sum(usual.values()) * calls
    if terms.rounds is not None:
        return terms.rounds, terms.rounds * one
    rounds = min(MOST_ROUNDS, max(least_rounds(), int(terms.seconds / one)))
    rounds = len(usual) * math.ceil(rounds / len(usual))  # each variant in each place equally often
    return rounds, rounds * one


def _run(
    works: Mapping[str, Work], rounds: int, synchronise: Callable[[], None], times: Times, done: Callable[[int], None]
) -> None:
    times.seconds = {name: [] for name in works}
    with _no_collection():
        for number in range(rounds):
            for name in order(list(works), number):
                work = works[name]
                if times.repeats > 1:  # its weights back into the caches, from where the one before drove them
                    _unit(work, 1, synchronise)
                times.seconds[name].append(_unit(work, times.repeats, synchronise) / times.repeats)
            done(number + 1)


def _unit(work: Work, repeats: int, synchronise: Callable[[], None]) -> float:
    """Seconds of `repeats` calls, without what prepares them."""
    spent = 0.0
    for _ in range(repeats):
        work.prepare()
        synchronise()
        begin = time.perf_counter()
        work.call()
        synchronise()
        spent += time.perf_counter() - begin
    return spent


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's garbage collector comes when it likes; not while we look at the clock."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
