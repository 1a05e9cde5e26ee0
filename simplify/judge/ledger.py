"""The ledger of a campaign: lines of JSON that anybody can read, each with the hash of the one before.

<run root>/.judge/<campaign>.jsonl    a line for each candidate, look and answer
<run root>/.judge/<campaign>.head     how many lines there are, and the hash of the last

A line that was changed, added or taken out breaks the chain, and one taken off the end does not fit the head. Whoever
writes both files anew can still lie; the hash of the last line is printed with each answer, to be noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simplify.errors import RunFolderError
from simplify.runs.files import read_json, write_json

FIRST = "0" * 64  # before the first line
_READINGS = 3


class Ledger:
    """One campaign's ledger. Reading verifies it; whoever appends holds the lock of all ledgers of the run root."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._head = path.with_suffix(".head")

    def read(self) -> list[dict[str, Any]]:
        """All lines. Raises RunFolderError where one does not follow from the one before."""
        problem = ""
        for again in range(_READINGS):  # without the lock a line may come between the head and the lines
            time.sleep(0.05 * again)
            head, texts = read_json(self._head), self._texts()
            lines, problem = _followed(texts)
            problem = problem or _against_head(texts, head, self._head.exists())
            if not problem:
                return lines
        raise self._broken(problem)

    def append(self, event: Mapping[str, Any]) -> None:
        """One more line, on the disk when this returns. Raises RunFolderError as `read`, OSError where it cannot be."""
        number = len(self.read()) + 1
        text = json.dumps({"line": number, "before": self.hash, **event}, ensure_ascii=False, allow_nan=False)
        self.path.parent.mkdir(exist_ok=True)
        with open(self.path, "ab") as out:
            out.truncate(sum(len(line) + 1 for line in self._texts()))  # what a writer that was killed had begun
            out.write(text.encode() + b"\n")
            out.flush()
            os.fsync(out.fileno())
        write_json(self._head, {"lines": number, "hash": _hash(text.encode())})

    @property
    def hash(self) -> str:
        """Of the last line."""
        texts = self._texts()
        return _hash(texts[-1]) if texts else FIRST

    def _texts(self) -> list[bytes]:
        """The lines that are whole: a last one without its end was never written."""
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    def _broken(self, what: str) -> RunFolderError:
        return RunFolderError(
            f"{self.path}: was changed: {what}; what it says is worth nothing now: restore both of its files from a "
            "copy, or begin another campaign with --campaign NAME"
        )


def _followed(texts: Sequence[bytes]) -> tuple[list[dict[str, Any]], str]:
    """The lines, and what is wrong with the first that does not follow from the one before."""
    lines, before = list[dict[str, Any]](), FIRST
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or line.get("line") != number or line.get("before") != before:
            return [], f"line {number} does not follow from line {number - 1}"
        lines.append(line)
        before = _hash(text)
    return lines, ""


def _against_head(texts: Sequence[bytes], head: Mapping[str, Any] | None, is_there: bool) -> str:
    """What does not fit the head, which is written after the line: one behind where a writer was killed."""
    if head is None and len(texts) < 2 and not is_there:
        return ""
    lines = (head or {}).get("lines")
    if not isinstance(lines, int) or not 0 < lines <= len(texts) <= lines + 1:
        return f"it has {len(texts)} lines, and its .head knows of {lines}"
    return "" if _hash(texts[lines - 1]) == (head or {}).get("hash") else f"line {lines} is not the one of its .head"


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
