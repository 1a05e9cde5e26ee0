"""What a program reads in place of a table: one JSON object a command, with the name and version of its schema.

A version is raised when a field goes or changes its meaning; a field that is new raises none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simplify.display.streams import tell

VERSION = 1  # of every schema so far
_answered = False


def answer(verb: str, data: Mapping[str, Any]) -> None:
    """Print `data` as the answer of `verb`, with `{"schema": "simplify.VERB/1"}` before it."""
    global _answered
    _answered = True
    told = {"schema": f"simplify.{verb}/{VERSION}", **plain(data)}
    tell(json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False, default=str))


def answer_file(verb: str, path: Path) -> None:
    """The same of what a verb has written as JSON, with the file's own path."""
    answer(verb, {**json.loads(path.read_text(encoding="utf-8")), "file": str(path)})


def answer_error(lines: Sequence[str], exit_code: int) -> None:
    """Print why there is no answer; nothing where the answer was given before."""
    if not _answered:
        answer("error", {"lines": list(lines), "exit_code": exit_code})


def begin_answers() -> None:
    """A command begins, and has answered nothing."""
    global _answered
    _answered = False


def plain(data: Any) -> Any:
    """The same with null in place of numbers that JSON does not have."""
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
