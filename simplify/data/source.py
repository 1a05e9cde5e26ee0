"""What a source of documents is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simplify.data.splits import Split


@dataclass(frozen=True)
class Survey:
    """What a look at all documents found, before any of them is tokenised."""

    source: Source  # without what has to be left out
    held_out: str  # how the documents to validate on were chosen
    left_out: dict[str, int]  # by reason
    notes: tuple[str, ...] = ()
    whole: bool = True  # a document is in one split, not its parts in both
    by_name: bool = False  # and files say which


class Source(Protocol):
    """Where documents come from. Iterating twice gives the same documents in the same order."""

    def key(self) -> str:
        """Text that changes when the documents may have changed; cheap."""
        ...

    def origin(self) -> str:
        """The files that stand for a corpus of the hub: their folder, then what changes when they do. "": none do."""
        ...

    def size(self, split: Split) -> int:
        """Number of places for documents in a split: some may be empty, or belong to the other split."""
        ...

    def mean_bytes(self) -> int:
        """Bytes of a training document, roughly."""
        ...

    def survey(self, beat: Callable[[str], None]) -> Survey:
        """Look at everything once, calling `beat` now and then. Raises DataError for what is no text."""
        ...

    def documents(self, split: Split, first: int = 0, end: int | None = None) -> Iterator[str]:
        """The texts of one split at the places first..end-1."""
        ...


def file_key(root: Path, files: tuple[str, ...], val_fraction: float) -> str:
    """Where files lie, their names, sizes and times."""
    lines = [f"{name} {s.st_size} {s.st_mtime_ns}" for name in files for s in [(root / name).stat()]]
    return "\n".join([str(root), str(val_fraction), *lines])
