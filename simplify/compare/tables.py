"""The comparison as a table of texts: for the terminal, HTML, Markdown and LaTeX alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simplify.compare.baseline import is_meant
from simplify.compare.comparison import Comparison, Row
from simplify.compare.ratios import Ratio
from simplify.compare.tuned_table import HEADS, cell_of, setting_name
from simplify.compare.verdict import UNDECIDED

NONE = "-"
# What columns are asked for by, in their order; that of the variant is always there.
COLUMNS = (
    *("runs", "loss", "difference", "verdict", "parameters", "flops"),
    *("speed", "memory", "steps", "seconds", "paper"),
    *HEADS,
)


@dataclass(frozen=True)
class Column:
    """A column: what it is asked for by, its head, what stands in it, and whether the terminal's short table has it."""

    key: str
    head: str
    cell: Callable[[Row], str]
    short: bool = True


@dataclass(frozen=True)
class PaperNumbers:
    """What the paper says of the same question: a column for each quantity, by block."""

    where: str
    columns: Mapping[str, Mapping[str, str]]
    hours: str | None = None  # of a run there


def columns_of(found: Comparison, paper: PaperNumbers | None = None) -> list[Column]:
    """All columns, in order."""
    tuned = _tuned_columns(found)
    all_columns = [
        Column("variant", "variant", lambda row: row.variant.name),
        *tuned[:1],
        Column("runs", "runs", runs_cell),
        Column("loss", "final loss", loss_cell),
        Column("difference", f"minus {baseline_name(found)} (95%)", gap_cell),
        Column("verdict", "verdict at its best" if tuned else "verdict", lambda row: row.verdict),
        *tuned[1:],
        Column("parameters", "parameters", parameters_cell),
        Column("flops", "FLOPs a token", flops_cell, short=False),
        Column("speed", "tokens/s", speed_cell),
        Column("memory", "peak memory", lambda row: ratio_cell(row, row.memory), short=False),
        Column("steps", "steps to its loss", lambda row: reach_cell(row, "step"), short=False),
        Column("seconds", "seconds to its loss", lambda row: reach_cell(row, "seconds"), short=False),
    ]
    for head, values in (paper.columns if paper else {}).items():
        all_columns.append(Column("paper", f"paper: {head}", _paper_cell(values), short=False))
    return all_columns


def _tuned_columns(found: Comparison) -> list[Column]:
    """Those of a tuned comparison; the first one says what each row is."""
    if found.tuning is None:
        return []
    name = setting_name(found.tuning)
    return [Column(key, head.format(name), cell_of(key)) for key, head in HEADS.items()]


def chosen_columns(found: Comparison, paper: PaperNumbers | None, keys: Sequence[str]) -> list[Column]:
    """The variant, then the columns with these keys in their order; without keys those that say anything."""
    columns = columns_of(found, paper)
    if keys:
        return [columns[0], *(column for key in dict.fromkeys(keys) for column in columns[1:] if column.key == key)]
    usual = {"variant", "runs", "loss", "chosen"}
    return [c for c in columns if c.key in usual or any(c.cell(row) not in (NONE, "1") for row in found.rows)]


def rows_of(
    found: Comparison, paper: PaperNumbers | None = None, short: bool = False, keys: Sequence[str] = ()
) -> list[list[str]]:
    """The table with its head as the first row; `keys`: only these columns."""
    columns = [c for c in chosen_columns(found, paper, keys) if c.short or not short]
    return [[c.head for c in columns], *([c.cell(row) for c in columns] for row in found.rows)]


def baseline_name(found: Comparison) -> str:
    """The baseline where there is one, else a word for it."""
    base = baseline_row(found)
    return "baseline" if base is None else base.variant.name


def baseline_row(found: Comparison) -> Row | None:
    """The baseline, where all have one."""
    names = {row.base.name for row in found.rows if row.base is not None}
    return next((row for row in found.rows if row.is_base), None) if len(names) == 1 else None


def _paper_cell(values: Mapping[str, str]) -> Callable[[Row], str]:
    """Numbers stand under a variant's name, its block, or settings that it has."""

    def cell(row: Row) -> str:
        meant = (value for words, value in values.items() if is_meant(row.variant, words))
        return str(values.get(row.variant.printed, next(meant, NONE)))

    return cell


def runs_cell(row: Row) -> str:
    """Finished runs of all; diverged ones are said."""
    variant = row.variant
    text = (
        f"{len(variant.done)}"
        if len(variant.done) == len(variant.runs)
        else f"{len(variant.done)} of {len(variant.runs)}"
    )
    return f"{text}, {len(variant.diverged)} diverged" if variant.diverged else text


def loss_cell(row: Row) -> str:
    """Mean and standard deviation over seeds; censored where runs have diverged."""
    if row.loss is None:
        return "diverged" if row.variant.diverged else NONE
    mean, sd = row.loss
    text = f"{mean:.4f}" if sd is None else f"{mean:.4f} ± {sd:.4f}"
    return f"{text} *" if row.variant.diverged else text


def gap_cell(row: Row) -> str:
    """Difference to the baseline with its interval."""
    gap = row.gap
    if gap is None:
        return "baseline" if row.is_base else NONE
    text = f"{gap.mean:+.4f}" if gap.low is None else f"{gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
    if not gap.paired:
        return f"{text} unpaired"
    return text if gap.n == len(row.variant.final()) else f"{text} {gap.n} pair{'s' if gap.n > 1 else ''}"


def parameters_cell(row: Row) -> str:
    """Parameters, and how many more or less than the baseline's."""
    costs = row.variant.costs
    if costs is None:
        return NONE
    text, share = short_number(costs.parameters), row.parameters_share
    return text if share is None or row.is_base else f"{text} ({_percent(share)})"


def flops_cell(row: Row) -> str:
    """FLOPs of training on a token, and how many more or less."""
    mine, its = row.variant.costs, row.base.costs if row.base else None
    if mine is None:
        return NONE
    text = short_number(mine.training_flops)
    return text if its is None or row.is_base else f"{text} ({_percent(mine.training_flops / its.training_flops)})"


def speed_cell(row: Row) -> str:
    """Its speed over the baseline's; never a plain number where it may as well be none."""
    text = ratio_cell(row, row.speed)
    return f"{text} {UNDECIDED}" if row.speed_verdict == UNDECIDED else text


def ratio_cell(row: Row, ratio: Ratio | None) -> str:
    """A ratio to the baseline with its extremes over pairs."""
    if row.is_base:
        return "1" if row.loss else NONE
    if ratio is None:
        return NONE
    return f"{ratio.middle:.2f}" if ratio.n == 1 else f"{ratio.middle:.2f} ({ratio.least:.2f} to {ratio.most:.2f})"


def reach_cell(row: Row, what: str) -> str:
    """How far to the baseline's final loss, over what the baseline took; how many pairs got there."""
    if row.is_base:
        return "1" if row.loss else NONE
    if row.reach is None:
        return NONE
    ratio = row.reach.step if what == "step" else row.reach.seconds
    if ratio is None:
        return "not reached" if not row.reach.reached else NONE
    of = "" if row.reach.reached == row.reach.of else f" in {row.reach.reached} of {row.reach.of}"
    return f"{ratio.middle:.2f}{of}"


def _percent(share: float) -> str:
    return f"{100 * (share - 1):+.1f}%".replace("-0.0%", "+0.0%")


def short_number(value: float) -> str:
    """1,066,112 is 1.07M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:g}"
