"""The final loss against a swept setting: a curve for each combination of what else tells the variants apart."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from simplify.compare.comparison import Comparison, Row
from simplify.compare.figures import SPREAD, UNIT
from simplify.compare.names import labelled, name_of, without_maths
from simplify.compare.panels import Curve, Panel
from simplify.compare.styles import Style, joint_styles
from simplify.compare.variants import setting
from simplify.runs.settings import layers_of
from simplify.runs.words import as_word

_WIDE = 4  # times that the largest of geometric values is the least, at least
Family = list[tuple[float, Row]]  # the variants that one line goes through, each at its value of the setting


def final_panel(
    found: Comparison,
    x: str,
    by: str = "block",
    log_x: bool | None = None,
    log_y: bool | None = None,
    labels: Mapping[str, str] | None = None,
) -> Panel | None:
    """The final loss against a swept setting (paper, Figs 3, 9, 14, 15).

    There is a curve for each value of `by`, which may be several settings with spaces between, and as many more as it
    takes that no curve has two values at one place. None where no finished run has a number there, or where the
    setting differs within a variant, as a seed does. `log_x` None: where the values are geometric.
    """
    if x.rpartition(".")[2] == "seed":
        return None
    places: Family = []
    for row in found.rows:
        value = setting(row.variant.config, x)
        if row.loss is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
            places.append((float(value), row))
    if not places:
        return None
    families, keys = _families(places, x, by.split())
    styles = joint_styles({name: [row.variant.style for _, row in family] for name, family in families.items()})
    curves: list[Curve] = []
    for name, family in families.items():
        label = labelled(name, {key: _cell(family[0][1], key) for key in keys}, labels or {})
        curves.append(_curve(without_maths(label), family, styles[name], label))
    told = "Mean over seeds, the band one standard deviation."
    also = _also(families.values(), x)
    told += f" Along a line also differ: {', '.join(also)}." if also else ""
    log = is_geometric([value for value, _ in places]) if log_x is None else log_x
    title = f"final validation loss against {x}"
    return Panel(f"final-{x}", title, told, x, UNIT, curves, log_x=log, log_y=bool(log_y), band=SPREAD)


def is_geometric(values: Sequence[float]) -> bool:
    """Whether three values or more are spread more evenly by their ratios than by their differences."""
    places = sorted(set(values))
    if len(places) < 3 or places[0] <= 0 or places[-1] < _WIDE * places[0]:
        return False
    gaps = [after - before for before, after in itertools.pairwise(places)]
    ratios = [math.log(after / before) for before, after in itertools.pairwise(places)]
    return max(ratios) / min(ratios) < max(gaps) / min(gaps)


def _families(places: Family, x: str, wished: Sequence[str]) -> tuple[dict[str, Family], list[str]]:
    """The lines by name, and the settings that tell them apart: more than wished where a line would zigzag."""
    keys = list(wished)
    left = list(dict.fromkeys(key for _, row in places for key in row.variant.cells if key not in (x, *keys)))
    found, twice = _by(keys, places)
    while twice:
        needed = next((key for key in left if any(len({_cell(r, key) for r in rows}) > 1 for rows in twice)), None)
        if needed is None:  # nothing that a name could say tells them apart
            return {row.variant.name: [(value, row)] for value, row in places}, []
        keys.append(needed)
        left.remove(needed)
        found, twice = _by(keys, places)
    differ = [key for number, key in enumerate(keys) if len({cells[number] for cells in found}) > 1]
    lines: dict[str, Family] = {}
    for cells, family in found.items():
        told = {key: cell for key, cell in zip(keys, cells, strict=True) if key in differ}
        lines[name_of(told, family[0][1].variant.block)] = sorted(family, key=lambda point: point[0])
    return lines, differ


def _by(keys: Sequence[str], places: Family) -> tuple[dict[tuple[str, ...], Family], list[list[Row]]]:
    """The variants by these settings, and those of a group that share their place with another."""
    found: dict[tuple[str, ...], Family] = {}
    for value, row in places:
        found.setdefault(tuple(_cell(row, key) for key in keys), []).append((value, row))
    twice: list[list[Row]] = []
    for family in found.values():
        number = Counter(value for value, _ in family)
        twice += [[row for other, row in family if other == value] for value in number if number[value] > 1]
    return found, twice


def _cell(row: Row, key: str) -> str:
    """A setting of a variant in its word."""
    if key in row.variant.cells:
        return row.variant.cells[key]
    return as_word(setting(row.variant.config, key), layers_of(row.variant.config))


def _also(families: Iterable[Family], x: str) -> list[str]:
    """What else differs between the points of one line."""
    found: dict[str, None] = {}
    for family in families:
        rows = [row for _, row in family]
        keys = dict.fromkeys(key for row in rows for key in row.variant.cells if key != x)
        found |= {key: None for key in keys if len({_cell(row, key) for row in rows}) > 1}
    return [key for key in found if key.rpartition(".")[2] != x.rpartition(".")[2]]


def _curve(name: str, family: Family, style: Style, label: str) -> Curve:
    losses = [(value, *row.loss) for value, row in family if row.loss is not None]
    y = [mean for _, mean, _ in losses]
    low, high = ([None if sd is None else mean + sign * sd for _, mean, sd in losses] for sign in (-1, 1))
    bands = (low, high) if any(sd is not None for _, _, sd in losses) else (None, None)
    return Curve(name, [value for value, _, _ in losses], y, *bands, style=style, label=label)
