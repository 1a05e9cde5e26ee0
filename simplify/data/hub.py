"""Hugging Face data sets, from the hub or from a local folder in its formats (extra `simplify[hub]`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simplify.config import DataConfig
from simplify.data.sources import Split, held_out
from simplify.errors import DataError


class HubSource:
    """A data set with one text column; documents keep the order of a shuffle with seed 0."""

    def __init__(self, config: DataConfig) -> None:
        self._config = config
        self._loaded: dict[str, Any] = {}

    def key(self) -> str:
        fields = ("train_set", "val_set", "text_column", "max_documents", "max_val_documents", "val_fraction")
        lines = [f"{name}={getattr(self._config, name)}" for name in fields]
        for folder in (self._config.train_set, self._config.val_set):
            if folder and Path(folder).is_dir():
                files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
                lines += [f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files]
        return "\n".join(lines)

    def count(self) -> int:
        total = len(self._rows("train_set"))
        return total + len(self._rows("val_set")) if self._config.val_set else total

    def documents(self, split: Split) -> Iterator[str]:
        own = self._config.val_set is not None
        rows = self._rows("val_set" if own and split == "val" else "train_set")
        for index, text in enumerate(_texts(rows)):
            if text and (own or held_out(str(index), self._config.val_fraction) == (split == "val")):
                yield text

    def _rows(self, which: str) -> Any:
        """The text column of one data set, shuffled and cut as configured; loaded once."""
        if which not in self._loaded:
            name = getattr(self._config, which)
            splits = _load(which, name)
            wanted = ("validation", "test", "train") if which == "val_set" else ("train",)
            split = next((s for s in wanted if s in splits), next(iter(splits)))
            rows, column = splits[split], self._config.text_column
            if column not in rows.column_names:
                raise DataError(
                    f"data.text_column={column}: not in data.{which}={name}; valid: {', '.join(rows.column_names)}"
                )
            limit = self._config.max_documents if which == "train_set" else self._config.max_val_documents
            if limit is not None:
                rows = rows.shuffle(seed=0).select(range(min(limit, len(rows))))
            self._loaded[which] = rows.select_columns([column])
        return self._loaded[which]


def open_hub(config: DataConfig) -> HubSource:
    """The source for `data.source=hub`. Raises DataError where the extra is not installed."""
    from importlib.util import find_spec

    if find_spec("datasets") is None:
        raise DataError(
            "data.source=hub: needs the datasets package; install the extra: pip install '.[hub]' in simplify's folder"
        )
    return HubSource(config)


def _load(which: str, name: str) -> Any:
    if Path(name).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # or `datasets` asks the network about local files
    import datasets

    try:
        return datasets.load_dataset(name)
    except Exception as error:  # the hub's client raises many kinds, for the network and for the name
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"data.{which}={name}: cannot be loaded: {type(error).__name__}: {reason}; "
            "check the name and the network, or give a local folder in the hub's formats"
        ) from None


def _texts(rows: Any) -> Iterator[str]:
    (column,) = rows.column_names
    for batch in rows.iter(batch_size=256):
        yield from batch[column]
