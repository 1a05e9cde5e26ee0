"""How long runs will take on this device, and how sure that is. No torch in this process, no step is made.

What is known of a step decides (`simplify.sweep.steps`): runs and benches that were here, steps that were measured
and kept, and for the rest FLOPs and one product of matrices. `--measure` measures steps of up to PROBES models, spread
over their sizes, in a process of its own. Settings that do not decide what a step costs (seeds, optimiser, budget,
corpus, gains' values) share what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simplify.config import RunConfig
from simplify.sweep.measured import TOO_LONG, measure, measure_product
from simplify.sweep.places import Place, crowding, is_busy, other_work, place_of, slowed
from simplify.sweep.seen import Seen
from simplify.sweep.steps import Time, modelled, step_flops, step_measured, step_of_flops, step_of_others, step_of_runs
from simplify.sweep.timings import Key, keep, kept
from simplify.sweep.work import work_of
from simplify.zoo.counts import TRAINING_FLOPS

PROBES = 4  # models measured at most at a time
_PRODUCT = "a product of matrices"  # what is kept of it beside steps' work


@dataclass(frozen=True)
class Estimate:
    """How long runs will take."""

    times: tuple[Time | None, ...]  # the whole budget of each run, with validation; None: unknown
    problem: str | None = None  # one line that says why some are unknown, or are not of the model itself
    load: float = 0.0  # cores that other programs use now, where that is a good part of them

    @property
    def seconds(self) -> tuple[float | None, ...]:
        """The likely time of each run."""
        return tuple(time and time.seconds for time in self.times)


@dataclass(frozen=True)
class Terms:
    """What may be used."""

    lanes: int = 1  # runs that share the CPU
    seen: Sequence[Seen] = ()  # steps that were made here
    measure: bool = False  # steps, for up to two minutes
    product: bool = True  # a product of matrices, where it is needed and not known
    own_load: float = 0.0  # cores that runs of ours use now
    auto: str = "fp32"  # what train.precision=auto is on this CPU
    note: Callable[[str], None] = lambda _: None  # told before something is measured that takes seconds


def estimate_times(configs: Sequence[RunConfig], terms: Terms = Terms()) -> Estimate:
    """How long each run will take. Raises nothing: what cannot be told is unknown, and `problem` says why."""
    keys = [None if config.train.hours is not None else _key(config, terms) for config in configs]
    groups: dict[_Work, RunConfig] = {}
    for key, config in zip(keys, configs, strict=True):
        if key is not None:
            groups.setdefault(key, config)
    load = other_work(terms.own_load)
    known = _Known(groups, terms, load)
    steps = {key: known.step(key, config) for key, config in groups.items()}
    times = tuple(run_time(config, key and steps[key]) for key, config in zip(keys, configs, strict=True))
    return Estimate(times, _problem(keys, times, known.answers), load if is_busy(load) and groups else 0.0)


@dataclass(frozen=True)
class _Work:
    """What decides how long a step takes."""

    place: Place
    work: str

    @property
    def key(self) -> Key:
        return Key(self.place.name, self.work)


def _key(config: RunConfig, terms: Terms) -> _Work:
    return _Work(place_of(config, terms.lanes, terms.auto), work_of(config))


def run_time(config: RunConfig, step: Time | None) -> Time | None:
    """The time of a whole run; a validated sequence costs what its share of training, the forward pass, does."""
    if config.train.hours is not None:
        return Time.around(config.train.hours * 3600, "budget", 1.0)
    steps = config.total_steps
    if step is None or steps is None:
        return None
    validations = -(-steps // config.train.val_every)
    full = steps * (1 - (config.train.batch_ramp or 0.0) / 2)  # while batches grow they have half their size on average
    return step.times(full + validations * config.train.val_sequences / config.batch_sequences / TRAINING_FLOPS)


class _Known:
    """What is known of steps here, and of the devices."""

    def __init__(self, groups: Mapping[_Work, RunConfig], terms: Terms, load: float) -> None:
        self._terms, self._load = terms, load
        self.answers: dict[_Work, float | str] = {
            key: one.answer for key in groups if (one := kept(key.key)) is not None
        }
        if terms.measure:
            self.answers |= _measured(groups, terms, is_busy(load))
        self._products: dict[Place, float | str | None] = {}
        self._others: dict[Place, dict[float, float]] = {}
        self._groups = groups

    def step(self, key: _Work, config: RunConfig) -> Time | None:
        """A step of that work; None, with an answer that says why, where nothing is known of it."""
        answer, place = self.answers.get(key, TOO_LONG), key.place
        if isinstance(answer, str) and answer != TOO_LONG:
            return None
        crowd, more = crowding(place, self._terms.lanes), slowed(place, self._load)
        found = step_of_runs([seen for seen in self._terms.seen if seen.work == key.work and seen.at(place)])
        if found is not None and found.how == "runs":  # they had whatever they had beside them
            return found
        if isinstance(answer, float):
            return step_measured(answer).slower(crowd, more)
        found = found or self._by_others(key, config)
        return found and found.slower(crowd, more)

    def _by_others(self, key: _Work, config: RunConfig) -> Time | None:
        place = key.place
        product = self._product(place, config)
        tera = product if isinstance(product, float) else None
        work = modelled(config, place, tera)
        if place not in self._others:
            seen = {modelled(s.config, place, tera): s.seconds for s in self._terms.seen if s.at(place)}
            measured = {
                modelled(self._groups[other], place, tera): seconds
                for other, seconds in self.answers.items()
                if other.place == place and isinstance(seconds, float)
            }
            self._others[place] = {**seen, **measured}
        if (found := step_of_others(work, self._others[place])) is not None:
            return found
        if isinstance(product, str):
            self.answers[key] = product
        return None if tera is None else step_of_flops(work, place)

    def _product(self, place: Place, config: RunConfig) -> float | str | None:
        """Seconds of so many FLOPs of products there, why they are unknown, or None where none may be made."""
        if place not in self._products:
            key = Key(place.name, _PRODUCT)
            one = kept(key)
            answer = None if one is None else one.answer
            if self._terms.product and (one is None or not one.settled):
                if not place.is_plain:
                    self._terms.note("measuring a product of matrices on this device, once: some seconds")
                answer = keep(key, measure_product(config, place), is_busy(self._load))
            self._products[place] = answer
        return self._products[place]


def _measured(groups: Mapping[_Work, RunConfig], terms: Terms, busy: bool) -> dict[_Work, float | str]:
    """Seconds of a step, or why they are unknown, for those of the groups that are measured now."""
    known = {key: one for key in groups if (one := kept(key.key)) is not None}
    missing = [key for key in _spread(groups) if key not in known or not known[key].settled]
    missing.sort(key=lambda key: key in known)  # the time for measuring may not do for all
    if missing:
        models = "a model" if len(missing) == 1 else f"{len(missing)} models"
        terms.note(f"measuring a step of {models} on this machine, once; big models take up to a minute or two")
    threads = next(filter(None, (key.place.threads for key in missing)), None)
    answers = measure([groups[key] for key in missing], threads)
    return {key: keep(key.key, answer, busy) for key, answer in zip(missing, answers, strict=True)}


def _spread(groups: Mapping[_Work, RunConfig]) -> list[_Work]:
    """At most PROBES to be measured, small ones first: on each kind of device the extremes and some between."""
    work = {key: step_flops(config) for key, config in groups.items()}
    kinds: dict[Place, list[_Work]] = {}
    for key in sorted(work, key=work.__getitem__):
        kinds.setdefault(key.place, []).append(key)
    each = PROBES // max(len(kinds), 1) or 1
    chosen: set[_Work] = set()
    for keys in list(kinds.values())[:PROBES]:
        last = len(keys) - 1
        chosen |= {keys[round(n * last / (each - 1))] for n in range(each)} if each > 1 else {keys[last // 2]}
    return sorted(chosen, key=lambda key: (work[key], key.key))


def _problem(
    keys: Sequence[_Work | None], times: Sequence[Time | None], answers: Mapping[_Work, float | str]
) -> str | None:
    """Why some times are unknown, and how many are known only by another model's although it was tried."""
    found = [None if key is None else answers.get(key) for key in keys]
    unknown = [answer for answer, time in zip(found, times, strict=True) if time is None]
    late = [answer for answer, time in zip(found, times, strict=True) if answer == TOO_LONG and time]
    why = next(filter(None, unknown), "nothing is known of this device")
    told = [f"{_of(unknown, keys)} unknown: {why}"] if unknown else []
    told += [f"{_of(late, keys)} scaled from another model's: {TOO_LONG}"] if late else []
    return "; ".join(told) or None


def _of(some: Sequence[object], all_of_them: Sequence[object]) -> str:
    """`1 of 10 training times is`."""
    return f"{len(some)} of {len(all_of_them)} training times {'is' if len(some) == 1 else 'are'}"
