"""A whole bench: ceiling, models, memory, and every kind of work in turn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from simplify.bench.build import build_all, choose_devices, too_large
from simplify.bench.ceiling import matmul_ceiling
from simplify.bench.record import Asked, Measured, entry, work_of
from simplify.bench.rounds import Terms, Times, measure
from simplify.bench.work import Mode, Variant, modes
from simplify.config import RunConfig
from simplify.display import short_time
from simplify.display.progress import Meter
from simplify.runs.folder import now
from simplify.runs.provenance import provenance
from simplify.training.device import Device, out_of_memory
from simplify.zoo.counts import count_parameters

_WEIGHTS = {"train": 3}  # shares of the time for the rounds; others have 1: their calls are shorter


def run_bench(configs: Mapping[str, RunConfig], asked: Asked, command: list[str], meter: Meter) -> dict[str, Any]:
    """Measure, and return the record that `simplify.bench.record` describes. The meter's total is 1.

    Raises ConfigError for variants that cannot be measured beside each other, and where memory is too small.
    """
    start, load = {"created": now(), **provenance(command)}, _load()
    devices = choose_devices(configs)
    ceilings: dict[str, Any] = {}
    _raise_ceilings(ceilings, set(devices.values()))
    _say_what_it_takes(configs, devices, ceilings, asked, meter)
    variants, memory = build_all(configs, devices, "memory" in asked.only, meter)
    times, skipped = _all_times(variants, asked, ceilings, meter)
    return {
        **start,
        "ended": now(),
        "device": next(iter(devices.values())).facts()["device"],
        "load": {"before": load, "after": _load()},
        "terms": {"rounds": asked.rounds, "seconds": asked.seconds, "only": list(asked.only)},
        "baseline": asked.baseline,
        "ceiling": ceilings,
        "variants": {name: _variant(variant, memory.get(name)) for name, variant in variants.items()},
        "modes": {mode.name: _mode(mode, found, variants, asked.baseline, ceilings) for mode, found in times},
        "skipped": skipped,
    }


def _raise_ceilings(ceilings: dict[str, Any], devices: set[Device]) -> None:
    """Measure the matrix products of each precision; of earlier ones and these the fastest stay."""
    for device in devices:
        new = matmul_ceiling(device)
        old = ceilings.setdefault(device.precision, new)
        ceilings[device.precision] = max(new, old, key=lambda ceiling: ceiling["flops_per_second"])


def _say_what_it_takes(
    configs: Mapping[str, RunConfig],
    devices: Mapping[str, Device],
    ceilings: Mapping[str, Any],
    asked: Asked,
    meter: Meter,
) -> None:
    """A lower bound before anything is built: of a big model on a CPU the first step alone takes minutes."""
    for mode in modes(asked.only):
        least = sum(
            mode.flops(config) * mode.tokens(config) / ceilings[devices[name].precision]["flops_per_second"]
            for name, config in configs.items()
        )
        if least > 1:
            meter.note(
                f"{mode.name}: a round takes at least {short_time(least)}, by the speed of matrix products here; "
                "valid for less: model.n_layers, train.batch_tokens and train.micro_batch"
            )


def _all_times(
    variants: Mapping[str, Variant], asked: Asked, ceilings: dict[str, Any], meter: Meter
) -> tuple[list[tuple[Mode, Times]], dict[str, str]]:
    """The times of every mode, and why there are none of some. After each, matrix products once more."""
    found: list[tuple[Mode, Times]] = []
    skipped: dict[str, str] = {}
    wanted = modes(asked.only)
    for number, mode in enumerate(wanted):
        able = [v for v in variants.values() if not mode.name.startswith("decode") or v.config.model.kind == "decoder"]
        if able:
            share = _WEIGHTS.get(mode.name, 1) / sum(_WEIGHTS.get(other.name, 1) for other in wanted)
            terms = Terms(asked.rounds, asked.seconds * share)
            found.append((mode, _times(mode, able, terms, _Progress(meter, mode.name, (number, len(wanted)), terms))))
            _raise_ceilings(ceilings, {variant.device for variant in able})
        else:
            skipped[mode.name] = "an encoder (model.kind=encoder) fills gaps and does not decode"
    return found, skipped


def _times(mode: Mode, variants: list[Variant], terms: Terms, progress: _Progress) -> Times:
    progress.say("warm-up")
    works = {variant.name: mode.make(variant) for variant in variants}
    known = {variant.name: len(variant.notes) for variant in variants}
    try:
        times = measure(works, terms, variants[0].device.synchronise, progress.planned, progress.done)
    except Exception as error:
        if out_of_memory(error):
            raise too_large({v.name: v.config for v in variants}, f"not in {mode.name}") from None
        raise
    for variant in variants:
        for note in variant.notes[known[variant.name] :]:
            progress.note(f"{variant.name}: {note}")
    return times


class _Progress:
    """Rounds of one mode as a part of the whole."""

    def __init__(self, meter: Meter, mode: str, place: tuple[int, int], terms: Terms) -> None:
        self._meter, self._mode, self._terms, self._rounds = meter, mode, terms, 1
        self._number, self._count = place

    def say(self, text: str, share: float = 0.0, force: bool = False) -> None:
        self._meter.update((self._number + share) / self._count, f"{self._mode}: {text}", force)

    def note(self, text: str) -> None:
        self._meter.note(f"{self._mode}: {text}")

    def planned(self, rounds: int, seconds: float) -> None:
        self._rounds, over = rounds, ""
        if self._terms.rounds is None and seconds > 1.5 * self._terms.seconds:
            over = f", not the {self._terms.seconds:.0f} s that --seconds leaves for it: fewer decide nothing"
            over += " (--rounds sets their number)"
        self.say(f"{rounds} rounds, about {short_time(seconds)}{over}", force=True)

    def done(self, finished: int) -> None:
        self.say(f"round {finished} of {self._rounds}", finished / self._rounds)


def _mode(
    mode: Mode, times: Times, variants: Mapping[str, Variant], baseline: str, ceilings: Mapping[str, Any]
) -> dict[str, Any]:
    """The statistics of a mode, with the comparison where it is allowed."""
    configs = {name: variants[name].config for name in times.seconds}
    measured = {
        name: Measured(times.seconds[name], times.warm_up[name], mode.tokens(config), mode.flops(config))
        for name, config in configs.items()
    }
    entries: dict[str, Any] = {}
    for name in configs:
        same = name != baseline and baseline in configs and variants[name].key == variants[baseline].key
        # A decoding step reads all weights for a few tokens: no arithmetic could ever make that a matrix product.
        decoding = mode.name.startswith("decode")
        ceiling = None if decoding else ceilings[variants[name].device.precision]["flops_per_second"]
        entries[name] = entry(measured[name], measured[baseline] if same else None, ceiling)
    return {
        "what": mode.what([variants[name] for name in configs]),
        "repeats": times.repeats,
        "rounds": len(next(iter(times.seconds.values()))),
        "variants": entries,
    }


def _variant(variant: Variant, memory: dict[str, Any] | None) -> dict[str, Any]:
    config = variant.config
    return {
        "config": config.model_dump(mode="json"),
        "key": variant.key,
        "work": work_of(config),
        "build_seconds": variant.build_seconds,
        "parameters": count_parameters(config.block, config.model, config.data.vocab_size),
        "memory": memory,
        "notes": variant.notes,
    }


def _load() -> list[float] | None:
    """The system's load averages; None where it has none."""
    try:
        return list(os.getloadavg())
    except (AttributeError, OSError):
        return None
