"""What a lane says of a run whose process has ended without saying it itself."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass, replace
from pathlib import Path

from simplify.errors import Interrupted, UserError
from simplify.runs.folder import RunFolder
from simplify.runs.state import read_facts

_LAST_LINES = 20
_STOPPED = (Interrupted.exit_code, 130, -signal.SIGINT, -signal.SIGTERM)


@dataclass(frozen=True)
class Watched:
    """A run's process, as its lane saw it."""

    folder: RunFolder
    log_size: int  # bytes in log.txt before this attempt
    error_mark: int | None  # tells an error.json of this attempt from an older one
    code: int | None = None  # None: it could not be started, or was another lane's child
    problem: str | None = None

    @classmethod
    def begin(cls, folder: RunFolder) -> Watched:
        """Before the process is started."""
        return cls(folder, _size(folder.log), _mark(folder))

    def ended(self, code: int | None, problem: str | None = None) -> Watched:
        """The same with how it ended."""
        return replace(self, code=code, problem=problem)


def judge(watched: Watched) -> bool:
    """Whether the run has failed in this attempt. Writes error.json where the run could not."""
    folder = watched.folder
    if folder.done() is not None:
        return False
    if _mark(folder) != watched.error_mark and folder.error() is not None:
        return True
    if watched.code in _STOPPED:
        return False
    if watched.code is None and watched.problem is None:
        return False  # an orphan that went without a word: lost
    with contextlib.suppress(OSError):  # a full disk: then its absence says "lost", and log.txt the rest
        folder.end("error", _facts(watched))
    return True


def _facts(watched: Watched) -> dict[str, object]:
    lines = _tail(watched.folder.log, watched.log_size)
    said = [line.removeprefix("simplify: ") for line in lines if line.startswith("simplify: ")]
    if watched.problem is not None:
        return {"cause": "refused", "message": watched.problem, "traceback": []}
    code = watched.code or 0
    if code < 0:
        name = signal.Signals(-code).name
        why = "; the system does this when memory runs out" if name == "SIGKILL" else ""
        facts = read_facts(watched.folder.path)
        at = "" if facts.attempt else " before its first step"
        return {"cause": "killed", "message": f"its process was ended by {name}{at}{why}", "traceback": lines}
    if code == UserError.exit_code and said:
        return {"cause": "refused", "message": " ".join(said), "traceback": []}
    message = said[-1] if said else f"its process ended with code {code}: {lines[-1] if lines else 'it said nothing'}"
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
