"""Files that are whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from simplify.disk import named


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that is written aside, reaches the disk and is renamed: whole or absent."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with named(aside), open(aside, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that has ended was writing."""
    for left in folder.glob(".*"):
        left.unlink(missing_ok=True)
