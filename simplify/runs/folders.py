"""Which folder below a run root is which run: told by the id in its run.json, whatever the folder is called.

A renamed folder is the run. Of several folders of one run it is the one with the name that its label and id give;
the others are copies, and nobody touches them. Where that does not tell, nothing is trained before the user has chosen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from simplify.errors import RunFolderError
from simplify.runs.folder import RunFolder

_NAMED = re.compile(r".+-([0-9a-f]{10})")
_ASIDE = re.compile(r".+\.old-\d+")  # by --force
_BEGINNING = re.compile(rb'\s*\{\s*"id":\s*"([0-9a-f]{10})"')  # of run.json: a thousand of them are not read whole


@dataclass(frozen=True)
class RunFolders:
    """The run folders of a run root, by id."""

    root: Path
    runs: Mapping[str, Path]
    copies: Mapping[str, list[Path]]  # beside the run's own folder
    unclear: Mapping[str, list[Path]]  # several folders of a run, and nothing that tells which one it is

    def find(self, run_id: str, name: str) -> RunFolder:
        """The folder of a run, or the one of that name that it would get. Raises RunFolderError where it is unclear."""
        unclear = self.unclear.get(run_id, [])
        if unclear and self.root / name not in unclear:
            raise RunFolderError(_unclear(self.root, run_id, unclear))
        return RunFolder(self.runs.get(run_id, self.root / name), run_id)

    def notes(self, run_id: str | None = None) -> list[str]:
        """A line for each run, or for this one, of which there are several folders."""
        told = {one: _copies(self.runs[one], paths) for one, paths in self.copies.items()}
        told |= {one: _unclear(self.root, one, paths) for one, paths in self.unclear.items()}
        return [line for one, line in told.items() if run_id in (None, one)]


def read_folders(root: Path) -> RunFolders:
    """Look through a run root; folders set aside by --force are none."""
    try:
        names = sorted(name for name in os.listdir(root) if not name.startswith(".") and not _ASIDE.fullmatch(name))
    except OSError:
        names = []
    begun: dict[str, list[Path]] = {}
    waiting: dict[str, Path] = {}
    for name in names:
        if run_id := _id_in(root / name):
            begun.setdefault(run_id, []).append(root / name)
        elif match := _NAMED.fullmatch(name):
            waiting[match[1]] = root / name
    runs, copies, unclear = {**waiting}, {}, {}
    for run_id, paths in begun.items():
        different = _different(paths) if len(paths) > 1 else paths
        own = different if len(different) == 1 else [path for path in different if path.name == _own_name(path, run_id)]
        if len(own) == 1:
            runs[run_id] = own[0]
            copies |= {run_id: [path for path in different if path != own[0]]} if len(different) > 1 else {}
        else:
            runs.pop(run_id, None)
            unclear[run_id] = own or different
    return RunFolders(root, runs, copies, unclear)


def find_folder(root: Path, run_id: str, name: str) -> RunFolder:
    """The folder of a run, or the one of that name that it would get. Raises RunFolderError where it is unclear."""
    usual = root / name
    if _id_in(usual) == run_id and _own_name(usual, run_id) == name:
        return RunFolder(usual, run_id)
    return read_folders(root).find(run_id, name)


def folder_of(root: Path, run_id: str, name: str) -> RunFolder:
    """The same for those who only look after a run: where it is unclear, the folder of that name."""
    try:
        return find_folder(root, run_id, name)
    except RunFolderError:
        return RunFolder(root / name, run_id)


def _id_in(folder: Path) -> str | None:
    """The id in a folder's run.json; None where there is none."""
    try:
        with open(folder / "run.json", "rb") as file:
            match = _BEGINNING.match(file.read(64))
    except OSError:
        return None
    if match:
        return match[1].decode()
    return RunFolder(folder, "").about().get("id")


def _own_name(folder: Path, run_id: str) -> str | None:
    """The name that a run's folder gets at its first start."""
    config = RunFolder(folder, run_id).about().get("config")
    return f"{config['block']['name']}-{config['model']['name']}-{run_id}" if config else None


def _different(paths: Iterable[Path]) -> list[Path]:
    """Folders without those that are links to another one of them."""
    paths = list(paths)
    real = {path.resolve() for path in paths if not path.is_symlink()}
    return [path for path in paths if not path.is_symlink() or path.resolve() not in real]


def _copies(run: Path, copies: Iterable[Path]) -> str:
    names = ", ".join(path.name for path in copies)
    return f"{run.name}: is this run's folder; left alone as copies of it: {names}"


def _unclear(root: Path, run_id: str, paths: Iterable[Path]) -> str:
    names = ", ".join(path.name for path in paths)
    return f"{root}: several folders are run {run_id}: {names}; left out until all but one of them are moved elsewhere"
