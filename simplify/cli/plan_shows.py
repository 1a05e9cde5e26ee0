"""What a plan can show: the differences that its seeds could decide, by the spread of pairs seen so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simplify.cli.baseline import Held
from simplify.display import near
from simplify.runs.identity import identity, of_any_seed
from simplify.runs.store import RunStore
from simplify.sweep.file import shown
from simplify.sweep.plan import Plan
from simplify.sweep.report import Report

_USUAL = (3, 5, 8, 12, 24)  # seeds
_MOST = 4  # that have a line each


def shown_by(plan: Plan, report: Report, held: Held) -> list[dict[str, Any]]:
    """For each model, data and budget of a plan: its seeds, the spread of a pair, and the least differences by seeds.

    Empty where the plan compares nothing. `sd` is None where no spread is known.
    """
    variants, bases = held
    judged = len(variants) - len(bases)
    if judged < 1 or not bases:
        return []
    from simplify.compare.levels import TOTAL, level_of
    from simplify.compare.spread import known_spread, least_shown

    views, total = RunStore(plan.root).runs(), TOTAL / judged
    found: list[dict[str, Any]] = []
    for words, identities in _budgets(plan).items():
        seeds, known = _seeds(identities), known_spread(views, identities[0])
        at = report.looks or (seeds, *(n for n in _USUAL if n > seeds))[:2]
        level = level_of(tuple(report.looks), total)
        told: dict[str, Any] = {"of": words, "seeds": seeds, "variants": judged, "looks": list(report.looks)}
        told |= {"sd": None, "runs": 0, "same_budget": None, "least": {}}
        if known is not None:
            spread, same = known
            least = {n: least_shown(spread, n, level) for n in at if n > 1}
            told |= {"sd": spread.sd, "runs": spread.runs, "same_budget": same, "least": least}
        found.append(told)
    return found


def shows_lines(plan: Plan, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same in words, a line a model."""
    return [(f"{one['of']}: " if one["of"] else "") + _line(one, near(plan.root)) for one in found[:_MOST]]


def _line(one: Mapping[str, Any], root: str) -> str:
    seeds = one["seeds"]
    if seeds < 2 and not one["looks"]:
        return "one seed shows no difference: a verdict takes two seeds or more"
    many = f"{seeds} seed{'s'[: seeds != 1]}"
    if one["sd"] is None:
        return (
            f"which differences {many} can show is not known: {root}/ has no two finished pairs of this model and "
            "data; simplify noise measures their spread"
        )
    (first, least), *others = one["least"].items()
    can = f"{first} seeds can show differences above {_nats(least)} nats"
    can += "".join(f", {n} above {_nats(value)}" for n, value in others)
    among = f"; corrected for {one['variants']} variants" if one["variants"] > 1 else ""
    looks = " at these looks" if one["looks"] else ""
    other = "" if one["same_budget"] else ", of another budget"
    return f"{can}{looks} (spread of pairs seen so far in {one['runs']} runs{other}: {_nats(one['sd'])}{among})"


def _nats(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def _budgets(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """The identities of a plan's runs by model, data and budget, under the settings that tell these apart."""
    groups = ("model", "data", "train")
    keys = [key for key in plan.axes if key.partition(".")[0] in groups and not key.endswith(".seed")]
    found: dict[str, list[dict[str, Any]]] = {}
    for run in plan.runs:
        words = shown({key: run.point[key] for key in keys if key in run.point})
        found.setdefault(words, []).append(identity(run.config, run.corpus or ""))
    return found


def _seeds(identities: Sequence[Mapping[str, Any]]) -> int:
    """How many seeds the variant with the fewest has."""
    found: dict[str, set[str]] = {}
    for told in identities:
        found.setdefault(of_any_seed(told), set()).add(str(told["seeds"]))
    return min(map(len, found.values()))
