"""What processes other than 0 said when they died."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simplify.runs.files import read_json
from simplify.runs.shapes import Rank


def rank_path(folder: Path, rank: int) -> Path:
    """Where process `rank` of a run says why it died."""
    return folder / "ranks" / f"{rank}.json"


def first_rank_error(folder: Path) -> dict[str, Any] | None:
    """error.json's facts of the process that died first; None where none has said anything."""
    said = [data for path in (folder / "ranks").glob("*.json") if (data := read_json(path, Rank))]
    first = min(said, key=lambda data: data.get("at", 0.0), default=None)
    return None if first is None else {key: value for key, value in first.items() if key != "at"}
