"""What a lane says of a run whose process has ended: over, failed, or still to be trained."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from simplify.errors import Interrupted, UserError
from simplify.runs.facts import Facts, is_training, read_facts
from simplify.runs.folder import RunFolder

_LAST_LINES = 20
_STOPPED = (Interrupted.exit_code, 130, -signal.SIGINT, -signal.SIGTERM)
Verdict = Literal["over", "failed", "open"]


@dataclass(frozen=True)
class Watched:
    """A run's process, as its lane saw it."""

    folder: RunFolder
    log_size: int  # bytes in log.txt before this attempt
    error_mark: int | None  # tells an error.json of this attempt from an older one
    process: Mapping[str, Any] = field(default_factory=dict)  # its pid and birth; empty: it never came to be
    code: int | None = None  # None: it could not be started, or was no child of this lane
    problem: str | None = None
    cause: str = "refused"  # of the problem

    @classmethod
    def begin(cls, folder: RunFolder) -> Watched:
        """Before the process is started."""
        return cls(folder, _size(folder.log), _mark(folder))

    def ended(self, process: Mapping[str, Any], code: int | None = None, problem: str | None = None) -> Watched:
        """The same with how it ended."""
        return replace(self, process=process, code=code, problem=problem)

    def has_begun(self, facts: Facts) -> bool:
        """Whether the newest attempt is this process'."""
        attempt = facts.attempt or {}
        return bool(self.process) and all(attempt.get(key) == self.process.get(key) for key in ("pid", "born"))


def judge(watched: Watched) -> Verdict:
    """How a run stands whose process has ended. Writes error.json where the run could not; raises OSError.

    A run is over, or has failed, only where its folder says so. One that went without an attempt of its own,
    and that nobody else trains, is open: it has to wait on.
    """
    folder = watched.folder
    if folder.done() is not None:
        return "over"
    if _mark(folder) != watched.error_mark and folder.error() is not None:
        return "failed"
    if watched.problem is None and (watched.code is None or watched.code in _STOPPED):
        facts = read_facts(folder.path)
        return "over" if watched.has_begun(facts) or is_training(facts, folder.path) else "open"
    folder.end("error", _facts(watched))
    return "failed"


def _facts(watched: Watched) -> dict[str, object]:
    lines = _tail(watched.folder.log, watched.log_size)
    said = [line.removeprefix("simplify: ") for line in lines if line.startswith("simplify: ")]
    if watched.problem is not None:
        return {"cause": watched.cause, "message": watched.problem, "traceback": []}
    code = watched.code or 0
    if code < 0:
        name = signal.Signals(-code).name
        why = "; the system does this when memory runs out" if name == "SIGKILL" else ""
        at = "" if watched.has_begun(read_facts(watched.folder.path)) else " before its first step"
        return {"cause": "killed", "message": f"its process was ended by {name}{at}{why}", "traceback": lines}
    if code == UserError.exit_code and said:
        return {"cause": "refused", "message": " ".join(said), "traceback": []}
    last = f": {lines[-1]}" if lines else "; it said nothing"
    if code == 0:
        message = f"its process ended well (code 0), but done.json is not there, or not whole{last}"
        return {"cause": "no_result", "message": message, "traceback": lines}
    message = said[-1] if said else f"its process ended with code {code}{last}"
    return {"cause": "exception", "message": message, "traceback": lines}


def _tail(log: Path, start: int) -> list[str]:
    """The last lines that this attempt wrote."""
    try:
        with open(log, "rb") as file:
            file.seek(max(start, _size(log) - 64 * 1024))
            return file.read().decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
    except OSError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _mark(folder: RunFolder) -> int | None:
    try:
        return (folder.path / "error.json").stat().st_mtime_ns
    except OSError:
        return None
