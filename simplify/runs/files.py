"""Small files that are whole or absent, and what a full disk means."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simplify.errors import RunFolderError, TrainingFailed

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BROKEN = (errno.EIO, errno.EROFS, errno.ESTALE)


def write_whole(path: Path, text: str, sync: bool = True) -> None:
    """Write aside, reach the disk, rename: a reader sees the old file or the new one, never a part.

    Without `sync` only a power cut can leave a part; a thousand files at once are then a matter of
    milliseconds.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(aside, "w", encoding="utf-8") as out:
            out.write(text)
            if sync:
                out.flush()
                os.fsync(out.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """`data` as readable JSON, whole or absent. NaN is written as null: JSON has none."""
    write_whole(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in `path`, or None where the file is missing or not whole."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """What cannot be written below `root` becomes a RunFolderError of one line: dispatching loses nothing."""
    try:
        yield
    except OSError as error:
        known = error.errno in (*FULL, *BROKEN, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR)
        if not known:
            raise
        raise RunFolderError(
            f"{root}: cannot be written: {error.strerror or error}; nothing is lost: make space or repair it, then run "
            "the same command again"
        ) from None


def storage_failure(error: OSError, folder: Path) -> TrainingFailed | None:
    """The intended error for a write below `folder` that failed; None if this is something else."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        saved = any((folder / "checkpoint").glob("*.json"))  # written last: with it a checkpoint is whole
        kept = "the last good checkpoint is intact: " if saved else ""
        return TrainingFailed("disk_full", f"{folder}: {reason}; {kept}make space, then run the same command again")
    below = error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(folder)
    if not below and error.errno not in BROKEN:
        return None
    return TrainingFailed(
        "storage", f"{folder}: cannot be written: {reason}; repair it, then run the same command again"
    )
