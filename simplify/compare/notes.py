"""What a reader has to know to read a comparison's table rightly."""

from __future__ import annotations

from collections.abc import Collection

from simplify.compare.comparison import Comparison
from simplify.compare.levels import TOTAL, level_of
from simplify.compare.pairs import precision_of
from simplify.compare.ratios import FACTS
from simplify.compare.tables import COLUMNS, PaperNumbers, baseline_name
from simplify.compare.tuned_notes import tuned_notes
from simplify.compare.verdict import UNDECIDED

_MOST = 4  # devices, say, that a note names


def notes_of(found: Comparison, paper: PaperNumbers | None = None, keys: Collection[str] = ()) -> list[str]:
    """What a reader has to know to read the table rightly; `keys`: of the columns that it has, empty: of all."""
    rows, has = found.rows, set(keys or COLUMNS)
    notes = [*tuned_notes(found, has), *_of_losses(found, has)]
    notes += _of_verdicts(found) if "verdict" in has else []
    notes += [*_of_gaps(found, has), *_of_precision(found)]
    notes += _of_speed(found) if "speed" in has else []
    if any(row.memory for row in rows) and "memory" in has:
        notes.append("peak memory over the baseline's, pair by pair, median (extremes).")
    if any(row.reach for row in rows) and "steps" in has:
        notes.append(
            "steps to its loss: where the validation loss first is as low as the baseline's last one (straight between "
            "two validations), as a part of the baseline's steps (and so of its tokens), median over pairs."
        )
    for row in rows:
        if row.also and row.base:
            notes.append(f"{row.variant.name} differs from its baseline {row.base.name} also in {', '.join(row.also)}.")
    notes += _apart(found) if has & {"speed", "memory", "seconds"} else []
    unsaid = found.variants[0].unsaid if found.variants else {}
    if unsaid:
        notes.append(f"Where a name does not say: {', '.join(f'{key}={value}' for key, value in unsaid.items())}.")
    if found.no_baseline:
        notes.insert(0, f"{found.no_baseline[:1].upper()}{found.no_baseline[1:]}.")
    elif any(row.base is None for row in rows):
        notes.append("No verdict where no baseline has the same batches and budget.")
    if paper and "paper" in has:
        hours = f" Hours of a run there: {paper.hours}." if paper.hours else ""
        notes.append(f"paper: {paper.where} of arXiv 2311.01906, at the paper's own size, data and hardware.{hours}")
    return notes


def _of_losses(found: Comparison, has: Collection[str]) -> list[str]:
    """What the losses are, and what their differences."""
    unit = "a hidden token" if any(v.settings.get("model.kind") == "encoder" for v in found.variants) else "a token"
    is_several = found.tuning is not None and found.tuning.studies > 1
    notes: list[str] = []
    if "loss" in has:
        over = "studies" if is_several else "seeds"
        notes.append(f"Final loss: validation, nats {unit}, mean ± standard deviation over {over}.")
    if "difference" in has:
        each = "study, whose runs" if is_several else "seed, which"
        notes.append(
            f"minus {baseline_name(found)}: mean difference over pairs of the same {each} see the same batches in "
            "the same order, with the plain 95% interval of Student's t, for each row by itself."
        )
    return notes


def _of_verdicts(found: Comparison) -> list[str]:
    """What the words better, worse and equal rest on."""
    rows = [row.judged for row in found.rows if row.judged is not None]
    if not rows:
        return []
    notes: list[str] = []
    if found.looks:
        share = f"{100 * level_of(found.looks):.2f}%"
        at = ", ".join(map(str, found.looks))
        notes.append(
            f"Verdicts are read at {at} seeds alone, the first ones of the plan, each at a level of {share}, which "
            f"spends {100 * TOTAL:g}% over all looks. Between looks the interval is no verdict."
        )
    if len(rows) > 1:
        notes.append(
            f"Verdicts: Holm over the {len(rows)} variants of this table, so that where nothing differs at most "
            f"{100 * TOTAL:g}% of such tables carry any. uncorrected: what the row would say by itself."
        )
    else:
        notes.append(f"Verdict: where nothing differs, {100 * TOTAL:g}% of such tables carry one.")
    if any(row.after for row in rows):
        notes.append(
            "Seeds were added after a look at a difference (.sweeps/looks.jsonl): that look's verdict stands; without "
            "one the fresh seeds decide, those that no look has seen. Each set of fresh seeds is a test by itself."
        )
    if any(row.fresh for row in rows):
        notes.append("fresh seeds: new ones, judged by themselves, if mean and spread stay as they are.")
    return notes


