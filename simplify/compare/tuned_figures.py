"""The figures of a tuned comparison: loss and paired gap against each tuned setting, and what trying was worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simplify.compare.comparison import Comparison, Row
from simplify.compare.figures import BANDS, SPREAD, UNIT, depth_colour
from simplify.compare.finals import is_geometric
from simplify.compare.panels import Curve, Panel
from simplify.compare.statistics import mean_sd
from simplify.compare.styles import Style
from simplify.compare.tuned import TunedRow
from simplify.compare.tuned_table import short_key
from simplify.compare.tuning import Tuning
from simplify.runs.words import as_word
from simplify.tune.curve import Tried, expected_best
from simplify.tune.study import DIVERGED, Place, Trial

_INTERVAL = BANDS[2]
MARKS = f"{SPREAD}; filled: final seeds"  # what stands in the legend


def tuning_panels(found: Comparison) -> dict[str, list[Panel]]:
    """The panels by the name of their picture; none of what has no numbers yet."""
    tuning = found.tuning
    if tuning is None:
        return {}
    rows = [(row, row.tuned) for row in found.rows if row.tuned is not None and row.tuned.places]
    arms = [(own.arm.ladders[1], own.places) for _, own in rows if len(own.arm.ladders) == 2]
    shades = sorted({ladder.values[place[1]] for ladder, places in arms for place in places})
    groups = {
        "tuning": [_loss_panel(rows, tuning, at) for at in range(len(tuning.keys))],
        "tuning_gap": [_gap_panel(found, rows, tuning, at) for at in range(len(tuning.keys))],
        "tuning_trials": [_trials_panel(rows, tuning)],
        "tuning_grid": [_grid_panel(row, own, tuning, shades) for row, own in rows] if len(tuning.keys) == 2 else [],
    }
    drawn = {name: [panel for panel in panels if panel.curves] for name, panels in groups.items()}
    return {name: panels for name, panels in drawn.items() if panels}


Rows = Sequence["tuple[Row, TunedRow]"]


def _loss_panel(rows: Rows, tuning: Tuning, at: int) -> Panel:
    """Loss against a tuned setting, the others at their best: tuning seeds hollow, final seeds filled."""
    key, curves = tuning.keys[at], list[Curve]()
    for row, own in rows:
        if own.is_tuned:
            curves += [*_tuning_curves(row, own, at), *_final_curves(row, own, tuning, at)]
    told = (
        "Hollow: mean over tuning seeds, the band one standard deviation; what was dropped early is put level on the "
    )
    told += "seeds that it has. Filled: final seeds, at the value chosen."
    if any(one.diverged for _, own in rows for one in own.places.values()):
        told += " A cross (on this page hollow, too): diverged, drawn at the loss at initialisation."
    told += f" Each {short_key(key, tuning)} with the others at their best." if len(tuning.keys) > 1 else ""
    log = is_geometric([x for curve in curves for x in curve.x])
    return Panel(f"tuning-{key}", f"validation loss against {key}", told, key, UNIT, curves, log_x=log, band=MARKS)


def _tuning_curves(row: Row, own: TunedRow, at: int) -> list[Curve]:
    best: dict[int, Tried] = {}
    for place, one in sorted(own.places.items()):
        if place[at] not in best or one.level < best[place[at]].level:
            best[place[at]] = one
    values = [own.arm.ladders[at].values[index] for index in sorted(best)]
    shown = [best[index] for index in sorted(best)]
    spreads = [mean_sd([*one.losses.values()])[1] if not one.diverged else None for one in shown]
    low, high = (
        [None if sd is None else one.level + sign * sd for one, sd in zip(shown, spreads, strict=True)]
        for sign in (-1, 1)
    )
    bands = (low, high) if any(sd is not None for sd in spreads) else (None, None)
    variant = row.variant
    look: dict[str, Any] = {"style": variant.style, "label": variant.label, "partial": not own.settled}
    curves = [Curve(variant.name, values, [one.level for one in shown], *bands, mark="hollow", **look)]
    lost = [(value, one.level) for value, one in zip(values, shown, strict=True) if one.diverged]
    if lost:
        curves.append(Curve(variant.name, [x for x, _ in lost], [y for _, y in lost], mark="cross", **look))
    return curves


def _final_curves(row: Row, own: TunedRow, tuning: Tuning, at: int) -> list[Curve]:
    """A point for each study at what it chose."""
    curves: list[Curve] = []
    for number, place in enumerate(own.chosen):
        losses = [] if place is None else _finals(own, tuning, number, place)
        if place is None or not losses:
            continue
        mean, sd = mean_sd(losses)
        bands = (None, None) if sd is None else ([mean - sd], [mean + sd])
        look: dict[str, Any] = {"style": row.variant.style, "label": row.variant.label}
        x = [own.arm.ladders[at].values[place[at]]]
        curves.append(Curve(row.variant.name, x, [mean], *bands, mark="filled", **look))
    return curves


def _finals(own: TunedRow, tuning: Tuning, number: int, place: Place) -> list[float]:
    trials = [Trial("final", number, *own.kind, place, seed) for seed in tuning.study.rules.finals[number]]
    found = [tuning.results.get(trial) for trial in trials]
    return [loss for loss in found if loss is not None and loss != DIVERGED]


def _gap_panel(found: Comparison, rows: Rows, tuning: Tuning, at: int) -> Panel:
    """The paired gap to the baseline against a tuned setting, the others at the baseline's choice."""
    key, curves = tuning.keys[at], list[Curve]()
    bases = {own.kind: own for _, own in rows}
    for row, own in rows:
        base = bases.get(row.base.kind) if row.base and row.base.kind else None
        place = next((place for place in base.chosen if place is not None), None) if base else None
        if base is None or place is None or not own.gaps:
            continue
        chosen = tuning.values(base.arm, place)
        beside = [gap for gap in own.gaps if _others(gap.values, at) == _others(chosen, at)]
        x, y = [gap.values[at] for gap in beside], [gap.mean for gap in beside]
        low, high = [gap.low for gap in beside], [gap.high for gap in beside]
        bands = (low, high) if any(value is not None for value in low) else (None, None)
        look: dict[str, Any] = {"style": row.variant.style, "label": row.variant.label}
        curves += [Curve(row.variant.name, x, y, *bands, mark="hollow", **look)] if x else []
    names = {row.base.name for row in found.rows if row.base}
    against = names.pop() if len(names) == 1 else "the baseline"
    told = f"Below 0: lower loss than {against} at the same {short_key(key, tuning)} on the same tuning seeds. Band: "
    told += "95% interval, the spread of pairs pooled; what diverged counts as the loss at initialisation."
    log = is_geometric([x for curve in curves for x in curve.x])
    return Panel(
        f"tuning-gap-{key}", f"validation loss minus {against}", told, key, UNIT, curves, log_x=log, band=_INTERVAL
    )


