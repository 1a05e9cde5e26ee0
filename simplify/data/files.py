"""A folder of files in the hub's formats: which of them are text, and which split each belongs to (extra `hub`).

Known: Parquet, JSON lines, JSON, Arrow streams and files, plain text (one document a file), JSON and text also packed,
and what `datasets` writes by save_to_disk.
"""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simplify.data.rows import PACKED, all_rows, columns
from simplify.data.splits import TEST_WORDS, VAL_WORDS, Split, by_names
from simplify.data.walk import walk
from simplify.disk import expanded
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
_PACKABLE = ("json", "text")  # Parquet and Arrow pack inside
_SAVED = "a saved data set"
# JSON files that lie beside data and are none.
_NO_DATA = re.compile(r"(tokenizer|special_tokens|added_tokens|vocab|config|dataset_info|state|dataset_dict).*\.json")


@dataclass(frozen=True)
class LocalFiles:
    """The files of a folder by split; `val` may be empty."""

    folder: Path
    kind: str
    train: tuple[str, ...]
    val: tuple[str, ...]
    left_out: dict[str, int] = field(default_factory=dict)  # by reason

    @property
    def column(self) -> str | None:
        """The column of the text where the format decides it."""
        return "text" if self.kind == "text" else None

    def origin(self) -> str:
        """The folder, then names, sizes and times of what is read."""
        saved = self.folder.rglob("*") if self.kind == _SAVED else ()
        names = sorted(str(p.relative_to(self.folder)) for p in saved) if saved else (*self.train, *self.val)
        paths = [self.folder / name for name in (*names, "tokenizer.json")]
        there = [(p, p.stat()) for p in paths if p.is_file()]
        return "\n".join([str(self.folder), *(f"{p} {at.st_size} {at.st_mtime_ns}" for p, at in there)])

    def load(self, split: Split, column: str) -> Any:
        """The data set of one split: all columns where `datasets` saved it, else the one alone, None where it is not.

        Raises whatever `datasets` raises, and from DataError.
        """
        datasets = import_datasets(offline=True)
        names = self.train if split == "train" else self.val
        if self.kind == _SAVED:
            saved = datasets.load_from_disk(str(self.folder))
            return saved[names[0]] if isinstance(saved, datasets.DatasetDict) else saved
        files = [(self.folder / name, (self.folder / name).stat()) for name in names]
        wanted = {
            "files": tuple((str(path), at.st_size, at.st_mtime_ns) for path, at in files),
            "kind": self.kind,
            "column": column,
        }
        features = datasets.Features({column: datasets.Value("large_string")})
        return datasets.Dataset.from_generator(all_rows, features=features, gen_kwargs=wanted)

    def columns(self) -> list[str]:
        """The names of the first file's columns."""
        return columns(self.folder / self.train[0], self.kind)

    def __str__(self) -> str:
        if self.kind == _SAVED:
            return f"{self.folder}: {_SAVED}, validation: {self.val[0] if self.val else 'a share of it'}"
        val = f"{len(self.val)} to validate on" if self.val else "a share of the documents to validate on"
        return f"{self.folder}: {self.kind}, {len(self.train)} files to train on, {val}"


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
    folder = expanded(folder, "--from")
    if not folder.is_dir():
        raise DataError(f"--from {folder}: no such folder; valid: a folder of Parquet, JSON lines, Arrow or text files")
    folder = folder.resolve()
    if (folder / "dataset_dict.json").is_file():
        return _saved_splits(folder)
    if (folder / "state.json").is_file():
        return LocalFiles(folder, _SAVED, ("train",), ())
    walked = walk(folder, f"--from {folder}", ("**",), lambda parts: _kind(parts[-1]) is not None)
    found = {name: kind for name in walked.names if (kind := _kind(name)) is not None}
    kinds = sorted(set(found.values()))
    if not kinds and "train.bin" in {Path(name).name for name in walked.others}:
        raise DataError(
            f"--from {folder}: train.bin holds tokens, as nanoGPT makes them, not text; give the text that they "
            "were made of, as in simplify train data=text data.path=input.txt"
        )
    if len(kinds) != 1:
        what = f"holds files of several formats ({', '.join(kinds)})" if kinds else "holds no data"
        raise DataError(
            f"--from {folder}: {what}; valid: files of one of {', '.join(_FORMATS)}, "
            f"text and JSON also with {', '.join(PACKED)}, or a folder written by datasets' save_to_disk"
        )
    named = by_names(list(found))
    left_out = {**walked.left_out, **({"test by name": len(named.test)} if named.test else {})}
    return LocalFiles(folder, kinds[0], named.train, named.val, left_out)


def _saved_splits(folder: Path) -> LocalFiles:
    names = json.loads((folder / "dataset_dict.json").read_text())["splits"]
    train = "train" if "train" in names else names[0]
    val = tuple(name for name in (*VAL_WORDS, *TEST_WORDS) if name in names and name != train)
    return LocalFiles(folder, _SAVED, (train,), val[:1])


def _kind(name: str) -> str | None:
    file = name.rsplit("/", 1)[-1].lower()
    packed = next((suffix for suffix in PACKED if file.endswith(suffix)), "")
    file = file.removesuffix(packed)
    kind = None if _NO_DATA.fullmatch(file) else _FORMATS.get(Path(file).suffix)
    return None if packed and kind not in _PACKABLE else kind