def _of_gaps(found: Comparison, has: Collection[str]) -> list[str]:
    """What the marks beside differences, losses and verdicts mean."""
    notes: list[str] = []
    rows = found.rows
    if found.margin is not None and "verdict" in has:
        notes.append(
            f"equal: the whole interval lies within ±{found.margin:g} nats, the margin; it goes before all else."
        )
    gaps = [row for row in rows if row.gap is not None and "difference" in has]
    if any(row.gap and row.gap.paired and row.gap.n < len(row.variant.final()) for row in gaps):
        notes.append(
            "n pairs: so many seeds are common to both; the difference is theirs, not that of the means beside it."
        )
    if any(row.gap and not row.gap.paired for row in gaps):
        notes.append("unpaired: no seed in common with the baseline; Welch's interval.")
    if any(row.variant.diverged and row.loss for row in rows) and "loss" in has:
        notes.append("*: mean of the runs that did not diverge; the others are censored, so this is the better half.")
    return notes


def _of_precision(found: Comparison) -> list[str]:
    """Which variants were trained in what, where that is not one for all."""
    if len(found.apart_in("precision")) < 2:
        return []
    told: dict[str, list[str]] = {}
    for variant in found.variants:
        if own := sorted({precision_of(run) for run in variant.done}):
            told.setdefault(" and ".join(own), []).append(variant.name)
    named = "; ".join(
        f"{precision}: {', '.join(names[:_MOST])}{', ...' * (len(names) > _MOST)}" for precision, names in told.items()
    )
    return [
        f"These runs differ in precision ({named}): no pair is judged across it, and a mean over both says little. "
        "With train.precision typed, all are trained in one."
    ]


def _of_speed(found: Comparison) -> list[str]:
    """Where the speeds in the table are from, or why there are none."""
    rows = [row for row in found.rows if row.base is not None and not row.is_base]
    notes: list[str] = []
    if any(row.benched for row in rows):
        notes.append("tokens/s over the baseline's: as simplify bench measured it, median (10th to 90th percentile).")
    if any(row.speed is not None and not row.benched for row in rows):
        notes.append(
            "tokens/s over the baseline's: over pairs of runs that trained side by side on one machine, median "
            "(extremes); simplify bench measures."
        )
    if any(row.speed_verdict == UNDECIDED for row in rows):
        notes.append(
            "tokens/s not decided: it may as well be the baseline's. Of a bench, the page's Speed says why; of runs "
            "side by side there is one pair, or some pairs are faster and some slower."
        )
    if any(row.speed is None and row.variant.final("tokens_per_sec") for row in rows):
        notes.append(
            f"No tokens/s{'' if any(row.speed for row in rows) else ' at all'} where no run trained beside one of the "
            "baseline on the same machine: at other times it has other work. simplify bench measures speed."
        )
    return notes


def _apart(found: Comparison) -> list[str]:
    """Runs of different machines: what is not compared, and why."""
    parts = {what: values for what in FACTS if len(values := found.apart_in(what)) > 1}
    if not parts:
        return []
    told = "; ".join(
        f"{what}: {', '.join([*values[:4], *['...'] * (len(values) > 4)])}" for what, values in parts.items()
    )
    return [f"These runs are not of one machine and setting ({told}): no ratio of speed or memory across them."]
