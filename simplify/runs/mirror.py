"""The W&B copy of one run: its one name there, what the server has of it, and rows that go to it.

A run has one W&B run, whose id is ours. A run that was trained again from the start (`--force`) has
the same id and another `created`: it gets a W&B run of its own, `<id>-<created>`, since what W&B has
of a run cannot be rewritten, and an id that was deleted there cannot be used again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simplify.runs.folder import RunFolder
from simplify.runs.wandb_client import entity_of, find, library, settings, talking

_BINS = 32  # of a histogram over the layers


@dataclass(frozen=True)
class Asked:
    """What a W&B run is called and shown with."""

    folder: RunFolder
    config: Mapping[str, Any]  # complete, plain data
    about: Mapping[str, Any]  # run.json
    group: str
    project: str
    entity: str | None

    @property
    def created(self) -> str | None:
        """When the run was first started."""
        return self.about.get("created")


@dataclass(frozen=True)
class There:
    """A run as the server has it."""

    wandb_id: str
    exists: bool = False
    last: int = -1  # newest step of its history; -1: none
    state: str = ""
    url: str = ""


def asked(
    folder: RunFolder,
    config: Mapping[str, Any],
    about: Mapping[str, Any],
    group: str | None = None,
    project: str | None = None,
    entity: str | None = None,
) -> Asked:
    """The names of a run's copy: from its own settings, unless given."""
    own = config["wandb"]
    fallback = f"{config['model']['name']}-{config['data']['name']}"
    return Asked(
        folder, config, about, own["group"] or group or fallback, project or own["project"], entity or own["entity"]
    )


class Mirror:
    """An open W&B run. `last` is the newest step that it has: rows up to there are left out."""

    def __init__(self, run: Any, last: int) -> None:
        self._run, self.last = run, last
        self.sent = 0

    @property
    def url(self) -> str:
        """Where it can be seen; empty where it is offline."""
        return self._run.url or ""

    def log(self, row: Mapping[str, Any]) -> None:
        """Send a row, unless the server has its step."""
        step = row["step"]
        if step > self.last:
            self._run.log(_payload(row), step=step, commit=True)  # else the summary is set before the last row
            self.last = step
            self.sent += 1

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """Close it. 75: it was stopped and is to go on."""
        self._run.summary.update(_numbers(summary))
        if exit_code == 75:
            self._run.mark_preempting()
        self._run.finish(exit_code=exit_code)


def look_up(server: Any, wanted: Asked) -> There:
    """The W&B run of ours, or the name that it would get. Raises UploadError."""
    found, run = _there(server, wanted, wanted.folder.run_id)
    theirs = run.config.get("created") if run is not None else None
    if theirs and wanted.created and theirs != wanted.created:  # trained again from the start
        digits = "".join(c for c in wanted.created if c.isalnum())
        return _there(server, wanted, f"{wanted.folder.run_id}-{digits}")[0]
    return found


def open_run(
    wanted: Asked, there: There, mode: Literal["online", "offline"], local: Path, patience: int, over: bool = True
) -> Mirror:
    """Open the W&B run that `look_up` named, there already or not.

    `local`: where wandb may write; `patience`: seconds for the last upload; `over`: closing it ends it.
    """
    git = wanted.about.get("git") or {}
    own = {"created": wanted.created, "git_commit": git.get("commit"), "git_dirty": git.get("dirty")}
    own |= {key: wanted.about[key] for key in ("device", "host", "versions") if key in wanted.about}
    run = library().init(
        mode=mode,
        id=there.wandb_id,
        resume="allow" if mode == "online" else None,
        name=wanted.folder.path.name,
        project=wanted.project,
        entity=wanted.entity,
        group=wanted.group[:128],
        job_type="train",
        tags=list(dict.fromkeys([wanted.config["block"]["name"][:64], *wanted.config["wandb"]["tags"]])),
        config={**wanted.config, **own},
        dir=str(local),
        settings=settings(patience, x_update_finish_state=over),
    )
    for axis in ("step", "tokens", "seconds"):  # logged like metrics, so that a chart can be drawn against any
        run.define_metric(axis)
    run.define_metric("*", step_metric="step")
    return Mirror(run, max(run.starting_step - 1, there.last))  # either may be behind


def _there(server: Any, wanted: Asked, wandb_id: str) -> tuple[There, Any]:
    with talking():
        run = find(server, f"{entity_of(server, wanted.entity)}/{wanted.project}/{wandb_id}")
        if run is None:
            return There(wandb_id), None
        return There(wandb_id, True, run.lastHistoryStep, run.state, run.url), run


def _payload(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as wandb takes it: finite numbers, and a histogram over the layers for each gain."""
    found = _numbers({key: value for key, value in row.items() if key != "gains"})
    for name, of in (row.get("gains") or {}).items():
        means = [mean for mean in of.get("mean", []) if _is_number(mean)] if isinstance(of, Mapping) else []
        if means:
            found[f"gains/{name}"] = library().Histogram(means, num_bins=_BINS)
    return found


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if _is_number(value) or isinstance(value, (str, bool))}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
