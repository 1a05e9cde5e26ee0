"""The sections of a report's page, from the question to the runs, and the figures for paper with them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from simplify.compare.checklist import checklist_table
from simplify.compare.comparison import Comparison
from simplify.compare.figures import (
    LOSSES,
    MOST_CURVES,
    MOST_PRINTED,
    gain_panels,
    gap_panel,
    loss_panel,
    measure_panels,
    printed_loss,
    states_table,
)
from simplify.compare.finals import final_panel
from simplify.compare.names import without_maths
from simplify.compare.notes import notes_of
from simplify.compare.options import FigureWish, ReportOptions
from simplify.compare.page import Section, Table
from simplify.compare.panels import Panel
from simplify.compare.runs_table import runs_section
from simplify.compare.scaling import scaling_panel
from simplify.compare.speed import remarks, speed_table
from simplify.compare.tables import chosen_columns
from simplify.compare.tuned_figures import tuning_panels
from simplify.compare.tuned_tables import tuning_tables
from simplify.compare.wording import renamed, words_of

OVERVIEW = "overview"  # of two panels, for the screen: PNG alone
_COSTS = ("parameters", "flops", "speed", "memory", "steps", "seconds")  # columns of a table of their own
_TUNING = ("sensitivity", "basin", "trials", "hours")  # and of another one, of a tuned comparison


@dataclass
class Drawn:
    """The parts of a report as they come up."""

    printed: dict[str, list[Panel]] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # figures that could not be drawn
    wished: list[Panel] = field(default_factory=list)  # beyond loss and gap
    labels: Mapping[str, str] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)  # by which a label can name a text of the figures

    def called(self, panels: Sequence[Panel]) -> list[Panel]:
        """The panels with their axes and titles as the labels call them."""
        self.words |= {word for panel in panels for word in words_of(panel)}
        return [renamed(panel, self.labels) for panel in panels]


def sections_of(found: Comparison, options: ReportOptions, drawn: Drawn, heads: Sequence[str]) -> list[Section]:
    """All of the page, in order; `heads` is what has to be said before any number."""
    return [
        *_question(options),
        Section("Answer", "\n\n".join(heads), _tables(found, options)),
        *drawn.sections,
        *_speed(options),
        *_left(found, options),
        runs_section(found),
        *([Section("Checklist", "", [checklist_table(options.checklist)])] if options.checklist else []),
        *([Section("Made by", options.command)] if options.command else []),
    ]


def _tables(found: Comparison, options: ReportOptions) -> list[Table]:
    """What it costs stands below how well it learns: one table of both is wider than a screen."""
    columns = chosen_columns(found, options.paper, ())
    groups = {title: [c for c in columns if c.key in keys] for title, keys in (("Tuning", _TUNING), ("Costs", _COSTS))}
    apart = [column for some in groups.values() for column in some]
    parts = {"Loss": [column for column in columns[1:] if column not in apart], **groups}
    tables = [
        Table(title, [[c.head for c in some], *([c.cell(row) for c in some] for row in found.rows)])
        for title, own in parts.items()
        if own and (some := [columns[0], *own])
    ]
    tables = [replace(tables[0], title="")] if len(tables) == 1 else tables
    return [*tables[:-1], replace(tables[-1], notes=notes_of(found, options.paper))]


def _question(options: ReportOptions) -> list[Section]:
    """The question under its heading, which says the word already."""
    text = "\n\n".join(options.question).removeprefix("Question: ")
    return [Section("Question", text)] if text else []


def drawn_of(found: Comparison, options: ReportOptions) -> Drawn:
    """The figures of the page and those for paper."""
    drawn = Drawn(labels=options.labels)
    logs = (options.look.log_x, options.look.log_y)
    losses = [loss_panel(found, metric, options.x, logs) for metric in LOSSES]
    losses = [panel for panel in losses if panel.curves or any(view.curves for view in panel.views)]
    gap = gap_panel(found, MOST_CURVES)
    hidden = len(found.variants) - MOST_CURVES
    text = f"The first {MOST_CURVES} variants; {hidden} more are in the table alone." if hidden > 0 else ""
    if len(found.variants) > MOST_PRINTED:
        text = f"{text} The figures for paper show the first {MOST_PRINTED}.".strip()
    if losses:
        drawn.sections.append(Section("Loss", text, (), drawn.called([*losses, *([gap] if gap else [])])))
        printed = drawn.called([printed_loss(found, metric, options.x, logs) for metric in LOSSES])
        drawn.printed["loss"], drawn.printed["training_loss"] = [printed[0]], [printed[1]]
        paper_gap = gap_panel(found, MOST_PRINTED)
        if paper_gap:
            drawn.printed["gap"] = drawn.called([paper_gap])
            drawn.printed[OVERVIEW] = [printed[0], *drawn.printed["gap"]]
    tuning = {name: drawn.called(panels) for name, panels in tuning_panels(found).items()}
    if found.tuning is not None:
        told, panels = "Each block's settings were chosen on seeds of their own.", [*itertools.chain(*tuning.values())]
        drawn.sections.insert(0, Section("Tuning", told, tuning_tables(found), panels))
        drawn.printed |= tuning
    measures = drawn.called(measure_panels(found, options.x))
    if measures:
        drawn.sections.append(Section("Training", "", (), measures))
    for wish in options.figures:
        _add_figure(drawn, found, wish)
    return drawn


def _add_figure(drawn: Drawn, found: Comparison, wish: FigureWish) -> None:
    if wish.kind == "gains":
        panels = drawn.called(gain_panels(found, wish.of))
        if not panels:
            drawn.problems.append(f"figure gains{'=' if wish.of else ''}{','.join(wish.of)}: no run has such a gain")
        else:
            drawn.sections.append(Section("Gains of the layers", "", (), panels))
            drawn.printed["gains"] = panels
        return
    table: list[list[str]] = []
    if wish.kind == "scaling":
        panel, table = scaling_panel(found, wish.x or "parameters", wish.log_x, wish.log_y, drawn.labels)
    else:
        panel = final_panel(found, wish.x, wish.by, wish.log_x, wish.log_y, drawn.labels)
    if panel is None:
        drawn.problems.append(f"figure {wish.kind}={wish.x}: no finished run has a number of its own there")
        drawn.sections.append(
            Section(f"{wish.kind} against {wish.x}", "No finished run has a number of its own there.")
        )
        return
    same = sum(panel.key == other.key.rpartition("--")[0] or panel.key == other.key for other in drawn.wished)
    panel = replace(panel, key=f"{panel.key}--{same + 1}") if same else panel  # the same once more in another look
    drawn.wished.append(panel)
    (panel,) = drawn.called([panel])
    drawn.sections.append(Section(without_maths(panel.title), "", [Table("", table)] if table else (), [panel]))
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
