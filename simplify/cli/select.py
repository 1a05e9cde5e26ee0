"""The words that choose runs: a sweep file, ids, key=value; of the same kind widen, of different kinds narrow."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from simplify.choices import sweeps_dir
from simplify.cli.by_setting import with_setting
from simplify.config import closest
from simplify.display import near, tell_aside
from simplify.errors import RunFolderError
from simplify.runs.lookup import find_view, run_at, runs_named
from simplify.runs.store import RunStore, RunView
from simplify.runs.studies import is_study
from simplify.sweep.record import PAPER, Record, records, records_of

_YAML = (".yaml", ".yml")


@dataclasses.dataclass(frozen=True)
class Selected:
    """The runs that words choose, and the sweeps among the words."""

    store: RunStore
    runs: list[RunView]
    sweeps: list[Record]
    unstarted: list[str]  # folder names of runs that a chosen sweep knows and nothing else does
    title: str  # the words, and the scale that they come to where it is not the file's own
    whole: bool = False  # whether the words are sweeps alone, with nothing that narrows them
    named: bool = False  # whether runs are among the words, each by its id, name or folder

    @property
    def studies(self) -> list[Record]:
        """The tuned sweeps that are chosen whole."""
        return [record for record in self.sweeps if self.whole and is_study(self.store.root, record.name)]


def is_setting(word: str) -> bool:
    """Whether a word sets a key, and is no path in which there is a `=`."""
    return "=" in word and "/" not in word.partition("=")[0] and not os.path.exists(word)  # Path raises for long words


def select(words: Sequence[str], run_root: Path | None) -> Selected:
    """The runs that `words` choose; all of them without words. Raises RunFolderError with what is valid."""
    settings: dict[str, str] = {}
    for key, _, value in (word.partition("=") for word in words if is_setting(word)):
        settings[key] = f"{settings[key]},{value}" if key in settings else value
    names = [word for word in words if not is_setting(word)]
    root = settings.pop("run_root", None) or (str(run_root) if run_root else None)
    paths = [word for word in names if run_at(word)]
    names = [word for word in names if word not in paths]
    store = RunStore(root if root or names or not paths else find_view(paths[0], Path()).folder.path.parent)
    for note in store.notes():
        tell_aside(f"simplify: {note}")
    has_file = any(word.endswith(_YAML) for word in names)
    scale = settings.pop("scale", None) if has_file else None
    elsewhere = f" run_root={root}" if root else ""
    sweeps, ids = _sweeps(names, store.root, scale, elsewhere)
    found = store.runs()
    by_stem = {word: _by_stem(word, store.root, found) for word in ids}
    sweeps, ids = [*sweeps, *itertools.chain(*by_stem.values())], [word for word in ids if not by_stem[word]]
    at = {view.run_id: view for view in (find_view(word, store.root) for word in paths)}
    found = [*(run for run in found if run.run_id not in at), *at.values()]
    wanted = {*at, *(run.run_id for sweep in sweeps for run in sweep.runs)}
    unstarted = {run.run_id: run.folder for sweep in sweeps for run in sweep.runs}
    for run in found:
        unstarted.pop(run.run_id, None)
    for word in ids:
        named = _unbegun(word, store.root, found)
        unstarted |= named
        wanted |= {run.run_id for run in runs_named(word, found, store.root)} if not named else set()
    if names or at:
        found = [run for run in found if run.run_id in wanted]
    for key, value in settings.items():
        found = with_setting(found, key, value)
    if sweeps and not ids:  # as the sweeps name them
        names_in_order = dict.fromkeys(run.run_id for sweep in sweeps for run in sweep.runs)
        order = {run_id: number for number, run_id in enumerate(names_in_order)}
        found.sort(key=lambda run: order.get(run.run_id, len(order)))
    if settings:
        shown = {run.run_id for run in found}
        sweeps = [sweep for sweep in sweeps if shown & {run.run_id for run in sweep.runs}] or sweeps
    title = " ".join(words) + _scale_of(sweeps, scale) or f"all runs of {store.root}"
    whole = bool(sweeps) and not (settings or ids or at)
    return Selected(store, found, sweeps, [] if settings else list(unstarted.values()), title, whole, bool(ids or at))


def _by_stem(word: str, root: Path, found: Sequence[RunView]) -> list[Record]:
    """The sweeps whose name is that word and six digits, where no run is called so."""
    if any(run.name.startswith(word) or run.run_id.startswith(word) for run in found):
        return []
    return [record for record in records(root) if record.name.rpartition("-")[0] == word]


def _unbegun(word: str, root: Path, found: Sequence[RunView]) -> dict[str, str]:
    """The runs of that name or id that a sweep knows, and nothing else: their ids and folders' names."""
    there = {run.run_id for run in found}
    asked = {run.run_id: run.folder for record in records(root) for run in record.runs if run.run_id not in there}
    if any(run.name.startswith(word) or run.run_id.startswith(word) for run in found):
        return {}
    return {run_id: name for run_id, name in asked.items() if run_id.startswith(word) or name.startswith(word)}


