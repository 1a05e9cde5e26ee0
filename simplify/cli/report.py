"""`simplify report`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from simplify.cli.baseline import home
from simplify.cli.report_print import print_checklist, print_files, print_report
from simplify.cli.report_tuned import tuning_of, without_tuning
from simplify.cli.report_wish import Shown, wished
from simplify.cli.select import Selected, select
from simplify.config import nearest
from simplify.disk import check_folder
from simplify.display import near, tell, tell_aside
from simplify.errors import ConfigError, RunFolderError
from simplify.sweep.file import paragraphs, read_sweep
from simplify.sweep.report import Report

if TYPE_CHECKING:
    from simplify.compare.comparison import Comparison
    from simplify.compare.looks import Looks
    from simplify.compare.options import ReportOptions
    from simplify.runs.store import RunView


def report_command(words: Sequence[str], run_root: Path | None, shown: Shown) -> None:
    """Compare the runs that `words` choose."""
    wished(shown, Report.model_validate({}))  # a slip is said before a thousand runs are read
    chosen = select(words, run_root)
    wanted = wished(shown, _report_of(chosen))

    from simplify.compare.benched import with_bench
    from simplify.compare.report import write_report

    earlier = _earlier_looks(chosen.store.root)
    found = _compared(chosen, wanted, shown, earlier)
    _refuse_empty(found, chosen, shown.typed.get("baseline"))
    options = _options(found, chosen, wanted)
    if shown.checklist:
        options = _with_checklist(found, options, chosen)
    found = with_bench(found, options.speed)
    try:
        written = write_report(found, options, shown.out)  # before a word: whoever reads the words may stop reading
    except OSError as error:
        if not shown.out.is_absolute():
            check_folder()
        raise RunFolderError(
            f"--out={shown.out}: cannot be written: {error.strerror or error}; valid: a folder to write to"
        ) from None
    _keep_look(earlier, found)
    print_report(found, options, written.problems)
    print_checklist(options)
    print_files(written.files, shown.out)
    if shown.publish:
        _publish(chosen, wanted, options, written.files, _drawn(found) or chosen.runs)


def _earlier_looks(root: Path) -> Looks:
    """The looks that there were, and a line for each that cannot be read."""
    from simplify.compare.looks import Looks

    found = Looks(root)
    for problem in found.problems:
        tell_aside(f"simplify: {problem}; verdicts are given as if there had been no such look")
    return found


def _keep_look(earlier: Looks, found: Comparison) -> None:
    """A report is a look. Where it cannot be written down the report is given all the same."""
    try:
        earlier.keep(found)
    except OSError as error:
        tell_aside(
            f"simplify: {earlier.path}: cannot be written: {error.strerror or error}; a report with more seeds will "
            "not know of this one"
        )


def _compared(chosen: Selected, wish: Report, shown: Shown, earlier: Looks) -> Comparison:
    """The comparison of the chosen runs; of a tuned sweep that of its final ones."""
    from simplify.compare.comparison import comparison
    from simplify.compare.kinds import Kinds
    from simplify.compare.tuned import tuned_comparison

    # Of sweeps the variants come as their files name them.
    shape = {"colour": wish.colour, "labels": wish.labels, "as_given": bool(chosen.sweeps), "home": home}
    shape |= {"looks": wish.looks, "seen": earlier.of}

    def compare(runs: Sequence[RunView], kinds: Kinds | None = None) -> Comparison:
        baseline = shown.typed.get("baseline") if kinds else wish.baseline  # the file's is the study's
        return comparison(runs, baseline, wish.margin, **shape, kinds=kinds)

    tuning = None if shown.tuning else tuning_of(chosen)
    if tuning is not None:
        return tuned_comparison(tuning, compare)
    return compare(chosen.runs if shown.tuning else without_tuning(chosen))


def _drawn(found: Comparison) -> list[RunView]:
    """Of a tuned sweep the final runs, which alone are variants."""
    return [run for variant in found.variants for run in variant.runs] if found.tuning else []


def _publish(
    chosen: Selected, wish: Report, options: ReportOptions, files: Sequence[Path], runs: Sequence[RunView]
) -> None:
    """Upload the runs, then the report on `runs`. What was written here stays, whatever W&B says."""
    from simplify.publish.publish import publish
    from simplify.publish.spec import Axis, library

    library()  # the extra, before minutes of uploading
    from simplify.cli.sync import sync

    sync(chosen, None, None)
    name = chosen.sweeps[0].name if len(chosen.sweeps) == 1 else f"runs-{chosen.title}"
    axes: dict[str, Axis] = {"tokens": "tokens", "seconds": "seconds"}
    axis = axes.get(wish.x, "step")  # W&B has no FLOPs or device hours
    table = next(path for path in files if path.name == "table.md").read_text(encoding="utf-8")
    kept = [path for path in files if path.suffix != ".md"]
    done = publish(name, options.title, options.question, table, kept, runs, wish.baseline, axis)
    missing = f"; not there: {', '.join(done.missing)}" if done.missing else ""
    tell(f"W&B report: {done.url} ({done.shown} run{'s'[: done.shown != 1]}{missing})")


def _report_of(chosen: Selected) -> Report:
    """What the sweep's file says of its report, if one file was chosen and is still there."""
    files = {record.file for record in chosen.sweeps}
    file = files.pop() if len(files) == 1 else None
    if file is not None and not os.path.exists(file):
        tell_aside(f"simplify: {file}: is there no more: without its baseline, figures and labels; name its new place")
    if file is None or not os.path.exists(file):
        return Report.model_validate({})
    return read_sweep(Path(file)).report


