"""The W&B copy of one run: its one name there, what the server has of it, and rows that go to it.

A run has one W&B run, whose id is ours. A run that was trained again from the start (`--force`) has
the same id and another `created`: it gets a W&B run of its own, `<id>-<created>`, since what W&B has
of a run cannot be rewritten, and an id that was deleted there cannot be used again.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simplify.runs.folder import RunFolder
from simplify.runs.history import READINGS
from simplify.runs.settings import as_words
from simplify.runs.wandb_client import entity_of, find, library, settings, talking

_BINS = 32  # of a histogram over the layers
_MODEL_FILES = ("config.yaml", "run.json", "job.json", "done.json", "tokenizer.json", "metrics.jsonl")


@dataclass(frozen=True)
class Asked:
    """What a W&B run is called and shown with."""

    folder: RunFolder
    config: Mapping[str, Any]  # complete, plain data
    about: Mapping[str, Any]  # run.json
    group: str
    project: str
    entity: str | None

    def wishes(self, name: str) -> Any:
        """A setting of wandb.*; None in a run from before there was one."""
        return self.config["wandb"].get(name)

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
    """An open W&B run. `last` is the newest step that it has: rows up to there are left out.

    Messages and models go to a server alone: of an offline run `simplify sync` sends them.
    """

    def __init__(self, run: Any, wanted: Asked, last: int, online: bool) -> None:
        self._run, self._wanted, self.last, self._online = run, wanted, last, online
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

    def finish(self, summary: Mapping[str, Any], exit_code: int, problem: str = "") -> None:
        """Close it. 0: the run is done; 75: it was stopped and is to go on; 1: it failed, `problem` says why."""
        self._run.summary.update(_numbers(summary))
        if exit_code == 75:
            self._run.mark_preempting()
        if self._online and exit_code == 1 and self._wanted.wishes("alerts"):
            self._run.alert(f"failed: {self._wanted.folder.path.name}"[:63], problem, level="ERROR")
        if self._online and exit_code == 0 and self._wanted.wishes("model"):
            with contextlib.suppress(FileNotFoundError):  # somebody made room and deleted the checkpoints
                self._run.log_artifact(_model(self._wanted.folder))
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
        name=wanted.wishes("name") or wanted.folder.path.name,
        notes=wanted.wishes("notes"),
        project=wanted.project,
        entity=wanted.entity,
        group=wanted.group[:128],
        job_type="train",
        tags=list(dict.fromkeys([wanted.config["block"]["name"][:64], *wanted.config["wandb"]["tags"]])),
        config={**wanted.config, **own, "words": as_words(wanted.config)},
        dir=str(local),
        settings=settings(patience, x_update_finish_state=over),
    )
    for axis in ("step", "tokens", "seconds"):  # logged like metrics, so that a chart can be drawn against any
        run.define_metric(axis)
    run.define_metric("*", step_metric="step")
    return Mirror(run, wanted, max(run.starting_step - 1, there.last), mode == "online")  # either step may be behind


def _model(folder: RunFolder) -> Any:
    """The run folder without its logs and earlier checkpoints: `simplify sample` and the others read it as one."""
    artifact = library().Artifact(f"model-{folder.run_id}", type="model")
    newest = max(folder.checkpoints.glob("*.json"), default=folder.checkpoints / "none.json")
    kept = [folder.path / name for name in _MODEL_FILES if (folder.path / name).exists()]
    for path in (*kept, newest, newest.with_suffix(".pt")):
        artifact.add_file(str(path), name=path.relative_to(folder.path).as_posix())
    return artifact


def _there(server: Any, wanted: Asked, wandb_id: str) -> tuple[There, Any]:
    with talking():
        run = find(server, f"{entity_of(server, wanted.entity)}/{wanted.project}/{wandb_id}")
        if run is None:
            return There(wandb_id), None
        return There(wandb_id, True, run.lastHistoryStep, run.state, run.url), run


def _payload(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as wandb takes it: finite numbers, and a histogram over the layers for each gain."""
    found = _numbers({key: value for key, value in row.items() if key not in READINGS})
    for name, of in (row.get("gains") or {}).items():
        means = [mean for mean in of.get("mean", []) if _is_number(mean)] if isinstance(of, Mapping) else []
        if means:
            found[f"gains/{name}"] = library().Histogram(means, num_bins=_BINS)
    for name, of in (row.get("gradients") or {}).items():
        with contextlib.suppress(KeyError, TypeError):  # a line that somebody edited
            low, width, counts = of["low"], (of["high"] - of["low"]) / len(of["counts"]), of["counts"]
            edges = [low + width * edge for edge in range(len(counts) + 1)]
            found[f"gradients/{name}"] = library().Histogram(np_histogram=(counts, edges))
    return found


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if _is_number(value) or isinstance(value, (str, bool))}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