def _others(values: tuple[float, ...], at: int) -> tuple[float, ...]:
    return values[:at] + values[at + 1 :]


def _trials_panel(rows: Rows, tuning: Tuning) -> Panel:
    """The expected best loss against the number of values tried."""
    curves: list[Curve] = []
    for row, own in rows:
        best = expected_best([one.level for one in own.places.values()])
        if own.is_tuned and len(best) > 1:
            x = [float(number) for number in range(1, len(best) + 1)]
            look = {
                "style": row.variant.style,
                "label": row.variant.label,
                "mark": "hollow",
                "partial": not own.settled,
            }
            curves.append(Curve(row.variant.name, x, best, **look))
    what = short_key(tuning.keys[0], tuning) if len(tuning.keys) == 1 else "pair"
    told = (
        f"What the best of n values of {what} drawn at random from those tried (without replacement) comes to on the "
    )
    told += "tuning seeds, on average (arXiv 2004.13705)."
    title = "expected best loss against values tried"
    return Panel("tuning-trials", title, told, "values tried", UNIT, curves)


def _grid_panel(row: Row, own: TunedRow, tuning: Tuning, shades: Sequence[float]) -> Panel:
    """Loss against the first setting, a line for each value of the second; `shades`: all of these, ascending."""
    first, second = own.arm.ladders if len(own.arm.ladders) == 2 else (None, None)
    curves: list[Curve] = []
    if first is not None and second is not None:
        inner = sorted({place[1] for place in own.places})
        for index in inner:
            line = sorted((place[0], one.level) for place, one in own.places.items() if place[1] == index)
            style = Style(depth_colour(shades.index(second.values[index]) / max(len(shades) - 1, 1)), (), 1.5)
            name = f"{short_key(second.key, tuning)}={as_word(second.values[index])}"
            x, y = [first.values[at] for at, _ in line], [level for _, level in line]
            curves.append(Curve(name, x, y, style=style, mark="hollow"))
    log = is_geometric([x for curve in curves for x in curve.x])
    told, key = "Tuning seeds; a line for each value of the second setting.", tuning.keys[0]
    name = row.variant.name
    return Panel(f"tuning-grid-{name}", f"{name}: loss against {key}", told, key, UNIT, curves, log_x=log)
