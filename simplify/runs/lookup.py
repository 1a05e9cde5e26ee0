"""Finding a run that a user names: by its folder's name or its id, the beginning of either, or by path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from simplify.disk import expanded
from simplify.display import tell_aside
from simplify.errors import RunFolderError
from simplify.runs.folder import RunFolder
from simplify.runs.folders import read_folders
from simplify.runs.store import RunStore, RunView

_MOST = 8  # runs that an error names


def find_view(word: str, root: Path) -> RunView:
    """The run that `word` names below `root`, also one that only waits. Raises RunFolderError if none or several."""
    if (path := run_at(word)) or (path := run_at(str(root / word))):
        return RunStore(path.parent).view(path)
    store = RunStore(root)
    named = runs_named(word, store.runs(), store.root)
    named = [run for run in named if run.name == word] or named
    if len(named) > 1:
        names = _listed(named)
        raise RunFolderError(
            f"{word}: names {len(named)} runs in {store.root}: {names}; give more of the name or of the id at its end"
        )
    for note in read_folders(store.root).notes(named[0].run_id):  # what is read may be older than a copy of it
        tell_aside(f"simplify: {note}")
    return named[0]


def run_at(word: str) -> Path | None:
    """The run folder at a path, wherever it was moved, and under whatever name; None where there is none."""
    path = expanded(word, "RUN")  # and isfile, since Path's own raise for words longer than a file's name
    return path.resolve() if os.path.isfile(os.path.join(path, "run.json")) else None


def runs_named(word: str, runs: Sequence[RunView], root: Path) -> list[RunView]:
    """The runs whose name or id begins with `word`, at least one."""
    by_its_id = word.rpartition("-")[2]  # a folder's name before it was renamed ends with it
    found = [run for run in runs if run.name.startswith(word) or run.run_id.startswith(word) or run.run_id == by_its_id]
    if not found:
        folders = read_folders(root)
        several = [run_id for run_id in folders.unclear if by_its_id and run_id.startswith(by_its_id)]
        if several:
            raise RunFolderError(*folders.notes(several[0]))
        raise RunFolderError(
            f"{word}: no run of that name or id in {root}; valid: {_listed(runs) or '(none yet)'}, or the path of a "
            "run folder"
        )
    return found


def _listed(runs: Sequence[RunView]) -> str:
    """The first names, and whether there are more."""
    return ", ".join([*[run.name for run in runs[:_MOST]], *["..."] * (len(runs) > _MOST)])


def find_run(word: str, root: Path) -> RunFolder:
    """The folder of a run that has been started. Raises RunFolderError."""
    view = find_view(word, root)
    if not isinstance(view.about.get("id"), str):
        raise RunFolderError(f"{view.folder.path}/run.json: cannot be read; valid: the folder of a run that has begun")
    return view.folder
