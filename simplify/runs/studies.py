"""Tuned sweeps as lanes and jobs see them: whose runs they train, when one may go on, and what holds it back.

<run root>/.sweeps/<name>.study.json       what was asked for, frozen (`simplify.sweep.study`)
<run root>/.sweeps/<name>.decisions.jsonl  which runs were added, and the numbers that were gone by
<run root>/.sweeps/<name>.held             it was cancelled: nothing is begun until somebody asks again
<run root>/.sweeps/<name>.stuck            why the last step came to nothing, in a line

Nothing here decides. It tells, from the ids and folders of the runs that were added, whether it is worth asking.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Container, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.locks import PATIENCE, held
from simplify.runs.facts import read_facts
from simplify.runs.files import read_json, take_away, write_whole
from simplify.runs.folder import now
from simplify.runs.folders import folder_of

_STUDY, _DECISIONS = ".study.json", ".decisions.jsonl"


@dataclass(frozen=True)
class Added:
    """A run that a study has asked for."""

    run_id: str
    folder: str  # its name in the run root
    line: tuple[int, str]  # the study's number and the block that it is tried for: what advances together


def study_path(root: Path, name: str) -> Path:
    """What a tuned sweep was asked for, frozen."""
    return root / ".sweeps" / f"{name}{_STUDY}"


def decisions_path(root: Path, name: str) -> Path:
    """Its decisions, a line each."""
    return root / ".sweeps" / f"{name}{_DECISIONS}"


def study_names(root: Path) -> list[str]:
    """The tuned sweeps of a run root."""
    return sorted(path.name.removesuffix(_STUDY) for path in (root / ".sweeps").glob(f"*{_STUDY}"))


def is_study(root: Path, name: str | None) -> bool:
    """Whether a sweep is a tuned one."""
    return name is not None and study_path(root, name).exists()


def alone(root: Path, name: str, patience: float = PATIENCE) -> AbstractContextManager[None]:
    """Alone with a study: for whoever decides, or holds it back. Raises as `simplify.locks.held` does."""
    return held(root / ".locks" / f"study-{name}.lock", f"{name}: the tuned sweep", patience)


def added_runs(root: Path, name: str) -> list[Added]:
    """The runs that a study has asked for so far; a line that a crash has torn is none."""
    try:
        lines = decisions_path(root, name).read_bytes().splitlines()
    except OSError:
        return []
    found: list[Added] = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):
            for one in json.loads(line)["added"]:
                _, study, arm, *_ = one["trial"]
                found.append(Added(str(one["run_id"]), str(one["folder"]), (int(study), str(arm))))
    return found


def due(root: Path, run_id: str) -> Iterator[str]:
    """The studies that may go on now that this run has ended: no other run of the same block is still to come."""
    for name in study_names(root):
        added = added_runs(root, name)
        lines = {one.line for one in added if one.run_id == run_id}
        others = [one for one in added if one.line in lines and one.run_id != run_id]
        if lines and not is_held(root, name) and all(_is_over(root, one) for one in others):
            yield name


def _is_over(root: Path, run: Added) -> bool:
    """Whether a run has come to an end, good or bad."""
    facts = read_facts(folder_of(root, run.run_id, run.folder).path)
    return facts.done is not None or facts.error is not None or facts.cancelled


def code_of(root: Path, name: str) -> str | None:
    """The folder of the code that a study was asked with; None where that cannot be read."""
    code = (read_json(study_path(root, name)) or {}).get("code")
    return code if isinstance(code, str) else None


def hold(root: Path, name: str) -> None:
    """Begin nothing more of a study until somebody asks again. Waits for its lock."""
    with alone(root, name):
        write_whole(_held(root, name), f"{now()}\n")


def release(root: Path, name: str) -> None:
    """Let a study go on."""
    take_away(_held(root, name))


def retire(root: Path, name: str) -> None:
    """Set a study aside, if there is one: its sweep is asked for without tuning now. Its runs stay."""
    if not is_study(root, name):
        return
    with alone(root, name):
        for path in (study_path(root, name), decisions_path(root, name)):
            with contextlib.suppress(FileNotFoundError):
                path.rename(path.with_name(f"{path.name}.{time.time_ns()}.old"))
        release(root, name)
        note_stuck(root, name, "")


def is_held(root: Path, name: str) -> bool:
    """Whether nothing of a study is to be begun."""
    return _held(root, name).exists()


def _held(root: Path, name: str) -> Path:
    return root / ".sweeps" / f"{name}.held"


def note_stuck(root: Path, name: str, why: str) -> None:
    """Keep why the last step came to nothing; empty: it did not."""
    path = root / ".sweeps" / f"{name}.stuck"
    with contextlib.suppress(OSError):  # the disk may be full for this too
        if why:
            write_whole(path, " ".join(why.split()) + "\n", sync=False)
        elif path.exists():
            take_away(path)


def why_stuck(root: Path, name: str) -> str:
    """Why the last step came to nothing; empty where it did not."""
    try:
        return (root / ".sweeps" / f"{name}.stuck").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def answers_in(root: Path) -> frozenset[str]:
    """The runs to whose tuned sweeps a loss that is no number is an answer: training again comes to the same."""
    return frozenset(one.run_id for name in study_names(root) for one in added_runs(root, name))


def is_answer(run_id: str, error: Mapping[str, Any] | None, answers: Container[str]) -> bool:
    """Whether the failure of a run is what its tuned sweep asked for."""
    return run_id in answers and (error or {}).get("cause") == "non_finite"