def _refuse_empty(found: Comparison, chosen: Selected, typed: str | None) -> None:
    from simplify.compare.baseline import is_meant, listed, valid_words

    if not found.variants:
        there = "" if chosen.store.root.is_dir() else " (there is no such folder)"
        raise RunFolderError(
            f"report: {len(chosen.runs)} runs in {chosen.store.root}{there}, and none has begun; valid: runs that have "
            "(simplify status shows all)"
        )
    if typed is not None and not any(is_meant(variant, typed) for variant in found.variants):
        valid = valid_words(found.variants)
        raise ConfigError(
            f"--baseline={typed}: {nearest(typed, valid)}none of these runs is that; valid here: {listed(valid)}"
        )


def _options(found: Comparison, chosen: Selected, wish: Report) -> ReportOptions:
    from simplify import __version__
    from simplify.compare.look import Look
    from simplify.compare.options import FigureWish, ReportOptions
    from simplify.compare.shared import Asked
    from simplify.compare.speed import choose
    from simplify.compare.tables import PaperNumbers
    from simplify.runs.benches import read_benches

    figures = [FigureWish(f.kind, f.x or "", f.by, f.of, f.log_x, f.log_y) for f in wish.figures]
    paper = None
    if wish.paper is not None:
        columns = {head: {k: str(v) for k, v in cells.items()} for head, cells in wish.paper.columns.items()}
        paper = PaperNumbers(wish.paper.where, columns, wish.paper.hours)
    question = paragraphs(chosen.sweeps[0].question) if len(chosen.sweeps) == 1 else ()
    asked = [Asked(record.name, record.scale if record.file else "", record.words) for record in chosen.sweeps]
    when = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    benches = read_benches(chosen.store.root)
    blocks = {variant.block for variant in found.variants}
    speed = choose(benches, blocks, models=[variant.config["model"] for variant in found.variants])
    look = Look(wish.title, wish.font, wish.width, wish.log_x, wish.log_y)
    number = len(chosen.runs)
    about = f"{number} run{'s'[: number != 1]} of {near(chosen.store.root)}/, {when}, simplify {__version__}"
    title = chosen.title if chosen.sweeps or chosen.title != f"all runs of {chosen.store.root}" else "All runs"
    shown = {"x": wish.x, "figures": figures, "labels": wish.labels, "columns": wish.columns, "look": look}
    told = {"question": question, "asked": asked, "unstarted": chosen.unstarted, "about": about}
    told["command"] = shlex.join(["simplify", *sys.argv[1:]])
    return ReportOptions(title, **told, **shown, paper=paper, speed=speed)


def _with_checklist(found: Comparison, options: ReportOptions, chosen: Selected) -> ReportOptions:
    """The project is all that the run root holds: what failed, and what was tried before."""
    from simplify.compare.checklist import checklist

    return replace(options, checklist=checklist(found, chosen.store.runs()))
