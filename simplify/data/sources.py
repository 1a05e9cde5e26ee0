"""Opening what `data.source` names: the standard library, a folder of text, a data set in the formats of the hub."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from simplify.config import DataConfig
from simplify.data.files import LocalFiles
from simplify.data.folder import folder_source
from simplify.data.source import Source, Survey, file_key
from simplify.data.splits import Split, held_out
from simplify.errors import DataError


@dataclass(frozen=True)
class LibrarySource:
    """The Python files of the running interpreter's library, split by a stable hash of their relative names."""

    root: Path
    files: tuple[str, ...]
    val_fraction: float

    def key(self) -> str:
        return file_key(self.root, self.files, self.val_fraction)

    def origin(self) -> str:
        return ""

    def size(self, split: Split) -> int:  # noqa: ARG002 - each file belongs to one split, told by its name
        return len(self.files)

    def mean_bytes(self) -> int:
        return sum((self.root / name).stat().st_size for name in self.files) // len(self.files)

    def survey(self, beat: Callable[[str], None]) -> Survey:  # noqa: ARG002 - it is Python source, and no copies in it
        return Survey(self, "by a hash of their names", {})

    def documents(self, split: Split, first: int = 0, end: int | None = None) -> Iterator[str]:
        for name in self.files[first:end]:
            if held_out(name, self.val_fraction) == (split == "val") and (text := self._read(name)):
                yield text

    def _read(self, name: str) -> str:
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise DataError(f"data.source=stdlib: {self.root / name} cannot be read: {error.strerror}") from None


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
    return folder_source(config)


def _stdlib(config: DataConfig) -> LibrarySource:
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
    return LibrarySource(root, tuple(sorted(files)), config.val_fraction)
