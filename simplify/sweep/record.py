"""What a sweep has asked for: kept beside the run folders, so that it can be told what has changed since.

<run root>/.sweeps/<name>.json      the question, where it was asked, its runs, the code that trains them
<run root>/.code/<hash>-<commit>/   a copy of that code, with --snapshot
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from simplify.runs.files import read_json, write_json
from simplify.sweep.shapes import SweepRecord

PAPER = "paper"  # the scale that a sweep file itself describes


@dataclass(frozen=True)
class Recorded:
    """One run of a sweep."""

    run_id: str
    folder: str  # its name in the run root
    point: dict[str, Any]  # the settings that the sweep gave it


@dataclass(frozen=True)
class Record:
    """A sweep as it was last dispatched."""

    name: str
    file: str | None  # absolute; None where the axes were typed
    scale: str
    words: tuple[str, ...]  # typed beside the file
    question: tuple[str, ...]  # the file's header
    command: tuple[str, ...]
    updated: str
    git: dict[str, Any] | None
    code: str  # hash of the package's source
    snapshot: str | None  # folder of the copied code
    runs: tuple[Recorded, ...]


def record_name(file: Path | None, scale: str, words: Sequence[str]) -> str:
    """The name of a sweep: the same file, scale and words are the same sweep, however the file reads by now."""
    text = json.dumps([str(file.resolve()) if file else None, scale, sorted(words)])
    stem = "".join(c if c.isalnum() or c in "_-" else "-" for c in file.stem) if file else "typed"
    return f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def record_path(root: Path, name: str) -> Path:
    """The file of a sweep's record."""
    return root / ".sweeps" / f"{name}.json"


def write_record(root: Path, record: Record) -> None:
    """Keep a sweep's record."""
    path = record_path(root, record.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(record))


def read_record(path: Path) -> Record | None:
    """A record; None where there is none, or none of this version's."""
    data = read_json(path, SweepRecord)
    return _record(data) if data else None


def records(root: Path) -> list[Record]:
    """All sweeps of a run root, the one dispatched last at the end."""
    paths = [path for path in sorted((root / ".sweeps").glob("*.json")) if "." not in path.stem]  # X.study.json
    found = filter(None, map(read_record, paths))
    return sorted(found, key=lambda record: record.updated)


def records_of(root: Path, file: Path) -> list[Record]:
    """The sweeps of a file, at any scale and with any words."""
    return [record for record in records(root) if record.file == str(file.resolve())]


def command_of(record: Record) -> list[str]:
    """The words that ask for a sweep again."""
    if record.command[1:2] == ("judge",):
        return ["simplify", *record.command[1:]]
    words = [word for word in record.words if not word.startswith(("scale=", "run_root="))]
    scale = [f"scale={record.scale}"] if record.scale != PAPER else []
    return ["simplify", "sweep", *([record.file] if record.file else []), *scale, *words]


def dropped(record: Record | None, kept: set[str]) -> list[Recorded]:
    """Runs that the sweep asked for last time and does not any more."""
    return [run for run in record.runs if run.run_id not in kept] if record else []


def _record(data: Mapping[str, Any]) -> Record:
    known = {field.name: data[field.name] for field in fields(Record)}  # a later version may have written more
    lists = {key: tuple(data[key]) for key in ("words", "question", "command")}
    runs = tuple(Recorded(run["run_id"], run["folder"], run["point"]) for run in data["runs"])
    return Record(**{**known, **lists, "runs": runs})
