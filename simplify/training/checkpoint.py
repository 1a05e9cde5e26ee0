"""Checkpoints that survive kills, full disks and torn files.

    checkpoint/step-00000400.pt      the state, written aside, synced, renamed
    checkpoint/step-00000400.json    step, run id, size and SHA-256; written last

A checkpoint exists once its .json does and the .pt matches it. The newest two are kept, so a file
that is damaged later costs the steps since the one before.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from simplify.disk import named
from simplify.errors import RunFolderError
from simplify.runs.files import read_json, write_json

_KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read whole."""

    step: int
    state: dict[str, Any]


class _HashingFile:
    """A file for torch.save to write to: hashes on the way, and keeps the system's error.

    torch's zip writer reports any failed write as a RuntimeError without a cause.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        try:
            self._file.write(view)
        except OSError as error:
            self.error = self.error or error
            raise
        self.digest.update(view)
        self.size += len(view)
        return len(view)

    def flush(self) -> None:
        self._file.flush()


def save(folder: Path, run_id: str, step: int, state: dict[str, Any]) -> None:
    """Write the checkpoint of `step`; raises OSError with the earlier ones intact."""
    path = folder / f"step-{step:08d}.pt"
    aside = folder / f".{path.name}.writing"
    try:
        with named(aside), open(aside, "wb") as file:
            out = _HashingFile(file)
            try:
                torch.save(state, out)  # type: ignore[arg-type]
                file.flush()
            except (RuntimeError, OSError) as error:
                raise out.error or _as_os_error(error) from None
            os.fsync(file.fileno())
        aside.replace(path)
        facts = {"run": run_id, "step": step, "bytes": out.size, "sha256": out.digest.hexdigest()}
        write_json(path.with_suffix(".json"), facts)
    finally:
        aside.unlink(missing_ok=True)
    _prune(folder)


def _as_os_error(error: Exception) -> OSError:
    return error if isinstance(error, OSError) else OSError(errno.EIO, str(error))


def _prune(folder: Path) -> None:
    """Keep the newest two, and nothing that has no description."""
    whole = _steps(folder)
    for old in whole[:-_KEEP]:
        old.unlink(missing_ok=True)
        old.with_suffix(".pt").unlink(missing_ok=True)
    for data in folder.glob("step-*.pt"):
        if not data.with_suffix(".json").exists():
            data.unlink(missing_ok=True)


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.json"))


def newest(folder: Path, run_id: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint; a torn one is reported and the one before it used.

    Raises RunFolderError if a checkpoint is whole but belongs to another run.
    """
    for described in reversed(_steps(folder)):
        facts, data = read_json(described), described.with_suffix(".pt")
        if facts is not None and facts.get("run") != run_id:
            raise RunFolderError(
                f"{described}: is a checkpoint of run {facts.get('run')}, but this configuration is run {run_id}; "
                "remove it, or run with --force to start afresh"
            )
        if facts is None or not _matches(data, facts):
            warn(f"checkpoint: {data.name} is damaged and left out; using the one before")
            continue
        state = torch.load(data, map_location="cpu", weights_only=True)
        return Checkpoint(int(facts["step"]), state)
    return None


def _matches(path: Path, facts: dict[str, Any]) -> bool:
    try:
        if path.stat().st_size != facts["bytes"]:
            return False
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(1 << 24):
                digest.update(chunk)
    except (OSError, KeyError):
        return False
    return digest.hexdigest() == facts["sha256"]
