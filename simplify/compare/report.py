"""A report over runs: one page, figures for paper, the table in three forms, all numbers as JSON. Written from run
folders alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simplify.compare.benched import colours_of
from simplify.compare.comparison import Comparison, Row
from simplify.compare.draw import FORMATS, Look, draw_panels, problems_of
from simplify.compare.figures import (
    LOSSES,
    MOST_CURVES,
    MOST_PRINTED,
    gain_panels,
    gap_panel,
    loss_panel,
    printed_loss,
    states_table,
)
from simplify.compare.finals import final_panel
from simplify.compare.forms import markdown
from simplify.compare.latex import latex_table
from simplify.compare.notes import notes_of
from simplify.compare.page import Section, Table, write_page
from simplify.compare.panels import Panel
from simplify.compare.scaling import scaling_panel
from simplify.compare.shared import Asked, said_first
from simplify.compare.speed import Speed, remarks, speed_table
from simplify.compare.speed_chart import draw_speed
from simplify.compare.tables import PaperNumbers, rows_of
from simplify.runs.files import read_json, write_json, write_whole
from simplify.runs.shapes import Manifest

_MANIFEST = "report.json"
_OVERVIEW = "overview"  # of two panels, for the screen: PNG alone


@dataclass(frozen=True)
class FigureWish:
    """A figure beyond loss and gap: `final` against the setting `x`, `gains` of the layers, or `scaling` in `x`."""

    kind: str
    x: str = ""
    by: str = "block"
    of: tuple[str, ...] = ()
    log_x: bool | None = None
    log_y: bool | None = None


@dataclass(frozen=True)
class ReportOptions:
    """How the answer is shown."""

    title: str
    question: Sequence[str] = ()  # in paragraphs
    asked: Sequence[Asked] = ()  # the sweeps among what was selected
    x: str = "step"
    figures: Sequence[FigureWish] = ()
    paper: PaperNumbers | None = None
    unstarted: Sequence[str] = ()  # runs that nothing knows but the sweep
    about: str = ""  # what was selected, when and from what code
    speed: Speed | None = None  # what benches have measured of these blocks
    labels: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()  # of the tables for papers, by their keys; empty: the usual ones
    look: Look = field(default_factory=Look)  # of the figures


@dataclass
class Drawn:
    """The parts of a report as they come up."""

    printed: dict[str, list[Panel]] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # figures that could not be drawn


@dataclass(frozen=True)
class Written:
    """What a report came to: its files, and what could not be drawn."""

    files: list[Path]
    problems: list[str]


def write_report(found: Comparison, options: ReportOptions, out: Path) -> Written:
    """Write everything into `out`, and take away what an earlier report left there.

    Raises OSError, also where a file of that name is there which no report wrote.
    """
    out.mkdir(parents=True, exist_ok=True)
    drawn = _draw(found, options)
    rows, notes = rows_of(found, options.paper), notes_of(found, options.paper)
    printed = rows_of(found, options.paper, keys=options.columns) if options.columns else rows
    heads = said_first(found, options.asked)
    tex, problems = latex_table(found, [*heads, *notes], options.columns, options.look.width, options.paper)
    problems += problems_of(options.look, {variant.label for variant in found.variants})
    sections = [
        *_question(options),
        Section("Answer", "\n\n".join(heads), [Table("", rows, notes)]),
        *drawn.sections,
        *_speed(options),
        *_left(found, options),
    ]
    earlier = set((read_json(out / _MANIFEST, Manifest) or {}).get("files", []))
    files = [out / "index.html", out / "table.md", out / "table.tex"]
    pictures = {name: [out / f"{name}{suffix}" for suffix in _suffixes(name)] for name in drawn.printed}
    if options.speed is not None:
        pictures["speed"] = [out / f"speed{suffix}" for suffix in FORMATS]
    files += [path for paths in pictures.values() for path in paths]
    names = [path.name for path in files]
    _refuse_strangers(out, names, earlier)
    _keep_numbers(out, found, options, [*names, *sorted(earlier - set(names))])  # first: a half report can be replaced
    write_page(sections, options.title, options.about, files[0])
    write_whole(files[1], markdown(printed, [*heads, *notes]))
    write_whole(files[2], tex)
    for name, panels in drawn.printed.items():
        draw_panels(panels, "", pictures[name], options.look.width if len(panels) == 1 else None, options.look)
    if options.speed is not None:
        for path in pictures["speed"]:
            draw_speed(options.speed, path, colours=colours_of(found, options.speed))
    for name in earlier - set(names):
        if name == Path(name).name:
            (out / name).unlink(missing_ok=True)
    _keep_numbers(out, found, options, names)
    return Written([*files, out / _MANIFEST], [*drawn.problems, *problems])


def _question(options: ReportOptions) -> list[Section]:
    """The question under its heading, which says the word already."""
    text = "\n\n".join(options.question).removeprefix("Question: ")
    return [Section("Question", text)] if text else []


def _suffixes(name: str) -> Sequence[str]:
    return FORMATS[:1] if name == _OVERVIEW else FORMATS


def _refuse_strangers(out: Path, names: Sequence[str], ours: set[str]) -> None:
    """What no report wrote is not written over."""
    wanted = [*names, *([] if ours else [_MANIFEST])]  # ours names files, always
    foreign = [name for name in wanted if name not in ours and (out / name).exists()]
    if foreign:
        raise FileExistsError(f"it holds {foreign[0]}, which no report wrote")


def _keep_numbers(out: Path, found: Comparison, options: ReportOptions, names: Sequence[str]) -> None:
    rows = [numbers(row) for row in found.rows]
    told = {"title": options.title, "about": options.about, "margin": found.margin, "files": list(names)}
    told |= {"said_first": said_first(found, options.asked), "sweeps": [asdict(sweep) for sweep in options.asked]}
    write_json(out / _MANIFEST, {**told, "rows": rows})


def _draw(found: Comparison, options: ReportOptions) -> Drawn:
    drawn = Drawn()
    logs = (options.look.log_x, options.look.log_y)
    losses = [loss_panel(found, metric, options.x, logs) for metric in LOSSES]
    losses = [panel for panel in losses if panel.curves or any(view.curves for view in panel.views)]
    gap = gap_panel(found, MOST_CURVES)
    hidden = len(found.variants) - MOST_CURVES
    text = f"The first {MOST_CURVES} variants; {hidden} more are in the table alone." if hidden > 0 else ""
    if len(found.variants) > MOST_PRINTED:
        text = f"{text} The figures for paper show the first {MOST_PRINTED}.".strip()
    if losses:
        drawn.sections.append(Section("Loss", text, (), [*losses, *([gap] if gap else [])]))
        printed = [printed_loss(found, metric, options.x, logs) for metric in LOSSES]
        drawn.printed["loss"], drawn.printed["training_loss"] = [printed[0]], [printed[1]]
        paper_gap = gap_panel(found, MOST_PRINTED)
        if paper_gap:
            drawn.printed["gap"] = [paper_gap]
            drawn.printed[_OVERVIEW] = [printed[0], paper_gap]
    for wish in options.figures:
        _add_figure(drawn, found, wish, options.labels)
    return drawn


def _add_figure(drawn: Drawn, found: Comparison, wish: FigureWish, labels: Mapping[str, str]) -> None:
    if wish.kind == "gains":
        panels = gain_panels(found, wish.of)
        if not panels:
            drawn.problems.append(f"figure gains{'=' if wish.of else ''}{','.join(wish.of)}: no run has such a gain")
        else:
            drawn.sections.append(Section("Gains of the layers", "", (), panels))
            drawn.printed["gains"] = panels
        return
    table: list[list[str]] = []
    if wish.kind == "scaling":
        panel, table = scaling_panel(found, wish.x or "parameters", wish.log_x, wish.log_y, labels)
    else:
        panel = final_panel(found, wish.x, wish.by, wish.log_x, wish.log_y, labels)
    if panel is None:
        drawn.problems.append(f"figure {wish.kind}={wish.x}: no finished run has a number of its own there")
        drawn.sections.append(
            Section(f"{wish.kind} against {wish.x}", "No finished run has a number of its own there.")
        )
        return
    drawn.sections.append(Section(panel.title, "", [Table("", table)] if table else (), [panel]))
    drawn.printed[panel.key.replace(".", "_")] = [panel]


def _speed(options: ReportOptions) -> list[Section]:
    """What `simplify bench` has measured of these blocks; unlike the runs' own speed, side by side and interleaved."""
    if options.speed is None:
        return []
    notes = [*remarks(options.speed), *options.speed.footnotes]
    return [Section("Speed", options.speed.told, [Table("", speed_table(options.speed), notes)])]


