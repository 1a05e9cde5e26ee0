"""What the files of sweeps must hold to be used; see `simplify.runs.shapes`."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from simplify.runs.shapes import Id, Name, Shape


class RecordedRun(Shape):
    """A run in a sweep's record."""

    run_id: Id
    folder: Name
    point: dict[str, Any]


class SweepRecord(Shape):
    """A sweep's record (`simplify.sweep.record.Record`)."""

    name: Name
    file: str | None
    scale: str
    words: list[str]
    question: list[str]
    command: list[str]
    updated: str
    git: dict[str, Any] | None
    code: str
    snapshot: str | None
    runs: list[RecordedRun]


class PaperFile(Shape):
    """A sweep file of the paper, as it was composed (`simplify.sweep.paper.Asked`)."""

    model_config = ConfigDict(extra="forbid")
    file: str
    shown: list[str]
    question: str
    cost: str
    finding: str
    note: str
    hours: str | None
    marks: dict[str, list[str]]
    wrong: list[str]


class Paper(Shape):
    """CACHE/paper.json."""

    key: str
    asked: list[PaperFile]
