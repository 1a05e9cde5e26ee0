"""The pairs on which a verdict may be read: planned looks, looks that there were, seeds still to come."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from simplify.compare.statistics import Difference, compare


@dataclass(frozen=True)
class Seen:
    """An earlier look at a difference."""

    seeds: frozenset[Hashable]  # that were seen
    decided: bool
    looks: tuple[int, ...] = ()  # that were planned then
    read: frozenset[Hashable] = frozenset()  # seeds that its verdict rests on; empty: all that were seen


@dataclass(frozen=True)
class Evidence:
    """What is known of a variant and its baseline: losses in nats by seed."""

    mine: Mapping[Hashable, float]
    base: Mapping[Hashable, float]
    planned: Sequence[Hashable] = ()  # seeds of the pairs asked for, in the plan's order; empty: those that are in
    seen: Sequence[Seen] = ()  # looks before this one, the first one first
    judged: bool = True  # False: one of the two diverged, and is not judged by the rest

    @property
    def common(self) -> list[Hashable]:
        """The seeds whose pairs are in, in the plan's order."""
        order = [*self.planned, *(seed for seed in self.mine if seed not in self.planned)]
        return [seed for seed in order if seed in self.mine and seed in self.base]

    def over(self, seeds: Sequence[Hashable]) -> Difference | None:
        """The difference over these pairs."""
        chosen = set(seeds)
        return compare({s: v for s, v in self.mine.items() if s in chosen}, self.base)


@dataclass(frozen=True)
class Reading:
    """What a verdict is read on: the last of `found` is the newest look, those before it are looks passed."""

    found: Sequence[Difference]
    seeds: Sequence[Hashable] = ()  # of the newest
    where: str = ""  # which seeds these are, in words, where not simply all
    waits: str = ""  # why there is no verdict yet, in words
    remark: str = ""  # what a reader has to know about how it came to be


def reading_of(one: Evidence, looks: tuple[int, ...]) -> Reading:
    """On which pairs a verdict may be read."""
    if not one.judged:
        return Reading(())
    common = one.common
    if looks:
        return _at_looks(one, common, looks)
    missing = [seed for seed in one.planned if seed not in common]
    if missing:
        return Reading((), waits=f"not yet: {len(common)} of {len(common) + len(missing)} seeds are in")
    if not common:
        found, now = compare(one.mine, one.base), {*one.mine, *one.base}
        before = next((seen for seen in one.seen if seen.seeds & now and seen.seeds != now), None)
        remark = f"after a look at {seeds_in_words(len(before.seeds))}" if before else ""
        return Reading([found] if found else (), remark=remark)
    return _after_looks(one, common)


def _at_looks(one: Evidence, common: Sequence[Hashable], looks: tuple[int, ...]) -> Reading:
    """The looks passed: all of the first pairs of the plan are in."""
    if not common and one.mine and one.base:
        return Reading((), waits="no verdict: looks are at pairs, and no seed is common")
    plan = one.planned or common
    whole = next((number for number, seed in enumerate(plan) if seed not in common), len(plan))
    passed = [look for look in looks if look <= whole]
    first = _first_look(one, common)
    remark = f"planned after a look at {seeds_in_words(len(first.seeds))}" if first and first.looks != looks else ""
    if not passed:
        return Reading((), waits=f"first look at {looks[0]} seeds", remark=remark)
    found = [one.over(plan[:look]) for look in passed]
    return Reading([f for f in found if f is not None], plan[: passed[-1]], f" at {passed[-1]} seeds", remark=remark)


def _first_look(one: Evidence, common: Sequence[Hashable]) -> Seen | None:
    """The first look at any of these pairs: what was planned then is the plan."""
    return next((seen for seen in one.seen if seen.seeds & {*common}), None)


def _after_looks(one: Evidence, common: Sequence[Hashable]) -> Reading:
    """Without a plan: all pairs at the first look; after that the first verdict stands, or fresh pairs decide."""
    now = set(common)
    earlier = [seen for seen in one.seen if seen.seeds & now and seen.seeds != now]
    first = _first_look(one, common)
    remark = f"looks at {', '.join(map(str, first.looks))} were planned" if first and first.looks else ""
    stands = next((seen for seen in earlier if seen.decided and seen.seeds <= now), None)
    fresh = [seed for seed in common if not any(seed in seen.seeds for seen in earlier)]
    if stands is not None:
        common = [seed for seed in common if seed in (stands.read or stands.seeds)]
        where = f" at the look at {seeds_in_words(len(common))}"
    elif earlier and fresh:
        common, where = fresh, f" on {seeds_in_words(len(fresh), 'fresh ')}"
    else:
        where, most = "", max((len(seen.seeds) for seen in earlier), default=0)
        remark = f"chosen from {seeds_in_words(most)} looked at before" if earlier else remark
    found = one.over(common)
    return Reading([found] if found else (), common, where, remark=remark)


def seeds_in_words(number: int, kind: str = "") -> str:
    """`3 seeds`, `1 fresh seed`."""
    return f"{number} {kind}seed{'s'[: number != 1]}"
