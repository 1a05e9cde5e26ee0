"""What sets two runs apart: settings, code, machine, attempts, and the step at which their losses part.

Everything is told from the two run folders; what a folder does not have is said and not compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simplify.runs.code import patch_path
from simplify.runs.folder import RunFolder

ABSENT: Any = object()  # stands for a fact that one of the runs does not have
APART = 0.01  # relative difference of two losses that is no rounding any more
# Settings that are no part of a run's identity (simplify/runs/identity.py): labels, machine, cadence, W&B.
_NO_IDENTITY = ("cluster", "wandb", "run_root", "block.name", "model.name", "data.name")
_TRAIN_NO_IDENTITY = ("micro_batch", "log_every", "val_every", "checkpoint_every", "checkpoint_minutes")
_BESIDE = (*_NO_IDENTITY, *(f"train.{name}" for name in (*_TRAIN_NO_IDENTITY, "device", "compile", "compile_mode")))
# Of the settings of the data these count themselves; the others only by the corpus they come to.
_DATA = ("data.vocab_size", "data.packing", "data.seed")


@dataclass(frozen=True)
class Item:
    """A fact that is not the same in both runs; ABSENT where one does not have it."""

    key: str
    first: Any
    second: Any


@dataclass(frozen=True)
class Code:
    """The code of both runs. `same` is None where a run did not note its code's hash."""

    same: bool | None
    hashes: tuple[str | None, str | None]
    items: Sequence[Item]  # commit, dirty, patch
    patches: tuple[Path | None, Path | None]  # the file of each run's patch, where it was kept


@dataclass(frozen=True)
class Point:
    """A step and both runs' training loss there, in nats a token; None where it was no finite number."""

    step: int
    first: float | None
    second: float | None


@dataclass(frozen=True)
class Final:
    """The last validation loss of a run, in nats a token. `done`: the run is finished."""

    step: int
    value: float
    done: bool


@dataclass(frozen=True)
class Losses:
    """Where the training losses part, over the steps that both runs logged."""

    shared: int  # how many steps both logged
    differ: Point | None  # the first step at which they are not the same number
    apart: Point | None  # the first at which they are more than APART of the larger one away from each other
    final: tuple[Final | None, Final | None]


@dataclass(frozen=True)
class Difference:
    """All that differs. None: cannot be said, since a file is missing."""

    same_settings: bool | None
    settings: Sequence[Item]  # can change the result
    beside: Sequence[Item]  # cannot
    code: Code
    environment: Sequence[Item] | None
    attempts: tuple[Sequence[int], Sequence[int]]  # the step at which each attempt began
    losses: Losses
    missing: tuple[Sequence[str], Sequence[str]]  # what a run folder does not have, in words


@dataclass(frozen=True)
class _Run:
    """What was read from a run folder."""

    folder: RunFolder
    settings: dict[str, Any] | None
    facts: dict[str, Any]  # run.json
    starts: tuple[int, ...]
    rows: Mapping[int, dict[str, Any]]
    missing: tuple[str, ...]


def difference(first: RunFolder, second: RunFolder) -> Difference:
    """Compare two runs, from their files alone."""
    one, two = _read(first), _read(second)
    known = one.settings is not None and two.settings is not None
    settings, beside = _settings(one, two) if known else ([], [])
    return Difference(
        same_settings=not settings if known else None,
        settings=settings,
        beside=beside,
        code=_code(one, two),
        environment=list(_differing(_environment(one), _environment(two))) if one.facts and two.facts else None,
        attempts=(one.starts, two.starts),
        losses=_losses(one, two),
        missing=(one.missing, two.missing),
    )


def _read(folder: RunFolder) -> _Run:
    missing: list[str] = []
    settings = _yaml(folder.path / "config.yaml")
    if settings is None:
        missing.append("config.yaml is missing or cannot be read: settings are not compared")
    facts = folder.about()
    if not facts:
        missing.append("run.json is missing or cannot be read: code and environment are not compared")
    attempts = folder.attempts()
    if not attempts:
        missing.append("job.json is missing or cannot be read: its attempts are not known")
    try:
        rows = {row["step"]: row for row in folder.rows()}
    except OSError as error:
        rows = {}
        missing.append(f"metrics.jsonl cannot be read: {error.strerror or error}")
    else:
        if not rows:
            missing.append("metrics.jsonl holds no steps: nothing was logged")
    starts = tuple(attempt.get("from_step", 0) for attempt in attempts)
    return _Run(folder, settings, facts, starts, rows, tuple(missing))