def _scale_of(sweeps: Sequence[Record], typed: str | None) -> str:
    """The scales that are shown, as words of a command line; nothing where they were typed, or are the file's own."""
    scales = sorted({record.scale for record in sweeps})
    return f" scale={','.join(scales)}" if typed is None and scales not in ([], [PAPER]) else ""


def _sweeps(names: Sequence[str], root: Path, scale: str | None, elsewhere: str) -> tuple[list[Record], list[str]]:
    """The sweeps among the words, and the other words."""
    chosen: list[Record] = []
    others: list[str] = []
    known = {record.name: record for record in records(root)}
    for word in names:
        if word in known:
            chosen.append(known[word])
        elif word.endswith(_YAML):
            asked = records_of(root, Path(word)) or _moved(root, Path(word))
            at = [record for record in asked if scale in (None, record.scale)]
            if not at:
                raise _not_dispatched(word, root, scale, asked, list(known), elsewhere)
            chosen += at
        else:
            others.append(word)
    return chosen, others


def _moved(root: Path, file: Path) -> list[Record]:
    """The sweeps of a file that lay elsewhere when they were dispatched: of its name, with its question, and gone."""
    found = [record for record in records(root) if record.file and Path(record.file).name == file.name]
    found = [record for record in found if not os.path.exists(str(record.file))]
    if not found or not file.is_file():
        return []
    from simplify.sweep.file import header

    told = tuple(header(file))
    found = [dataclasses.replace(record, file=str(file.resolve())) for record in found if record.question == told]
    if found:
        tell_aside(f"simplify: {file}: taken for the file that was dispatched from another place, where it is no more")
    return found


def _not_dispatched(
    word: str, root: Path, scale: str | None, asked: Sequence[Record], known: Sequence[str], elsewhere: str
) -> RunFolderError:
    """What to do about a sweep file of which there is nothing here. Raises ConfigError where it has no such scale."""
    if not Path(word).is_file():
        if not asked:
            return no_file(word)
        start = ""
    else:
        from simplify.sweep.file import read_sweep  # Hydra, which nobody needs who only looks

        if scale is not None:
            read_sweep(Path(word)).at(scale)
        start = f", or start it: simplify sweep {shlex.quote(word)}{f' scale={scale}' if scale else ''}{elsewhere}"
    at = f" at scale={scale}" if scale else ""
    there = [f"scale={name}" for name in dict.fromkeys(record.scale for record in asked)] or known
    return RunFolderError(
        f"{word}: was not dispatched{at} in {root}; valid: {', '.join(there) or '(no sweep yet)'}{start}"
    )


def no_file(word: str) -> RunFolderError:
    """A name under which there is no file: the nearest one, or those that are there."""
    folder = Path(word).parent
    there = sorted(str(path) for path in folder.glob("*") if path.suffix in _YAML)
    if not there:
        there = [near(path) for path in sorted(sweeps_dir().rglob("*.yaml"))]
    typed = {Path(path).stem: shlex.quote(path) for path in there}
    meant = closest(Path(word).stem, typed)
    hint = f"did you mean {typed[meant]}? " if meant else ""
    listed = ", ".join([*typed.values()][:8]) + (f", ... ({len(there)} files)" if len(there) > 8 else "")
    return RunFolderError(f"{word}: no such file; {hint}valid: {listed or 'a sweep file'}")
