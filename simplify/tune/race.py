"""One arm's way to its choice: rungs over seeds, never over steps, a window that grows while the best is at an edge.

All of it is replayed from the results at each call, so that neither the order in which runs end nor who asks, nor when,
can change a decision.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from simplify.tune.study import DIVERGED, Ladder, Place, Rules

Loss = Callable[[Place, int], "float | None"]  # by place and seed; None: not known yet
Ask = tuple[Place, int]


@dataclass(frozen=True)
class Dropped:
    """Why a place is out: on how many seeds it was how many nats behind the best, and from where that is too much."""

    rung: int
    behind: float  # DIVERGED: its loss was no number any more
    limit: float


@dataclass
class Line:
    """The choice along one or more ladders, the others at rest, as far as results go.

    `windows`: how many places were tried when the first seed had shown the best inside the window; None: not yet.
    `chosen` is None where every place diverged, or `settled` is false.
    """

    tried: list[Place]
    asked: list[Ask] = field(default_factory=list)
    dropped: dict[Place, Dropped] = field(default_factory=dict)
    rung: int = 1
    windows: int | None = None
    settled: bool = False
    chosen: Place | None = None
    tied: tuple[Place, ...] = ()  # cannot be told apart from the best, which is among them
    edges: tuple[int, ...] = ()  # ladders at whose last possible value the best lies


@dataclass(frozen=True)
class Others:
    """How many places the other arms have tried when this line had the best inside its window, and in the end.

    None: not known yet. Places of earlier lines count too.
    """

    windows: int | None = 0
    final: int | None = 0


def race(
    ladders: Sequence[Ladder],
    moving: Sequence[int],
    start: Sequence[Place],
    rules: Rules,
    loss: Loss,
    others: Others,
    before: Set[Place] = frozenset(),
) -> Line:
    """Along the ladders `moving`, from `start`; `rules.seeds` has one study's, `before` what other lines tried."""
    seeds = rules.seeds[0]
    line = Line(list(start))

    def first(place: Place) -> float:
        return _of(loss, place, seeds[0])

    while True:
        if not _known(line, line.tried, seeds[:1], loss):
            return line
        best = min(line.tried, key=lambda place: (first(place), place))
        if _grow(line, ladders, moving, best):
            continue
        if line.windows is None:
            if others.windows is None:
                return line
            if _even_out(line, ladders, moving, others.windows - len(before - {*line.tried}), first):
                continue
            line.windows = len(line.tried)
        best, known = _rungs(line, rules, loss)
        if not known:
            return line
        if best is not None and _grow(line, ladders, moving, best):
            continue
        if others.final is None:
            return line
        if _even_out(line, ladders, moving, others.final - len(before - {*line.tried}), first):
            continue
        _settle(line, ladders, moving, best)
        return line


def _settle(line: Line, ladders: Sequence[Ladder], moving: Sequence[int], best: Place | None) -> None:
    line.settled = True
    if best is not None:
        # not the lowest of those tied with it: what is flat below its best would be judged at a worse value,
        # which made 15% of verdicts false where blocks are equal at their best (tests/test_decide.py)
        line.chosen = best
        line.edges = tuple(at for at in moving if best[at] in (0, len(ladders[at].values) - 1))


def _rungs(line: Line, rules: Rules, loss: Loss) -> tuple[Place | None, bool]:
    """Drop seed by seed; the best place, None where all diverged, and whether no result is missing.

    A place that diverges on a later seed counts as if it had on the first one, so what it has beaten is tried again.
    """
    diverged: dict[Place, int] = {}  # and the rung at which that was seen
    while True:
        line.dropped = {place: Dropped(number, DIVERGED, rules.gap) for place, number in diverged.items()}
        line.tied = ()
        best, found = _climb(line, [place for place in line.tried if place not in diverged], rules, loss)
        if not found:
            return best, best is not None or len(diverged) == len(line.tried)
        diverged |= found


def _climb(line: Line, places: Sequence[Place], rules: Rules, loss: Loss) -> tuple[Place | None, dict[Place, int]]:
    """From seed to seed: the best place where all results are there, and those of which one is found to diverge."""
    seeds = rules.seeds[0]
    alive, best = list(places), None
    for number in range(1, len(seeds) + 1):
        if not alive:
            return None, {}
        line.rung = number
        if not _known(line, alive, seeds[:number], loss):
            return None, {}
        table = {place: [_of(loss, place, seed) for seed in seeds[:number]] for place in alive}
        if diverged := {place: number for place, row in table.items() if DIVERGED in row}:
            return None, diverged
        best, behind, limit = standing(table, rules.gap)
        if rules.race or number == len(seeds):
            line.dropped |= {place: Dropped(number, behind[place], limit) for place in table if behind[place] > limit}
            alive = [place for place in alive if place not in line.dropped]
        line.tied = tuple(alive)
    return best, {}