def _yaml(path: Path) -> dict[str, Any] | None:
    """The settings in a config.yaml."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one, where there is one, is ten times as fast
    try:
        data = yaml.load(path.read_bytes(), loader)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return data if isinstance(data, dict) else None


def _differing(first: Mapping[str, Any], second: Mapping[str, Any], before: str = "") -> Iterator[Item]:
    """What differs, by full key. Members of a union that are not of one kind have no keys to compare: whole."""
    for name in dict.fromkeys([*first, *second]):
        one, two = first.get(name, ABSENT), second.get(name, ABSENT)
        groups = isinstance(one, dict) and isinstance(two, dict)
        if groups and not (before and one.get("kind") != two.get("kind")):
            yield from _differing(one, two, f"{before}{name}.")
        elif one is ABSENT or two is ABSENT or one != two:
            yield Item(f"{before}{name}", one, two)


def _settings(one: _Run, two: _Run) -> tuple[list[Item], list[Item]]:
    """The settings that differ: those that can change the result, and the others."""
    items = list(_differing(one.settings or {}, two.settings or {}))
    ids = (one.facts.get("id"), two.facts.get("id"))
    if ids[0] and ids[0] == ids[1]:  # two spellings of one run
        return [], items
    corpora = tuple(_corpus(run) for run in (one, two))
    same_corpus = corpora[0] is not None and corpora[0] == corpora[1]
    beside = [item for item in items if is_beside(item.key, same_corpus)]
    settings = [item for item in items if item not in beside]
    if None not in corpora and not same_corpus:
        settings.append(Item("corpus (fingerprint)", *corpora))
    return settings, beside


def is_beside(key: str, same_corpus: bool) -> bool:
    """Whether a setting cannot change a run's result; `same_corpus`: both runs read the same tokens."""
    if same_corpus and key.startswith("data.") and key not in _DATA:
        return True
    return any(key == name or key.startswith(f"{name}.") for name in _BESIDE)


def _corpus(run: _Run) -> str | None:
    identity = run.facts.get("identity")
    data = identity.get("data") if isinstance(identity, dict) else None
    return data.get("corpus") if isinstance(data, dict) else None


def _code(one: _Run, two: _Run) -> Code:
    hashes = (one.facts.get("code"), two.facts.get("code"))
    items = list(_differing(_git(one), _git(two))) if one.facts and two.facts else []
    return Code(hashes[0] == hashes[1] if all(hashes) else None, hashes, items, (_patch(one), _patch(two)))


def _git(run: _Run) -> dict[str, Any]:
    state = run.facts.get("git")
    return state if isinstance(state, dict) else {}


def _patch(run: _Run) -> Path | None:
    """The file of the run's patch, if it was kept."""
    path = patch_path(run.folder.path.parent, str(_git(run).get("patch")))
    return path if path.is_file() else None


def _environment(run: _Run) -> dict[str, Any]:
    names = ("versions", "host", "platform", "device")
    return {name: run.facts[name] for name in names if name in run.facts}


def _losses(one: _Run, two: _Run) -> Losses:
    shared = sorted(one.rows.keys() & two.rows.keys())
    pairs = [(step, one.rows[step], two.rows[step]) for step in shared]
    key = "train/loss"
    points = [Point(step, _number(a[key]), _number(b[key])) for step, a, b in pairs if key in a and key in b]
    differ = next((point for point in points if point.first != point.second), None)
    apart = next((point for point in points if _far(point)), None)
    return Losses(len(points), differ, apart, (_final(one), _final(two)))


def _far(point: Point) -> bool:
    first, second = point.first, point.second
    if first is None or second is None:
        return first is not second
    return abs(first - second) > APART * max(abs(first), abs(second))


def _final(run: _Run) -> Final | None:
    """What done.json says; of a run that is not finished, its last validation."""
    done = run.folder.done()
    for row in [done, *reversed([*run.rows.values()])]:
        value = _number((row or {}).get("val/loss"))
        if row is not None and value is not None:
            return Final(int(row.get("step", 0)), value, done is not None)
    return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
