"""What a report is asked to show, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simplify.compare.checklist import Answer
from simplify.compare.look import Look
from simplify.compare.shared import Asked
from simplify.compare.speed import Speed
from simplify.compare.tables import PaperNumbers


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
    command: str = ""  # that asked for the report
    speed: Speed | None = None  # what benches have measured of these blocks
    labels: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()  # of the tables for papers, by their keys; empty: the usual ones
    look: Look = field(default_factory=Look)  # of the figures
    checklist: Sequence[Answer] = ()  # what reviewers ask; empty: not wanted
