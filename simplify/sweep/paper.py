"""The figures and tables of arXiv 2311.01906: the sweep files that ask for them, and which of their runs are there.

Composing all those runs takes seconds, so what the files came to is kept in CACHE/paper.json until a file, a YAML
of ours or the user's, or our code changes. Runs are told by their identity with the corpus' description in place of
its fingerprint: so runs count that were trained on another machine, and nothing has to be tokenised here to tell.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simplify.choices import conf_dir, overlay_dir, sweeps_dir
from simplify.config import RunConfig, validate
from simplify.data.cache import cache_dir
from simplify.errors import ConfigError
from simplify.runs.code import code_hash
from simplify.runs.files import read_json, write_json
from simplify.runs.identity import identity
from simplify.runs.store import RunView
from simplify.sweep.record import PAPER
from simplify.sweep.shapes import Paper

_NAME = re.compile(r"(fig|table)(\d+(?:_\d+)*)(?:_|$)")
_WORDS = {"fig": "Fig", "table": "Table"}
# What a corpus is made of, whatever it came to; settings that are identity's own are there already.
_CORPUS = ("source", "path", "pattern", "train_set", "max_documents", "tokeniser")


@dataclass(frozen=True)
class Asked:
    """One sweep file: its header, and the runs that it comes to."""

    file: str  # its name in sweeps/paper/
    shown: tuple[str, ...]  # the figures or tables that it draws, as in Fig 17
    question: str
    cost: str
    finding: str
    note: str
    hours: str | None  # how long a run takes in the paper, where it says so
    marks: Mapping[str, tuple[str, ...]]  # what tells each run, by scale
    wrong: tuple[str, ...]  # points that are no runs, and why


def paper_dir() -> Path:
    """The folder of the paper's sweep files."""
    return sweeps_dir() / "paper"


def asked_for() -> list[Asked]:
    """The sweep files of the paper in its order: figures, then tables."""
    files = sorted(path for path in paper_dir().glob("*.yaml") if _NAME.match(path.stem))
    kept, key = cache_dir() / "paper.json", _key(files)
    ours = (read_json(kept) or {}).get("key") == key  # another version's is none of ours, and not damaged
    data = read_json(kept, Paper) if ours else None
    if data is None:
        data = {"key": key, "asked": [asdict(_read(path)) for path in files]}
        with contextlib.suppress(OSError):  # then they are composed again
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_json(kept, data)
    return [Asked(**one) for one in data["asked"]]


def _key(files: Iterable[Path]) -> str:
    """Hash of everything that the answer depends on."""
    digest = hashlib.sha256(code_hash().encode())
    folders = [folder for folder in (conf_dir(), overlay_dir(None)) if folder]
    for path in (*files, *(path for folder in folders for path in sorted(folder.rglob("*.yaml")))):
        digest.update(f"\0{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> Asked:
    from simplify.sweep.file import header_parts, read_sweep

    match, parts = _NAME.match(path.stem), header_parts(path)
    assert match is not None
    shown = tuple(f"{_WORDS[match[1]]} {int(number)}" for number in match[2].split("_"))
    question, cost, finding, note = (parts.get(word, "") for word in ("question", "cost", "expectation", "note"))
    hours: str | None = None
    marks: dict[str, tuple[str, ...]] = {}
    wrong: dict[str, None] = {}  # a file that is no sweep does not hide the others
    try:
        file = read_sweep(path)
        hours = file.report.paper.hours if file.report.paper else None
        for scale in (PAPER, *file.scales):
            marks[scale], problems = _marks(file.at(scale))
            wrong |= dict.fromkeys(problems)
    except ConfigError as error:
        wrong |= dict.fromkeys(error.lines)
    return Asked(path.name, shown, question, cost, finding, note, hours, marks, tuple(wrong))


def _marks(size: Any) -> tuple[tuple[str, ...], list[str]]:
    """What tells each run of a sweep at one size, repetitions merged, and what is wrong with points that are none."""
    from simplify.compose import compose_points
    from simplify.sweep.points import points_of

    configs = compose_points(points_of(size, {}))
    runs = dict.fromkeys(mark_of(config) for config in configs if isinstance(config, RunConfig))
    return tuple(runs), [line for config in configs if isinstance(config, ConfigError) for line in config.lines]


def mark_of(config: RunConfig) -> str:
    """What tells a run, whatever its corpus came to."""
    return _mark(identity(config, ""), config.data.model_dump(mode="json"))


def _mark(told: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    corpus = {name: data.get(name) for name in _CORPUS}
    text = json.dumps({**told, "data": {**told["data"], "corpus": corpus}}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def states_of(runs: Iterable[RunView], marks: Mapping[str, str | None]) -> dict[str, str]:
    """The state of each run by what tells it; of two that are told by the same, the finished one's."""
    found: dict[str, str] = {}
    for run in runs:
        mark = marks[run.run_id]
        if mark is not None and found.get(mark) != "done":
            found[mark] = run.state
    return found


def mark_of_view(run: RunView) -> str | None:
    """What tells a run that is there; None where nobody can tell any more what was trained."""
    told, config = run.about.get("identity"), run.config
    if isinstance(told, dict) and "data" in told and "data" in config:
        return _mark(told, config["data"])
    try:
        return mark_of(validate(RunConfig, config)) if config else None
    except ConfigError:
        return None
