"""The tasks of GLUE as data (arXiv 1804.07461): where their texts and labels stand, and what is measured.

WNLI is left out, as in the paper. Labels have the numbers of the hub's `nyu-mll/glue`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simplify.config import nearest
from simplify.errors import ConfigError

_SCORES = (0.0, 5.0)  # how similar two sentences of STS-B are
MetricName = Literal["mcc", "f1", "pearson", "accuracy"]


@dataclass(frozen=True)
class Split:
    """One of a task's files: a number of the paper's Table 2 where it is a validation split."""

    number: str  # the column of the table, as in mnli-mm
    tsv: str  # the file's name without .tsv
    hub: str  # the split's name on the hub


@dataclass(frozen=True)
class GlueTask:
    """One task."""

    name: str  # as on the hub
    folder: str  # as in the GLUE download
    metric: MetricName
    texts: tuple[str, ...]  # columns of the TSV files: one text, or the two of a pair
    hub_texts: tuple[str, ...]
    label: str  # column of the TSV files
    words: tuple[str, ...] | None  # the labels as they are written there; None: a number to be predicted
    bare: tuple[str, ...] | None = None  # columns where the TSV files have no header
    validation: tuple[Split, ...] = ()

    @property
    def splits(self) -> tuple[Split, ...]:
        """What is measured after training."""
        return self.validation or (Split(self.name, "dev", "validation"),)

    @property
    def label_range(self) -> tuple[float, float]:
        """The lowest and the highest label, as numbers."""
        return (0, len(self.words) - 1) if self.words else _SCORES

    @property
    def outputs(self) -> int:
        """Numbers that the head gives: one a class, or the one to be predicted."""
        return len(self.words) if self.words else 1


_PAIR, _ASKED = ("sentence1", "sentence2"), ("question", "sentence")
_BINARY, _FOLLOWS = ("0", "1"), ("entailment", "not_entailment")

_MNLI = GlueTask(
    name="mnli",
    folder="MNLI",
    metric="accuracy",
    texts=_PAIR,
    hub_texts=("premise", "hypothesis"),
    label="gold_label",
    words=("entailment", "neutral", "contradiction"),
    validation=(
        Split("mnli-m", "dev_matched", "validation_matched"),
        Split("mnli-mm", "dev_mismatched", "validation_mismatched"),
    ),
)
_QQP = GlueTask(
    name="qqp",
    folder="QQP",
    metric="f1",
    texts=("question1", "question2"),
    hub_texts=("question1", "question2"),
    label="is_duplicate",
    words=_BINARY,
)
_MRPC = GlueTask(
    name="mrpc",
    folder="MRPC",
    metric="f1",
    texts=("#1 String", "#2 String"),
    hub_texts=_PAIR,
    label="Quality",
    words=_BINARY,
)
_COLA = GlueTask(
    name="cola",
    folder="CoLA",
    metric="mcc",
    texts=("sentence",),
    hub_texts=("sentence",),
    label="label",
    words=_BINARY,
    bare=("source", "label", "mark", "sentence"),
)
_SST2 = GlueTask("sst2", "SST-2", "accuracy", ("sentence",), ("sentence",), "label", _BINARY)
_STSB = GlueTask("stsb", "STS-B", "pearson", _PAIR, _PAIR, "score", None)
_RTE = GlueTask("rte", "RTE", "accuracy", _PAIR, _PAIR, "label", _FOLLOWS)
_QNLI = GlueTask("qnli", "QNLI", "accuracy", _ASKED, _ASKED, "label", _FOLLOWS)

TASKS = {task.name: task for task in (_MNLI, _SST2, _STSB, _RTE, _QNLI, _QQP, _MRPC, _COLA)}
# The paper's nine numbers, in the order of its Table 2.
NUMBERS: tuple[str, ...] = tuple(split.number for task in TASKS.values() for split in task.splits)
TITLES = {
    **{split.number: task.folder for task in TASKS.values() for split in task.splits},
    "mnli-m": "MNLI-m",
    "mnli-mm": "MNLI-mm",
}


def chosen_tasks(word: str) -> list[GlueTask]:
    """The tasks that `task=` names: glue for all, or some with commas. Raises ConfigError."""
    if word == "glue":
        return list(TASKS.values())
    names = [name.strip().lower() for name in word.split(",")]
    for name in names:
        if name not in TASKS:
            raise ConfigError(
                f"task={word}: {nearest(name, TASKS)}valid: glue, or some of {', '.join(TASKS)} with commas"
            )
    return [task for name, task in TASKS.items() if name in names]
