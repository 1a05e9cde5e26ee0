"""`simplify noise`: how far seeds lie apart, and how many an effect needs."""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.choices import overlay_dir
from simplify.cli.awaited import train_awaited
from simplify.cli.fit import plain
from simplify.compare.noise import POWER, Deviation, deviation_of, interval_of, seeds_needed
from simplify.compare.pairs import finals_of
from simplify.compare.spread import known_spread
from simplify.compare.variants import Variant, group
from simplify.compose import axes
from simplify.dispatch.asked import Asked
from simplify.display import answer, answer_alone, console, say, tell
from simplify.errors import ConfigError, RunFolderError
from simplify.runs.identity import identity, of_any_seed
from simplify.runs.store import RunStore, RunView
from simplify.sweep.plan import Plan, make_plan

Needs = tuple[str, Deviation]  # what effects are held against, and how far it spreads
EFFECTS = (0.005, 0.01, 0.02, 0.05, 0.1)  # nats


@dataclass(frozen=True)
class Asking:
    """What was typed beside the configurations."""

    effects: tuple[float, ...]
    run: int | None  # seeds to be trained first
    conf: Path | None
    run_root: Path | None
    as_json: bool
    command: list[str]


@dataclass(frozen=True)
class Noise:
    """The spread of one configuration, or of the differences of two in pairs."""

    name: str
    pairs: bool
    found: Deviation


def noise_command(words: Sequence[str], asking: Asking) -> None:
    """Show the spread of finished runs, and the seeds that effects need."""
    if wrong := [effect for effect in asking.effects if not 0 < effect < math.inf]:
        raise ConfigError(f"--effect {wrong[0]:g}: valid: nats above 0, as in --effect 0.02")
    given = axes(words, overlay_dir(asking.conf))
    if asking.run_root is not None:
        given["run_root"] = [str(asking.run_root)]
    seeds = given.pop("seed", [])
    plan = _plan(given, seeds or [0], asking.conf)
    if asking.run is not None:
        with answer_alone(asking.as_json):
            _train(_plan(given, seeds or [*range(asking.run)], asking.conf), asking)
    variants, _ = group(_runs(plan, seeds))
    found, lacking = noises(variants), _lacking(plan, variants, words)
    if not found:
        raise RunFolderError(f"{plan.root}: {lacking}")
    needs = _of_pairs(found, variants, RunStore(plan.root).runs())
    if asking.as_json:
        answer("noise", _as_data(found, needs, asking.effects, lacking))
        return
    _show(found, needs, asking.effects)
    if lacking:
        say(lacking)


def noises(variants: Sequence[Variant]) -> list[Noise]:
    """The spread of each variant over its seeds, and of its pairs with the first one."""
    found = [(variant.name, False, list(variant.final().values())) for variant in variants]
    for variant in variants[1:]:
        mine, base = finals_of(variant, variants[0])
        gaps = [mine[seed] - base[seed] for seed in mine if seed in base]
        found.append((f"{variant.name} - {variants[0].name}", True, gaps))
    told = [(name, pairs, deviation_of(values)) for name, pairs, values in found if values]
    return [Noise(name, pairs, one) for name, pairs, one in told if one is not None]


def _plan(given: Mapping[str, Sequence[Any]], seeds: Sequence[Any], conf: Path | None) -> Plan:
    points = [dict(zip(given, values, strict=True)) for values in itertools.product(*given.values())]
    plan = make_plan([{**point, "seed": seed} for point in points for seed in seeds], conf)
    if plan.wrong or plan.missing:
        raise ConfigError(*plan.wrong, *plan.missing)
    return plan


def _train(plan: Plan, asking: Asking) -> None:
    runs = [(folder, run.config) for run, folder in plan.known]
    corpora = {folder.run_id: run.corpus for run, folder in plan.known if run.corpus}
    train_awaited(plan.root, runs, Asked(asking.command, corpora=corpora), "the same command goes on", None)


