"""Documents: (name, text) pairs from the standard library, a folder, or a Hugging Face data set."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simplify.config import DataConfig
from simplify.data.files import LocalFiles
from simplify.data.splits import Split, held_out
from simplify.errors import DataError


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

    def documents(self, split: Split, first: int = 0, end: int | None = None) -> Iterator[str]:
        """The texts of one split at the places first..end-1."""
        ...


@dataclass(frozen=True)
class FolderSource:
    """Text files below a folder, split by a stable hash of their relative names."""

    root: Path
    files: tuple[str, ...]
    val_fraction: float

    def key(self) -> str:
        lines = [f"{name} {s.st_size} {s.st_mtime_ns}" for name in self.files for s in [(self.root / name).stat()]]
        return "\n".join([str(self.root), str(self.val_fraction), *lines])

    def origin(self) -> str:
        return ""

    def size(self, split: Split) -> int:  # noqa: ARG002 - each file belongs to one split, told by its name
        return len(self.files)

    def mean_bytes(self) -> int:
        return sum((self.root / name).stat().st_size for name in self.files) // len(self.files)

    def documents(self, split: Split, first: int = 0, end: int | None = None) -> Iterator[str]:
        for name in self.files[first:end]:
            if held_out(name, self.val_fraction) == (split == "val") and (text := self._read(name)):
                yield text

    def _read(self, name: str) -> str:
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise DataError(
                f"data.path={self.root}: {name} cannot be read: {error.strerror}; make it readable, or leave it out by "
                "data.pattern"
            ) from None


def open_source(config: DataConfig, files: LocalFiles | None = None) -> Source:
    """The source that `data.source` names. Raises DataError if it is missing or empty.

    `files` stand for a data set of the hub, or for a corpus that is on no hub.
    """
    if config.source in ("hub", "files"):
        from simplify.data.hub import HubSource

        return HubSource(config, files)
    if files is not None:
        raise DataError(
            f"--from {files.folder}: has no meaning with data.source={config.source}; valid: data.path=DIR for text, "
            "--from for a corpus that would come from the hub"
        )
    if config.source == "stdlib":
        return _stdlib(config)
    root = Path(str(config.path)).expanduser()
    if not root.is_dir():
        raise DataError(f"data.path={config.path}: no such folder; valid: an existing folder of text files")
    try:
        found = [p.relative_to(root) for p in root.glob(str(config.pattern)) if p.is_file()]
    except (NotImplementedError, ValueError) as error:
        raise DataError(
            f"data.pattern={config.pattern}: {error}; valid: a pattern relative to data.path, as in **/*.md"
        ) from None
    names = tuple(sorted(p.as_posix() for p in found))
    if not any((root / name).stat().st_size for name in names):
        raise DataError(
            f"data.pattern={config.pattern}: {len(names)} files below data.path={config.path}, none with text in "
            "it; valid: a pattern that matches text files, as in **/*.md"
        )
    return FolderSource(root.resolve(), names, config.val_fraction)


def _stdlib(config: DataConfig) -> FolderSource:
    """The running interpreter's library without tests, which some systems leave out."""
    root = Path(sysconfig.get_paths()["stdlib"]).resolve()
    skip = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__", "lib-dynload"}
    files: list[str] = []
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if name not in skip)
        here = Path(folder).relative_to(root)
        files += [(here / name).as_posix() for name in names if name.endswith(".py")]
    if not files:
        raise DataError(f"data.source=stdlib: no Python files in {root}; use your own text: data=text data.path=DIR")
    return FolderSource(root, tuple(sorted(files)), config.val_fraction)
