"""GLUE's examples: the tab-separated files of its own download, or the hub's format.

GLUE/CoLA/train.tsv, dev.tsv             no header: source, label, mark, sentence
GLUE/MNLI/dev_matched.tsv, ...           a header in all other tasks; no quoting anywhere
GLUE/cola/train-00000-of-00001.parquet   a copy of the hub's `nyu-mll/glue`, in Parquet or Arrow files
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simplify.data.cache import cache_dir
from simplify.disk import expanded
from simplify.errors import DataError
from simplify.finetune.tasks import TASKS, GlueTask, Split

HUB = "nyu-mll/glue"
_TRAIN = Split("train", "train", "train")


@dataclass(frozen=True)
class Examples:
    """Texts with their labels."""

    texts: list[tuple[str, ...]]  # one text, or a pair
    labels: NDArray[np.int64] | NDArray[np.float32]  # a class, or the number to be predicted
    left_out: int = 0  # lines that had too few columns, as some of QQP's have

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class TaskData:
    """All of a task that is used: what is trained on, and what is measured on."""

    train: Examples
    validation: dict[str, Examples]  # by number of Table 2

    @property
    def fingerprint(self) -> str:
        """A hash of all texts and labels."""
        digest = hashlib.sha256()
        for part in (self.train, *self.validation.values()):
            for texts in part.texts:
                digest.update("\t".join(texts).encode("utf-8", "surrogateescape") + b"\n")
            digest.update(part.labels.tobytes())
        return digest.hexdigest()[:16]


class Source(Protocol):
    """Where examples come from."""

    said: str  # how the place was given, for what is told of it

    def examples(self, task: GlueTask, split: Split) -> Examples:
        """One split. Raises DataError."""
        ...


def prepared_folder() -> Path:
    """Where `simplify data prepare glue` keeps the tasks."""
    return cache_dir() / "glue"


def find_glue(given: str | None, tasks: Iterable[GlueTask] = tuple(TASKS.values())) -> Source:
    """What --glue names, else $SIMPLIFY_GLUE, else what was prepared here if it has `tasks`, else the hub's.

    Raises DataError.
    """
    told, prepared = os.environ.get("SIMPLIFY_GLUE"), prepared_folder()
    if given:
        return open_glue(given, f"--glue {given}")
    if told:
        return open_glue(str(expanded(told, "SIMPLIFY_GLUE")), f"SIMPLIFY_GLUE={told}")
    wanted = [task.name for task in tasks]
    here = [name for name in wanted if (prepared / name).is_dir()]
    if here == wanted:
        return open_glue(str(prepared), str(prepared))
    names, number = ",".join(here), "is" if len(here) == 1 else "are"
    alone = f", of the tasks only {names} {number} prepared here (task={names})" if here else ""
    return open_glue(HUB, f"--glue is not given{alone}; {HUB}")


def open_glue(name: str, said: str, option: str = "--glue") -> Source:
    """A folder of the GLUE download, one with a copy of the hub's data set, or a hub name. Raises DataError.

    What is told of errors begins with `said`; `option` is what the user gives to name another place.
    """
    folder = expanded(name, option)
    if folder.is_dir() and any((folder / task.folder / "train.tsv").is_file() for task in TASKS.values()):
        return _Download(folder, said)
    if not folder.is_dir() and (folder.is_absolute() or name.startswith((".", "~"))):
        raise DataError(
            f"{said}: no such folder; valid: a folder of the GLUE download, of a copy of {HUB}, or a hub name"
        )
    from simplify.finetune.hub import open_hub_glue

    return open_hub_glue(str(folder) if folder.is_dir() else name, said, option)


def read_task(source: Source, task: GlueTask) -> TaskData:
    """All of a task. Raises DataError where a part is missing, or has nothing in it."""
    train = source.examples(task, _TRAIN)
    return TaskData(train, {split.number: source.examples(task, split) for split in task.splits})


class _Download:
    """The folder that GLUE's own download makes."""

    def __init__(self, root: Path, said: str) -> None:
        self._root, self.said = root, said

    def examples(self, task: GlueTask, split: Split) -> Examples:
        """One of its files."""
        path = self._root / task.folder / f"{split.tsv}.tsv"
        try:
            lines = list(_cells(path))
        except OSError as error:
            raise DataError(
                f"{self.said}: {task.folder}/{path.name} cannot be read: {error.strerror}; valid: the GLUE download "
                f"with the task {task.name}"
            ) from None
        header = task.bare or (lines.pop(0)[1] if lines else ())
        missing = [name for name in (*task.texts, task.label) if name not in header]
        if missing or not lines:
            what = "is empty" if not header else f"has no column {missing[0]}" if missing else "has no examples"
            raise DataError(f"{path}: {what}; valid: the file of that name from the GLUE download, with labels")
        places = [list(header).index(name) for name in (*task.texts, task.label)]
        whole = [(number, cells) for number, cells in lines if len(cells) > max(places)]
        texts = [tuple(cells[place] for place in places[:-1]) for _, cells in whole]
        labels = [_label(cells[places[-1]], task, path, number) for number, cells in whole]
        numbers = np.array(labels, np.float32) if task.words is None else np.array(labels, np.int64)
        return Examples(texts, numbers, len(lines) - len(whole))


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, each with its number."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.rstrip("\r\n").split("\t")


def _label(written: str, task: GlueTask, path: Path, line: int) -> float:
    """A label as a number. Raises DataError where it is none of the task's."""
    if task.words is not None and written in task.words:
        return task.words.index(written)
    low, high = task.label_range
    with contextlib.suppress(ValueError):
        if task.words is None and low <= float(written) <= high:
            return float(written)
    valid = ", ".join(task.words or (f"a number from {low:g} to {high:g}",))
    raise DataError(f"{path}, line {line}: has the label {written!r}; valid: {valid}, as in the GLUE download")
