"""GLUE as the hub has it, from there or from a folder with a copy (extra `simplify[hub]`)."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from simplify.data.files import import_datasets
from simplify.errors import DataError
from simplify.finetune.glue import HUB, Examples
from simplify.finetune.tasks import GlueTask, Split

_KINDS = ("parquet", "arrow")


def check_installed(said: str, instead: str = "") -> None:
    """Raises DataError where the extra is not installed."""
    if find_spec("datasets") is None:
        raise DataError(
            f"{said}: needs the datasets package; install the extra: pip install '.[hub]' in simplify's folder{instead}"
        )


def open_hub_glue(name: str, said: str, option: str) -> HubGlue:
    """The data set of that name, or the folder with a copy of it. Raises DataError where the extra is not installed."""
    check_installed(said, f", or give the folder of the GLUE download: {option} DIR")
    return HubGlue(name, said, option)


def write_split(path: Path, task: GlueTask, part: Examples) -> None:
    """Examples as a Parquet file of the hub's form. Raises OSError."""
    datasets = import_datasets(offline=False)
    columns: dict[str, Any] = dict(zip(task.hub_texts, map(list, zip(*part.texts, strict=True)), strict=True))
    with open(path, "wb") as out:
        datasets.Dataset.from_dict({**columns, "label": part.labels}).to_parquet(out)
        out.flush()
        os.fsync(out.fileno())


class HubGlue:
    """Columns by name, labels as numbers."""

    def __init__(self, name: str, said: str, option: str) -> None:
        self._name, self.said, self._option = name, said, option

    def examples(self, task: GlueTask, split: Split) -> Examples:
        """One split."""
        rows = self._load(task, split.hub)
        missing = [name for name in (*task.hub_texts, "label") if name not in rows.column_names]
        if missing:
            raise DataError(
                f"{self.said}: {task.name} has no column {missing[0]}; valid: the columns of nyu-mll/glue; found: "
                f"{', '.join(rows.column_names)}"
            )
        found = list(rows["label"])
        labels = np.array(found, dtype=np.float32) if task.words is None else np.array(found, dtype=np.int64)
        low, high = task.label_range
        if not found or not (labels.min() >= low and labels.max() <= high):
            raise DataError(f"{self.said}: {task.name} has no labels in {split.hub}; valid: a split with labels")
        columns = [list(rows[name]) for name in task.hub_texts]
        return Examples(list(zip(*columns, strict=True)), labels)

    def _load(self, task: GlueTask, split: str) -> Any:
        folder = Path(self._name)
        here = folder.is_dir()
        datasets = import_datasets(offline=here)
        try:
            if not here:
                return datasets.load_dataset(self._name, task.name, split=split)
            kind, files = _files(folder / task.name, split)
            return datasets.load_dataset(kind, data_files={split: files}, split=split)
        except Exception as error:  # the hub's client raises many kinds, for the network and for the name
            reason = " ".join(str(error).split())[:300]
            no_folder = "" if here or self._name == HUB else "no folder of that name here, and from the hub "
            look = "look at its files (simplify data prepare glue --check at those that it made)"
            raise DataError(
                f"{self.said}: {no_folder}{task.name} cannot be loaded: {type(error).__name__}: {reason}; "
                f"{look if here else 'check the name and the network'}, or give the folder of the GLUE download, or of "
                f"a copy of nyu-mll/glue: {self._option} DIR"
            ) from None


def _files(folder: Path, split: str) -> tuple[str, list[str]]:
    for kind in _KINDS:
        found = sorted([*folder.glob(f"{split}-*.{kind}"), *folder.glob(f"{split}.{kind}")])
        if found:
            return kind, [str(path) for path in found]
    raise FileNotFoundError(f"{folder}: has no {split}-*.parquet")