def standing(table: Mapping[Place, Sequence[float]], gap: float) -> tuple[Place, dict[Place, float], float]:
    """The place of the lowest mean, how many nats each is behind it, and from where on that is too much.

    Rows are losses on the same seeds in the same order. On one seed the limit is `gap`; on more, that of a 95%
    interval of a paired difference, Student's limit times sqrt(2 s2 / n), with s2 the residual variance once the means
    of seeds and of places are taken out.
    """
    means = {place: math.fsum(row) / len(row) for place, row in table.items()}
    best = min(means, key=lambda place: (means[place], place))
    behind = {place: mean - means[best] for place, mean in means.items()}
    seeds = len(table[best])
    if seeds == 1:
        return best, behind, gap
    return best, behind, t_limit((len(table) - 1) * (seeds - 1)) * math.sqrt(2 * residual(table) / seeds)


_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)  # Student's at 97.5%, from 1 degree on
_Z = 1.95996


def t_limit(freedom: int) -> float:
    """Student's limit of a 95% interval: a spread that is known by few residuals may be much larger than it looks."""
    if freedom <= len(_T):
        return _T[max(freedom, 1) - 1]
    return _Z + (_Z**3 + _Z) / (4 * freedom) + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * freedom**2)


def residual(table: Mapping[Place, Sequence[float]]) -> float:
    """Variance of what is left once the means of places and of seeds are taken out; 0 where nothing can be left."""
    rows = list(table.values())
    places, seeds = len(rows), len(rows[0])
    if places < 2 or seeds < 2:
        return 0.0
    whole = math.fsum(map(math.fsum, rows)) / (places * seeds)
    columns = [math.fsum(row[number] for row in rows) / places for number in range(seeds)]
    left = (
        (value - math.fsum(row) / seeds - columns[number] + whole) ** 2
        for row in rows
        for number, value in enumerate(row)
    )
    return math.fsum(left) / ((places - 1) * (seeds - 1))


def _known(line: Line, places: Sequence[Place], seeds: Sequence[int], loss: Loss) -> bool:
    """Whether all these results are there; what is missing has been asked for then."""
    wanted = [(place, seed) for seed in seeds for place in places]
    there = set(line.asked)
    line.asked += [ask for ask in wanted if ask not in there]
    return all(loss(*ask) is not None for ask in wanted)


def _of(loss: Loss, place: Place, seed: int) -> float:
    found = loss(place, seed)
    assert found is not None, "asked for before it is known"
    return found


def _grow(line: Line, ladders: Sequence[Ladder], moving: Sequence[int], best: Place) -> bool:
    """Try the next value beyond the edge at which the best lies, if there is one."""
    for at in moving:
        tried = [place[at] for place in line.tried]
        for edge, beyond in ((min(tried), -1), (max(tried), 1)):
            if best[at] == edge and _add(line, ladders, moving, best, at, edge + beyond):
                return True
    return False


def _add(line: Line, ladders: Sequence[Ladder], moving: Sequence[int], near: Place, at: int, value: int) -> bool:
    """The places with that value of ladder `at`, and of the others the values beside those of `near`."""
    if not 0 <= value < len(ladders[at].values):
        return False
    sides: list[Sequence[int]] = []
    for number, own in enumerate(near):
        if number == at:
            sides.append((value,))
        elif number in moving:
            there = {place[number] for place in line.tried}
            sides.append([index for index in (own - 1, own, own + 1) if index in there])
        else:
            sides.append((own,))
    line.tried += [place for place in itertools.product(*sides) if place not in line.tried]
    return True


def _even_out(
    line: Line, ladders: Sequence[Ladder], moving: Sequence[int], wanted: int, loss: Callable[[Place], float]
) -> bool:
    """Try one value more, on the side where the edge is better, while another arm has had more places."""
    if len(line.tried) >= wanted:
        return False
    edges: list[tuple[float, Place, int, int]] = []
    for at in moving:
        for edge, beyond in ((min, -1), (max, 1)):
            value = edge(place[at] for place in line.tried)
            best = min((p for p in line.tried if p[at] == value), key=lambda place: (loss(place), place))
            edges.append((loss(best), best, at, value + beyond))
    return any(_add(line, ladders, moving, best, at, value) for _, best, at, value in sorted(edges))
