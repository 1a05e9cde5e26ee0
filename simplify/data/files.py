"""A folder of files in the hub's formats: which of them are text, and which split each belongs to (extra `hub`).

Known: Parquet, JSON lines, JSON, Arrow streams and files, plain text (one document a file), JSON and text also packed,
and what `datasets` writes by save_to_disk.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.data.splits import Split
from simplify.display import is_terminal
from simplify.errors import DataError

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORMATS = {
    ".parquet": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".arrow": "arrow",
    ".txt": "text",
}
_PACKED = (".gz", ".zst", ".bz2", ".xz")
_PACKABLE = ("json", "text")  # Parquet and Arrow pack inside
_SAVED = "a saved data set"
_VAL_WORDS = ("validation", "valid", "val", "dev")
# JSON files that lie beside data and are none.
_NO_DATA = re.compile(r"(tokenizer|special_tokens|added_tokens|vocab|config|dataset_info|state|dataset_dict).*\.json")
_OPTIONS: dict[str, dict[str, Any]] = {"text": {"sample_by": "document", "encoding_errors": "replace"}}


@dataclass(frozen=True)
class LocalFiles:
    """The files of a folder by split; `val` may be empty."""

    folder: Path
    kind: str
    train: tuple[str, ...]
    val: tuple[str, ...]

    @property
    def column(self) -> str | None:
        """The column of the text where the format decides it."""
        return "text" if self.kind == "text" else None

    def origin(self) -> str:
        """The folder, then names, sizes and times of what is read."""
        paths = sorted(p for p in self.folder.rglob("*") if p.is_file())
        return "\n".join([str(self.folder), *(f"{p} {s.st_size} {s.st_mtime_ns}" for p in paths for s in [p.stat()])])

    def load(self, split: Split) -> Any:
        """The data set of one split. Raises whatever `datasets` raises."""
        datasets = import_datasets(offline=True)
        names = self.train if split == "train" else self.val
        with _file_named():
            return self._load(datasets, names, split)

    def _load(self, datasets: Any, names: Sequence[str], split: Split) -> Any:
        if self.kind == _SAVED:
            saved = datasets.load_from_disk(str(self.folder))
            return saved[names[0]] if isinstance(saved, datasets.DatasetDict) else saved
        paths = [glob.escape(str(self.folder / name)) for name in names]
        return datasets.load_dataset(self.kind, data_files={split: paths}, split=split, **_OPTIONS.get(self.kind, {}))

    def __str__(self) -> str:
        if self.kind == _SAVED:
            return f"{self.folder}: {_SAVED}, validation: {self.val[0] if self.val else 'a share of it'}"
        val = f"{len(self.val)} to validate on" if self.val else "a share of the documents to validate on"
        return f"{self.folder}: {self.kind}, {len(self.train)} files to train on, {val}"


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _file_named() -> Iterator[None]:
    """`datasets` logs which file it cannot read, and raises an error that does not say so: here that says it."""
    log, heard = logging.getLogger("datasets"), _Heard()
    before = list(log.handlers)
    log.handlers[:] = [heard]
    try:
        yield
    except Exception as error:
        if not heard.lines:
            raise
        raise ValueError(re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", heard.lines[-1])) from error
    finally:
        log.handlers[:] = before


def import_datasets(offline: bool) -> Any:
    """The library, with its bars on a terminal alone. `offline`: only local files are wanted."""
    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # or it asks the network about local files
    quiet_hub()
    import datasets

    if not is_terminal():
        datasets.disable_progress_bars()
    return datasets


def quiet_hub() -> None:
    """Let the hub's client say nothing while it tries again, and draw bars on a terminal alone; before its import."""
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if not is_terminal():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def local_files(folder: Path) -> LocalFiles:
    """What lies in `folder`. Raises DataError where that is nothing, or of several formats."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise DataError(f"--from {folder}: no such folder; valid: a folder of Parquet, JSON lines, Arrow or text files")
    folder = folder.resolve()
    if (folder / "dataset_dict.json").is_file():
        return _saved_splits(folder)
    if (folder / "state.json").is_file():
        return LocalFiles(folder, _SAVED, ("train",), ())
    found = {name: kind for name in _names(folder) if (kind := _kind(name)) is not None}
    kinds = sorted(set(found.values()))
    if len(kinds) != 1:
        what = f"holds files of several formats ({', '.join(kinds)})" if kinds else "holds no data"
        raise DataError(
            f"--from {folder}: {what}; valid: files of one of {', '.join(_FORMATS)}, "
            f"text and JSON also with {', '.join(_PACKED)}, or a folder written by datasets' save_to_disk"
        )
    named = any(_says(name, ("train",)) for name in found)  # else a name such as test.txt means nothing
    val = tuple(name for name in found if named and _says(name, _VAL_WORDS))
    train = tuple(name for name in found if name not in val and not (named and _says(name, ("test",))))
    return LocalFiles(folder, kinds[0], train, val)


def _saved_splits(folder: Path) -> LocalFiles:
    names = json.loads((folder / "dataset_dict.json").read_text())["splits"]
    train = "train" if "train" in names else names[0]
    val = tuple(name for name in (*_VAL_WORDS, "test") if name in names and name != train)
    return LocalFiles(folder, _SAVED, (train,), val[:1])


def _names(folder: Path) -> list[str]:
    """Files below a folder, in order; none that is hidden."""
    paths = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return sorted(p.as_posix() for p in paths if not any(part.startswith(".") for part in p.parts))


def _kind(name: str) -> str | None:
    file = name.rsplit("/", 1)[-1]
    packed = next((suffix for suffix in _PACKED if file.endswith(suffix)), "")
    file = file.removesuffix(packed)
    kind = None if _NO_DATA.fullmatch(file) else _FORMATS.get(Path(file).suffix)
    return None if packed and kind not in _PACKABLE else kind


def _says(name: str, words: tuple[str, ...]) -> bool:
    """Whether one of `words` is a word of a file's name or of its folders'."""
    return bool(set(re.split(r"[^a-z]+", name.lower())) & set(words))
