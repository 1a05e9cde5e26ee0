"""What `from simplify import ...` gives to notebooks and scripts: runs, and their models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from simplify.runs.folder import root_path
from simplify.runs.lookup import find_view
from simplify.runs.store import RunStore as Store
from simplify.runs.store import RunView

if TYPE_CHECKING:
    from simplify.training.trained import Trained


class Run(RunView):
    """One run: what its files tell, and its model."""

    @classmethod
    def of(cls, view: RunView) -> Run:
        """The same with a model."""
        return cls(**{field.name: getattr(view, field.name) for field in fields(RunView)})

    def load(self, device: str = "auto") -> Trained:
        """The model of its newest checkpoint with its tokeniser, from the run folder alone; see `Trained`."""
        from simplify.training.trained import load_trained  # torch

        return load_trained(self.folder, device)


class RunStore(Store):
    """The runs below a run root (default: $SIMPLIFY_RUNS, else runs/), as they are at the time of each call."""

    def runs(self, wanted: Iterable[str] | None = None) -> list[Run]:  # type: ignore[override]
        """All runs, those in the queue too, by name; `wanted`: only these ids, in this order."""
        return [Run.of(view) for view in super().runs(wanted)]

    def __getitem__(self, word: str) -> Run:
        """A run by its folder's name or its id, the beginning of either, or by path. Raises RunFolderError."""
        return Run.of(find_view(str(word), self.root))

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs())


def load(run: str | Path, device: str = "auto") -> Trained:
    """The model of a run by its folder's path, or by name or id in the default run root. Raises RunFolderError."""
    return RunStore(root_path(None))[str(run)].load(device)