def _runs(plan: Plan, seeds: Sequence[Any]) -> list[RunView]:
    """The finished runs of the plan's configurations, over all seeds or those that were typed, in the plan's order."""
    keys = dict.fromkeys(of_any_seed(identity(run.config, run.corpus or "")) for run in plan.runs)
    done = [run for run in RunStore(plan.root).runs() if run.state == "done" and run.about.get("identity")]
    mine = [(of_any_seed(run.about["identity"]), run) for run in done if not seeds or run.config.get("seed") in seeds]
    return [run for wanted in keys for key, run in mine if key == wanted]


def _lacking(plan: Plan, variants: Sequence[Variant], words: Sequence[str]) -> str:
    """What to do about configurations of which there are too few seeds to tell."""
    few = [variant.name for variant in variants if len(variant.final()) < 3]
    there = {of_any_seed(variant.identity) for variant in variants}
    none = [
        run.name.rpartition("-")[0]
        for run in plan.runs
        if of_any_seed(identity(run.config, run.corpus or "")) not in there
    ]
    if not few and not none:
        return ""
    asked = shlex.join(
        ["simplify", "sweep", *(word for word in words if not word.startswith("seed=")), "seed=0,1,2,3,4"]
    )
    names = ", ".join(dict.fromkeys([*few, *none]))
    return f"{names}: fewer than three finished seeds; {asked} makes five, as does --run 5"


def _of_pairs(found: Sequence[Noise], variants: Sequence[Variant], runs: Sequence[RunView]) -> list[Needs]:
    """What effects are held against: the pairs of what was named, else those of other runs on this model and data.

    Where there are none of these either: two configurations whose seeds have nothing in common.
    """
    if pairs := [(one.name, one.found) for one in found if one.pairs]:
        return pairs
    name = f"{variants[0].name} against another"
    if (known := known_spread(runs, variants[0].identity)) is not None:
        of, _ = known
        return [(f"{name}, by {of.runs} runs here", Deviation(of.runs, 0.0, of.sd, *interval_of(of.sd, of.freedom)))]
    s, wide = found[0].found, math.sqrt(2)
    return [(f"{name}, at most", Deviation(s.n, 0.0, s.sd * wide, s.low * wide, s.high * wide))]


def _show(found: Sequence[Noise], needs: Sequence[Needs], effects: Sequence[float]) -> None:
    heads = ("validation loss", "seeds", "mean", "deviation", "95% interval")
    rows: list[tuple[str, ...]] = [heads]
    for one in found:
        s = one.found
        rows.append((one.name, str(s.n), f"{s.mean:+.4f}" if one.pairs else f"{s.mean:.4f}", _short(s.sd), _between(s)))
    console().print(plain(rows))
    tell()
    rows = [(f"seeds for {POWER:.0%} power", *(f"{effect:g} nats" for effect in effects))]
    for name, s in needs:
        cells = (f"{_seeds(effect, s.sd)} ({_seeds(effect, s.low)} to {_seeds(effect, s.high)})" for effect in effects)
        rows.append((name, *cells))
    console().print(plain(rows))
    if not any(one.pairs for one in found):
        say("name both configurations, and their pairs are measured")


def _short(number: float) -> str:
    return f"{number:.2g}"


def _between(s: Deviation) -> str:
    return f"{_short(s.low)} to {_short(s.high)}"


def _seeds(effect: float, sd: float) -> str:
    needed = seeds_needed(effect, sd)
    return "-" if needed is None else str(needed)


def _as_data(found: Sequence[Noise], needs: Sequence[Needs], effects: Sequence[float], lacking: str) -> dict[str, Any]:
    return {
        "spreads": [{"name": one.name, "pairs": one.pairs, **vars(one.found)} for one in found],
        "power": POWER,
        "seeds_needed": [
            {
                "name": name,
                "sd": s.sd,
                "effects": [
                    {
                        "nats": effect,
                        "seeds": seeds_needed(effect, s.sd),
                        "between": [seeds_needed(effect, s.low), seeds_needed(effect, s.high)],
                    }
                    for effect in effects
                ],
            }
            for name, s in needs
        ],
        "lacking": lacking or None,
    }
