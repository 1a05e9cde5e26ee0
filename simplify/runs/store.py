"""All runs of a run root, read from their folders: what `simplify status` shows and notebooks use."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.config import nearest
from simplify.errors import UserError
from simplify.runs.facts import Facts, read_facts
from simplify.runs.files import read_yaml
from simplify.runs.folder import RunFolder, root_path
from simplify.runs.folders import read_folders
from simplify.runs.metrics import last_row
from simplify.runs.process import SILENT_AFTER, silent_for
from simplify.runs.queue import read_job
from simplify.runs.settings import as_cells, flat
from simplify.runs.settle import settle
from simplify.runs.shapes import Config
from simplify.runs.silence import silence_note
from simplify.runs.slurm import arrays_folder
from simplify.runs.state import Board, State

if TYPE_CHECKING:
    import pandas


@dataclass(eq=False)
class RunView:
    """One run as its files tell it; each file is read when it is first asked for."""

    folder: RunFolder
    facts: Facts = field(repr=False)
    state: State
    waiting: Path | None = field(default=None, repr=False)  # its file in the queue, or in its Slurm array
    device: str | None = None  # of the lane that has it, or the nodes
    note: str = ""  # why it waits, where that can be told
    out: Path | None = field(default=None, repr=False)  # what Slurm said of it

    @property
    def run_id(self) -> str:
        """Ten hexadecimal digits."""
        return self.folder.run_id

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.path.name

    @functools.cached_property
    def about(self) -> dict[str, Any]:
        """run.json: identity, versions, device, command; {} before the first start."""
        return self.folder.about()

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The complete configuration as plain data; {} where the run was never asked for from here."""
        if self.about.get("config"):
            return self.about["config"]
        job = read_job(self.waiting) if self.waiting else None
        if job is not None:
            return job.config
        return read_yaml(self.folder.path / "config.yaml", Config) or {}

    @functools.cached_property
    def last(self) -> dict[str, Any]:
        """The newest logged row, with the newest validation loss; {} where nothing was logged."""
        if self.facts.done is not None:
            return self.facts.done
        return last_row(self.folder.metrics_path) if "metrics.jsonl" in self.facts.names else {}

    @property
    def waits_for_lane(self) -> bool:
        """Whether it waits for a lane of this machine, not in Slurm's queue."""
        return self.state == "queued" and self.waiting is not None and self.waiting.parent.name == ".queue"

    @property
    def is_active(self) -> bool:
        """Whether it waits or is being trained, as far as is known."""
        return self.state in ("queued", "running", "unknown")

    @property
    def attempts(self) -> int:
        """How often it was started."""
        return len((self.facts.job or {}).get("attempts", []))

    @property
    def total_steps(self) -> int | None:
        """The budget in steps; None where it is given in hours."""
        train = self.config.get("train", {})
        if train.get("tokens"):
            return -(-train["tokens"] // train["batch_tokens"])
        return train.get("steps")

    @property
    def share(self) -> float:
        """How much of the budget is spent, from 0 to 1."""
        hours = self.config.get("train", {}).get("hours")
        if self.state == "done":
            return 1.0
        if hours:
            return min(self.last.get("seconds", 0.0) / (hours * 3600), 1.0)
        return self.last.get("step", 0) / (self.total_steps or 1)

    @property
    def seconds_left(self) -> float | None:
        """The time a running run still needs at its mean speed so far; None where it cannot be told."""
        if self.state != "running" or not self.share:
            return None
        return self.last["seconds"] * (1 / self.share - 1)

    @property
    def silence(self) -> float | None:
        """Seconds since the last sign of life of a running run, if that is worrying; else None."""
        silent = silent_for(self.folder.heartbeat) if self.state == "running" and self.attempts else None
        return silent if silent is not None and silent > SILENT_AFTER else None

    def row(self) -> dict[str, Any]:
        """Everything a table wants to know, flat: state, progress, and all settings by their full keys."""
        return {**self.told(), **flat(self.config)}

    def told(self) -> dict[str, Any]:
        """The same without settings."""
        shown = {key: value for key, value in self.last.items() if key != "ended"}
        told = {"id": self.run_id, "name": self.name, "state": self.state, "attempts": self.attempts, "note": self.note}
        return {**told, "eta_seconds": self.seconds_left, **shown}


class RunStore:
    """The runs below a run root (default: $SIMPLIFY_RUNS, else runs/), as they are at the time of each call."""

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = root_path(str(root) if root is not None else None)

    def runs(self, wanted: Iterable[str] | None = None) -> list[RunView]:
        """All runs, those in the queue too, by name; `wanted`: only these ids, in this order."""
        board, folders = Board(self.root), dict(read_folders(self.root).runs)
        for run_id, path in board.waiting.items():
            if run_id not in folders and (job := read_job(path)):
                folders[run_id] = self.root / job.name
        for run_id, element in board.slurm.elements():
            folders.setdefault(run_id, board.slurm.folder(element))
        if wanted is None:
            chosen = sorted(folders, key=lambda run_id: folders[run_id].name)
        else:
            chosen = [run_id for run_id in wanted if run_id in folders]
        views = [_view(board, run_id, folders[run_id]) for run_id in chosen]
        settle(board.slurm)
        return [view for view in views if view.state != "new" or view.folder.path.exists()]

    def notes(self) -> list[str]:
        """A line for each run of which there are several folders."""
        return read_folders(self.root).notes()

    def view(self, path: Path) -> RunView:
        """The run in a folder, whatever the folder is called."""
        run_id = RunFolder(path, "").about().get("id") or path.name.rpartition("-")[2]
        return _view(Board(self.root), str(run_id), path)

    def frame(self) -> pandas.DataFrame:
        """One row a run: id, state, the newest metrics, and every setting as a column such as block.name.

        A setting that is settings itself stands there in the word that plans and reports have for it, so that a column
        can be grouped by: `dense` for block.projection, the gain that a rule of depth comes to; what it is made of has
        columns of its own, such as block.projection.init.
        """
        runs = self.runs()
        rows = [
            {**run.told(), **cells} for run, cells in zip(runs, as_cells([run.config for run in runs]), strict=True)
        ]
        return _pandas("frame")(rows, columns=None if rows else ["id", "name", "state"])

    def metrics(self, wanted: Iterable[str] | None = None, with_settings: Sequence[str] = ()) -> pandas.DataFrame:
        """One row a logged step of each run, with its id and name: metrics.jsonl, one below the other.

        `with_settings`: columns of `frame` that each row gets too, such as block.name and seed. Raises UserError for a
        setting that no run has.
        """
        runs = self.runs(wanted)
        cells = as_cells([run.config for run in runs]) if with_settings else [{} for _ in runs]
        known = dict.fromkeys(key for row in cells for key in row)
        for key in with_settings:
            if runs and key not in known:
                raise UserError(
                    f"with_settings={key}: {nearest(key, known)}valid: a setting's full key, as optimiser.lr"
                )
        rows = [
            {"id": run.run_id, "name": run.name, **{key: own.get(key) for key in with_settings}, **row}
            for run, own in zip(runs, cells, strict=True)
            for row in run.folder.rows()
        ]
        return _pandas("metrics")(rows)


def _view(board: Board, run_id: str, path: Path) -> RunView:
    state, facts, standing = board.look(run_id, path, read_facts(path))
    claim, element = board.claim(run_id), board.slurm.element(run_id)
    device, note = (claim or {}).get("device"), ""
    if standing is not None:
        device, note = standing.nodes or None, standing.note
    if device is None and state == "running" and element is not None:
        device = (facts.attempt or {}).get("node")
    waiting = board.waiting.get(run_id) or (element and element.array.folder / f"{element.index}.json")
    if state == "running" and facts.cancelled and "ended" not in (facts.attempt or {"ended": None}):
        note = "asked to stop"
    elif state == "running" and not note:
        note = silence_note(run_id, path, facts, board.slurm)
    out = element.array.out(element.index) if element else _out_of(board.slurm.root, facts)
    return RunView(RunFolder(path, run_id), facts, state, waiting, device, note, out)


def _out_of(root: Path, facts: Facts) -> Path | None:
    """Slurm's output of the newest attempt, or of a job that ended before there was one."""
    if facts.error is not None and facts.error.get("out"):
        return Path(facts.error["out"])
    attempt = facts.attempt or {}
    if not attempt.get("array"):
        return None
    job, _, index = attempt["slurm"].partition("_")
    return arrays_folder(root) / attempt["array"] / f"{job}_{index or 0}.out"


def _pandas(what: str) -> Callable[..., Any]:
    try:
        import pandas
    except ImportError:
        raise UserError(f"RunStore.{what}: needs pandas; pip install pandas, or use RunStore.runs()") from None
    return pandas.DataFrame