def _left(found: Comparison, options: ReportOptions) -> list[Section]:
    rows = states_table(found.unfinished, options.unstarted)
    if len(rows) == 1:
        return []
    text = "Not in the final losses. Of these, diverged runs are censored: no number stands for them."
    return [Section("Runs without a result", text, [Table("", rows)])]


def numbers(row: Row) -> dict[str, Any]:
    """A row for programs."""
    gap, costs = row.gap, row.variant.costs
    return {
        "variant": row.variant.name,
        "block": row.variant.block,
        "baseline": row.base.name if row.base else None,
        "runs": {run.run_id: run.state for run in row.variant.runs},
        "loss": None if row.loss is None else {"mean": row.loss[0], "sd": row.loss[1]},
        "losses": {run.run_id: run.last.get("val/loss") for run in row.variant.done},
        "verdict": row.verdict,
        "difference": None if gap is None else {**vars(gap)},
        "parameters": costs.parameters if costs else None,
        "training_flops_a_token": costs.training_flops if costs else None,
        "tokens_per_sec_ratio": None if row.speed is None else {**vars(row.speed)},
        "speed_of": None if row.speed is None else "bench" if row.benched else "runs side by side",
        "peak_mem_ratio": None if row.memory is None else {**vars(row.memory)},
        **{
            f"{name}_to_baseline_ratio": None if part is None else {**vars(part)}
            for name, part in (
                ("steps", row.reach.step if row.reach else None),
                ("seconds", row.reach.seconds if row.reach else None),
            )
        },
        "diverged": len(row.variant.diverged),
    }
