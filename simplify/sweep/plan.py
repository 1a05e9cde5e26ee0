"""The runs of a sweep, each with its identity and how it stands. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.compose import compose_points
from simplify.config import RunConfig, show
from simplify.data.corpus import ready_corpus
from simplify.errors import ConfigError, DataError, RunFolderError
from simplify.runs.folder import RunFolder, root_path
from simplify.runs.folders import read_folders
from simplify.runs.identity import folder_name, label, run_id
from simplify.runs.state import Board, State
from simplify.sweep.file import shown
from simplify.sweep.points import varying
from simplify.zoo.counts import count_parameters

_SHOWN = 10  # lines of what is wrong, where it differs from point to point


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan."""

    point: Mapping[str, Any]
    config: RunConfig
    folder: RunFolder | None  # None: its corpus is not here yet, and so its id is not known
    state: State
    parameters: int
    corpus: str | None = None  # its fingerprint, where it is here

    @property
    def name(self) -> str:
        """The name of its folder, as far as it is known."""
        return self.folder.path.name if self.folder else f"{label(self.config)}-?"


@dataclass(frozen=True)
class Plan:
    """What a sweep comes to.

    `wrong` has a line for each point that is no run, `missing` one for each corpus that is not here
    yet, with the command that gets it; `merged` counts repetitions. `slips` has the lines of those points
    that hold a value which no run can have: most likely something mistyped, and not a combination to leave out.
    """

    root: Path
    runs: Sequence[PlannedRun]
    wrong: Sequence[str]
    missing: Sequence[str]
    merged: int
    slips: Sequence[str] = ()
    corpora: Sequence[str] = ()  # a line for each that is here

    @property
    def known(self) -> list[tuple[PlannedRun, RunFolder]]:
        """The runs that can be trained, with their folders."""
        return [(run, run.folder) for run in self.runs if run.folder is not None]

    @property
    def axes(self) -> list[str]:
        """The settings that differ between the runs."""
        return varying([run.point for run in self.runs])

    def counts(self) -> dict[str, int]:
        """How many runs there are in each state."""
        found: dict[str, int] = {}
        for run in self.runs:
            found[run.state] = found.get(run.state, 0) + 1
        return found


def make_plan(points: Sequence[Mapping[str, Any]], overlay: Path | None = None) -> Plan:
    """Compose every point, name it, and look how it stands. Points that come to one run are merged."""
    configs = compose_points(points, overlay)
    _refuse_what_is_wrong_everywhere(configs)
    root = _root(configs)
    here = Here(root)
    runs: dict[str, PlannedRun] = {}
    wrong: list[str] = []
    merged, axes = 0, varying(points)
    for point, config in zip(points, configs, strict=True):
        if not isinstance(config, RunConfig):
            told = shown({key: point[key] for key in axes if key in point})
            wrong += [f"{told}: {line}" if told else line for line in config.lines]
            continue
        fingerprint = here.fingerprint(config, point)
        identifier = run_id(config, fingerprint or config.data.model_dump_json())
        if identifier in runs:
            merged += 1
            continue
        parameters = count_parameters(config.block, config.model, config.data.vocab_size)
        try:
            folder = here.folder(config, identifier) if fingerprint else None
        except RunFolderError as error:
            wrong.append(str(error))
            continue
        runs[identifier] = PlannedRun(point, config, folder, here.state(folder), parameters, fingerprint)
    slips = _slips(points, configs, axes) if wrong else []
    return Plan(root, tuple(runs.values()), tuple(wrong), tuple(here.missing.values()), merged, slips, tuple(here.told))


def _slips(
    points: Sequence[Mapping[str, Any]], configs: Sequence[RunConfig | ConfigError], axes: Sequence[str]
) -> list[str]:
    """What is wrong with points one of whose values stands in no point that is a run."""
    told = [{shown({key: point[key]}) for key in axes if key in point} for point in points]
    pairs = list(zip(told, configs, strict=True))
    right = {value for values, config in pairs if isinstance(config, RunConfig) for value in values}
    found = (config.lines for values, config in pairs if isinstance(config, ConfigError) and not values <= right)
    return list(dict.fromkeys(line for lines in found for line in lines))


class Here:
    """What this run root and this machine have, looked up once for a whole plan."""

    def __init__(self, root: Path) -> None:
        self.missing: dict[str, str] = {}  # by corpus
        self.told: dict[str, None] = {}  # what each corpus is, once
        self._root, self._board, self._folders = root, Board(root), read_folders(root)
        self._known: dict[str, str | None] = {}

    def folder(self, config: RunConfig, identifier: str) -> RunFolder:
        """The folder of a run, or the one it would get. Raises RunFolderError where several are the run."""
        return self._folders.find(identifier, folder_name(config, identifier))

    def state(self, folder: RunFolder | None) -> State:
        """How a run stands; what cannot have a folder yet is new."""
        return self._board.state(folder.run_id, folder.path) if folder else "new"

    def fingerprint(self, config: RunConfig, point: Mapping[str, Any]) -> str | None:
        """The corpus' fingerprint; None, and a line in `missing`, where the corpus has to be fetched first."""
        masked = config.model.kind == "encoder"
        key = f"{masked} {config.data.model_dump_json(exclude={'seed', 'packing'})}"
        if key not in self._known:
            try:
                corpus = ready_corpus(config.data, masked)
                self._known[key] = corpus.facts.fingerprint if corpus else None
                if corpus is not None:
                    self.told[corpus.line(config.data.name)] = None
                else:
                    words = [f"{k}={show(v)}" for k, v in point.items() if k.startswith("data.")]
                    command = " ".join([config.data.name, *words, *(["model.kind=encoder"] if masked else [])])
                    own = config.data.source == "files"  # on no hub
                    gets = f"{command} --from DIR makes it from files of yours" if own else f"{command} gets it"
                    self.missing[key] = (
                        f"data={config.data.name}: is not on this machine yet; simplify data prepare {gets}"
                    )
            except DataError as error:
                self._known[key], self.missing[key] = None, str(error)
        return self._known[key]


def _root(configs: Sequence[RunConfig | ConfigError]) -> Path:
    """The run root of a sweep: one for all its runs, so that one queue can hold them."""
    given = dict.fromkeys(config.run_root for config in configs if isinstance(config, RunConfig))
    if len(given) > 1:
        raise ConfigError(f"run_root={','.join(map(str, given))}: no axis; valid: one folder for all runs of a sweep")
    return root_path(next(iter(given), None))


def _refuse_what_is_wrong_everywhere(configs: Sequence[RunConfig | ConfigError]) -> None:
    """A misspelt axis is wrong in every point: said once, not a thousand times."""
    errors = [config for config in configs if isinstance(config, ConfigError)]
    if not errors or len(errors) < len(configs):
        return
    everywhere = [line for line in errors[0].lines if all(line in e.lines for e in errors)]
    each = list(dict.fromkeys(line for error in errors for line in error.lines))
    raise ConfigError(*(everywhere or [*each[:_SHOWN], *([f"{len(each) - _SHOWN} more"] if each[_SHOWN:] else [])]))
