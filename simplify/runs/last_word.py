"""A place for why a run failed where its own folder cannot take it: the folder is gone, or the disk is full.

It is made when the run begins, with room to spare: what lies within a file can be overwritten on a full disk.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.runs.files import read_json

_ROOM = 4096  # bytes
_LONGEST = 1500  # characters of a message


@dataclass(frozen=True)
class LastWord:
    """The file of one run of a Slurm array."""

    path: Path

    @property
    def begun(self) -> bool:
        """Whether the run has begun on a node."""
        return self.path.exists()

    def make_room(self) -> None:
        """At the run's start; takes an earlier start's word away."""
        with contextlib.suppress(OSError):
            self._write("")

    def say(self, facts: Mapping[str, Any]) -> None:
        """Keep error.json's facts, cut to the room there is."""
        kept = {"cause": facts["cause"], "message": str(facts["message"])[:_LONGEST]}
        with contextlib.suppress(OSError):
            self._write(json.dumps(kept))

    def read(self) -> dict[str, Any] | None:
        """What was said, if anything."""
        with contextlib.suppress(OSError):
            if not self.path.read_bytes().strip():  # made room, and had nothing to say
                return None
        facts = read_json(self.path) or {}
        return facts if all(isinstance(facts.get(name), str) for name in ("cause", "message")) else None

    def _write(self, text: str) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(handle, text.encode().ljust(_ROOM), 0)
        finally:
            os.close(handle)
