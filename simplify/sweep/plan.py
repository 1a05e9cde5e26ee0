"""The runs of a sweep, each with its identity and how it stands. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.compose import compose_points
from simplify.config import RunConfig
from simplify.data.corpus import open_corpus
from simplify.errors import ConfigError
from simplify.runs.folder import RunFolder, State, find_folder, root_path
from simplify.runs.identity import label, run_id
from simplify.sweep.file import shown
from simplify.sweep.points import varying
from simplify.zoo.counts import count_parameters


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan."""

    point: Mapping[str, Any]
    config: RunConfig
    folder: RunFolder
    state: State
    parameters: int


@dataclass(frozen=True)
class Plan:
    """What a sweep comes to. `wrong` holds a line for each point that is no run; `merged` counts repetitions."""

    runs: Sequence[PlannedRun]
    wrong: Sequence[str]
    merged: int

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
    runs: dict[str, PlannedRun] = {}
    wrong: list[str] = []
    merged = 0
    fingerprints: dict[str, str] = {}
    configs = compose_points(points, overlay)
    _refuse_what_is_wrong_everywhere(configs)
    for point, config in zip(points, configs, strict=True):
        if not isinstance(config, RunConfig):
            wrong += [f"{shown(point)}: {line}" for line in config.lines]
            continue
        identifier = run_id(config, _fingerprint(config, fingerprints))
        if identifier in runs:
            merged += 1
            continue
        folder = find_folder(root_path(config.run_root), identifier, label(config))
        parameters = count_parameters(config.block, config.model, config.data.vocab_size)
        runs[identifier] = PlannedRun(point, config, folder, folder.state(), parameters)
    return Plan(tuple(runs.values()), tuple(wrong), merged)


def _refuse_what_is_wrong_everywhere(configs: Sequence[RunConfig | ConfigError]) -> None:
    """A misspelt axis is wrong in every point: said once, not a thousand times."""
    errors = [config for config in configs if isinstance(config, ConfigError)]
    everywhere = [line for line in errors[0].lines if all(line in e.lines for e in errors)] if errors else []
    if everywhere and len(errors) == len(configs):
        raise ConfigError(*everywhere)


def _fingerprint(config: RunConfig, known: dict[str, str]) -> str:
    """The corpus' fingerprint, looked up once for each corpus."""
    masked = config.model.kind == "encoder"
    key = f"{masked} {config.data.model_dump_json(exclude={'seed', 'packing'})}"
    if key not in known:
        known[key] = open_corpus(config.data, masked).facts.fingerprint
    return known[key]
