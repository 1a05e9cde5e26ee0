"""The comparison as a table of texts: for the terminal, HTML, Markdown and LaTeX alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simplify.compare.comparison import FACTS, Comparison, Ratio, Row
from simplify.compare.variants import is_meant

NONE = "-"


@dataclass(frozen=True)
class Column:
    """A column: its head, what stands in it, and whether the terminal's short table has it."""

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
    """The columns that say anything of these variants."""
    against = baseline_name(found)
    all_columns = [
        Column("variant", lambda row: row.variant.name),
        Column("runs", runs_cell),
        Column("final loss", loss_cell),
        Column(f"minus {against} (95%)", gap_cell),
        Column("verdict", lambda row: row.verdict),
        Column("parameters", parameters_cell),
        Column("FLOPs a token", flops_cell, short=False),
        Column("tokens/s", lambda row: ratio_cell(row, row.speed)),
        Column("peak memory", lambda row: ratio_cell(row, row.memory), short=False),
        Column("steps to its loss", lambda row: reach_cell(row, "step"), short=False),
        Column("seconds to its loss", lambda row: reach_cell(row, "seconds"), short=False),
    ]
    for head, values in (paper.columns if paper else {}).items():
        cell = _paper_cell(values)
        all_columns.append(Column(f"paper: {head}", cell, short=False))
    keep = {"variant", "runs", "final loss"}
    return [c for c in all_columns if c.head in keep or any(c.cell(row) != NONE for row in found.rows)]


def rows_of(found: Comparison, paper: PaperNumbers | None = None, short: bool = False) -> list[list[str]]:
    """The table with its head as the first row."""
    columns = [c for c in columns_of(found, paper) if c.short or not short]
    return [[c.head for c in columns], *([c.cell(row) for c in columns] for row in found.rows)]


def baseline_name(found: Comparison) -> str:
    """The baseline where there is one, else a word for it."""
    names = {row.base.name for row in found.rows if row.base is not None}
    return names.pop() if len(names) == 1 else "baseline"


def _paper_cell(values: Mapping[str, str]) -> Callable[[Row], str]:
    """Numbers stand under a variant's name, its block, or settings that it has."""

    def cell(row: Row) -> str:
        meant = (value for words, value in values.items() if is_meant(row.variant, words))
        return str(values.get(row.variant.name, next(meant, NONE)))

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
    return text if gap.n == len(row.variant.done) else f"{text} {gap.n} pair{'s' if gap.n > 1 else ''}"


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


def notes_of(found: Comparison, paper: PaperNumbers | None = None, short: bool = False) -> list[str]:
    """What a reader has to know to read the table (or its short form) rightly."""
    against = baseline_name(found)
    unit = "a hidden token" if any(v.settings.get("model.kind") == "encoder" for v in found.variants) else "a token"
    notes = [
        f"Final loss: validation, nats {unit}, mean ± standard deviation over seeds.",
        f"minus {against}: mean difference over pairs of the same seed, which see the same batches in the same order, "
        "with the 95% interval of Student's t. Verdicts are not corrected for several comparisons.",
    ]
    rows = found.rows
    if found.margin is not None:
        notes.append(
            f"equal: the whole interval lies within ±{found.margin:g} nats, the margin; it goes before all else."
        )
    if any(row.gap is not None and row.gap.paired and row.gap.n < len(row.variant.done) for row in rows):
        notes.append(
            "n pairs: so many seeds are common to both; the difference is theirs, not that of the means beside it."
        )
    if any(row.gap is not None and not row.gap.paired for row in rows):
        notes.append("unpaired: no seed in common with the baseline; Welch's interval.")
    if any(row.variant.diverged and row.loss for row in rows):
        notes.append("*: mean of the runs that did not diverge; the others are censored, so this is the better half.")
    cpu = " On a CPU the memory is that of the whole process."
    if any(row.speed for row in rows):
        notes.append(
            f"tokens/s{'' if short else ' and peak memory'} over the baseline's, pair by pair, median (extremes): of "
            f"runs at different times, a hint; simplify bench measures.{'' if short else cpu}"
        )
    if any(row.reach for row in rows) and not short:
        notes.append(
            "steps to its loss: where the validation loss first is as low as the baseline's last one (straight between "
            "two validations), as a part of the baseline's steps (and so of its tokens), median over pairs."
        )
    for row in rows:
        if row.also and row.base:
            notes.append(f"{row.variant.name} differs from its baseline {row.base.name} also in {', '.join(row.also)}.")
    notes += _apart(found)
    if any(row.base is None for row in rows):
        notes.append("No verdict where no baseline has the same batches and budget.")
    if paper:
        hours = f" Hours of a run there: {paper.hours}." if paper.hours else ""
        notes.append(f"paper: {paper.where} of arXiv 2311.01906, at the paper's own size, data and hardware.{hours}")
    return notes


def _apart(found: Comparison) -> list[str]:
    """Runs of different machines: what is not compared, and why."""
    parts = {what: values for what in FACTS if len(values := found.apart_in(what)) > 1}
    if not parts:
        return []
    told = "; ".join(f"{what}: {', '.join(values[:4])}" for what, values in parts.items())
    return [f"These runs are not of one machine and setting ({told}): no ratio of speed or memory across them."]
