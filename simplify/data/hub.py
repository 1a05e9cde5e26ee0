"""Hugging Face data sets, from the hub or from local files in its formats (extra `simplify[hub]`)."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simplify.config import DataConfig
from simplify.data.files import FULL_DISK, LocalFiles, import_datasets
from simplify.data.source import Survey
from simplify.data.splits import SPLITS, Split, held_out, stretch
from simplify.display import tell
from simplify.errors import DataError

_FEW = 1000  # rows among which a held-out one may be missing by chance


class HubSource:
    """A data set with one text column; documents keep the order of a shuffle with seed 0.

    Where `files` is given, they are read and the hub is not asked; the corpus' place stays the same.
    """

    def __init__(self, config: DataConfig, files: LocalFiles | None = None) -> None:
        self._config = config
        self._files = files
        self._own_val = bool(self._files.val) if self._files else config.val_set is not None
        self._loaded: dict[Split, Any] = {}

    def key(self) -> str:
        fields = ("train_set", "val_set", "text_column", "max_documents", "max_val_documents", "val_fraction")
        lines = [f"{name}={getattr(self._config, name)}" for name in fields]
        if self._config.train_files is not None:
            lines.append(f"train_files={self._config.train_files}")
        if self._config.source == "files":
            lines.append(f"name={self._config.name}")
        for folder in (self._config.train_set, self._config.val_set):
            if folder and Path(folder).is_dir():
                files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
                lines += [f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files]
        return "\n".join(lines)

    def origin(self) -> str:
        return self._files.origin() if self._files else ""

    def size(self, split: Split) -> int:
        return len(self._rows(split))

    def mean_bytes(self) -> int:
        table = self._rows("train").data
        return table.nbytes // max(table.num_rows, 1)

    def documents(self, split: Split, first: int = 0, end: int | None = None) -> Iterator[str]:
        rows, fraction = self._rows(split), self._config.val_fraction
        chosen: Any = range(first, len(rows) if end is None else min(end, len(rows)))
        if not self._own_val and not self._in_stretches:
            chosen = [n for n in chosen if held_out(str(n), fraction) == (split == "val")]
        (column,) = rows.column_names
        for batch in rows.select(chosen).iter(batch_size=256):
            for text in batch[column]:
                part = stretch(text, fraction, split) if text and self._in_stretches else text
                if part:
                    yield part

    def survey(self, beat: Callable[[str], None]) -> Survey:
        """Count rows without text, and documents that are in both splits; these stay where the data set has them."""
        empty = sum(self._without_text(which) for which in (SPLITS if self._own_val else SPLITS[:1]))
        left_out = {**(self._files.left_out if self._files else {}), **({"rows without text": empty} if empty else {})}
        if self._in_stretches:
            share = f"{self._config.val_fraction:.3g}"
            return Survey(self, f"the last {share} of each", left_out, whole=False)
        held, copies = set[bytes](), 0
        for split in reversed(SPLITS):
            for number, text in enumerate(self.documents(split)):
                beat(f"looking at {split}, {number:,} documents")
                digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
                if split == "val":
                    held.add(digest)
                else:
                    copies += digest in held
        notes = (f"{copies:,} training documents are copies of held-out ones",) if copies else ()
        how = "by the data set's own split" if self._own_val else "by a hash of their numbers"
        return Survey(self, how, left_out, notes, by_name=self._own_val)

    @functools.cached_property
    def _in_stretches(self) -> bool:
        """Whether rows are so few that one split would have none: then the last part of each is held out."""
        count = 0 if self._own_val else len(self._rows("train"))
        if not 0 < count <= _FEW:
            return False
        return len({held_out(str(n), self._config.val_fraction) for n in range(count)}) == 1

    def _without_text(self, which: Split) -> int:
        rows = self._rows(which)
        (column,) = rows.column_names
        return sum(not text for batch in rows.iter(batch_size=1024) for text in batch[column])

    def _rows(self, split: Split) -> Any:
        """The text column of the data set that holds a split, shuffled and cut as configured; loaded once."""
        which: Split = split if self._own_val else "train"
        if which not in self._loaded:
            column = str((self._files and self._files.column) or self._config.text_column)
            rows, name = self._data_set(which, column)
            there = rows.column_names
            if self._files and there == [column] and rows.data.column(0).null_count == len(rows):
                there = self._files.columns()
            if column not in there:
                raise DataError(f"data.text_column={column}: not in {name}; valid: {', '.join(map(str, there))}")
            if getattr(rows.features[column], "dtype", None) not in ("string", "large_string"):
                raise DataError(f"data.text_column={column}: no text in {name}, but {rows.features[column]}")
            limit = self._config.max_documents if which == "train" else self._config.max_val_documents
            if limit is not None:
                rows = rows.shuffle(seed=0).select(range(min(limit, len(rows))))
            self._loaded[which] = rows.select_columns([column])
        return self._loaded[which]

    def _data_set(self, which: Split, column: str) -> tuple[Any, str]:
        """A data set and what it is called. Raises DataError where it cannot be had."""
        config = self._config
        if self._files is not None:
            with _told(f"--from {self._files.folder}", "look at the files"):
                return self._files.load(which, column), f"--from {self._files.folder}"
        if config.source == "files":
            raise DataError(
                f"data={config.name}: is on no hub and not on this machine; simplify data prepare {config.name} --from "
                "DIR makes it from files of yours"
            )
        setting = "train_set" if which == "train" else "val_set"
        name = str(getattr(config, setting))
        advice = f"check name and network, or use files that you have: simplify data prepare {config.name} --from DIR"
        tell(f"data: loading {name}")
        with _told(f"data.{setting}={name}", advice):
            datasets = import_datasets(offline=Path(name).is_dir())
            chosen = config.train_files if which == "train" else None
            splits: Any = datasets.load_dataset(name, data_files={"train": chosen} if chosen else None)
        wanted = ("train",) if which == "train" else ("validation", "test", "train")
        split = next((s for s in wanted if s in splits), next(iter(splits)))
        return splits[split], f"data.{setting}={name}"


@contextlib.contextmanager
def _told(what: str, advice: str) -> Iterator[None]:
    """What goes wrong while a data set is loaded, in one line."""
    if find_spec("datasets") is None:
        raise DataError(
            f"{what}: needs the datasets package; install the extra: pip install '.[hub]' in simplify's folder"
        )
    try:
        yield
    except Exception as error:  # the hub's client raises many kinds, for the network and for the name
        cause: BaseException | None = error
        first: BaseException = error
        while cause is not None:
            if isinstance(cause, DataError):  # which `datasets` wraps
                raise cause from None
            first = cause
            if isinstance(cause, OSError) and cause.errno in FULL_DISK:
                raise DataError(
                    f"{what}: no space for its Arrow copy: {cause.strerror}; make space, or set HF_HOME to a folder "
                    "with space, then run the same command again"
                ) from None
            cause = cause.__cause__ or cause.__context__
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        under = "" if first is error else " ".join(f": {type(first).__name__}: {first}".split())[:300]
        raise DataError(f"{what}: cannot be loaded: {reason}{under}; {advice}") from None
