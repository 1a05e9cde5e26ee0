"""The run folder: every fact about a run lives in one of its files.

runs/<label>-<id>/
  config.yaml      complete and resolved: `simplify train --config` repeats the run from it
  run.json         identity, git commit and dirty flag, versions, device, command, created
  job.json         who trains it: executor and one entry an attempt
  metrics.jsonl    one object a logged step
  checkpoint/      the newest and the last but one
  done.json | error.json    exactly one at the end
  loss.png         the curves, drawn at the end
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import yaml
from filelock import FileLock, Timeout

from simplify.config import RunConfig
from simplify.errors import AlreadyRunning, RunFolderError
from simplify.runs.files import read_json, write_json, write_whole
from simplify.runs.metrics import MetricsFile, read_metrics

State = Literal["new", "running", "stopped", "failed", "done"]
_LOOK = 0.5  # seconds: `state` holds the lock for an instant to see whether it is free
# The words error.json uses for what went wrong.
CAUSES = ("non_finite", "out_of_memory", "disk_full", "storage", "exception")


@dataclass(frozen=True)
class RunFolder:
    """Paths and small files of one run."""

    path: Path
    run_id: str

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoint"

    @property
    def metrics_path(self) -> Path:
        """The metrics.jsonl."""
        return self.path / "metrics.jsonl"

    @property
    def metrics(self) -> MetricsFile:
        """The metrics file, to append to."""
        return MetricsFile(self.metrics_path)

    def rows(self) -> list[dict[str, Any]]:
        """All logged rows."""
        return read_metrics(self.metrics_path)

    def done(self) -> dict[str, Any] | None:
        """The result, if the run is finished."""
        return read_json(self.path / "done.json")

    def error(self) -> dict[str, Any] | None:
        """What went wrong in the last attempt, if it failed."""
        return read_json(self.path / "error.json")

    def create(self, config: RunConfig, facts: dict[str, Any]) -> None:
        """Make the folder; config.yaml and run.json are written once, at the run's first start."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        if read_json(self.path / "run.json") is None:
            text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
            write_whole(self.path / "config.yaml", text)
            write_json(self.path / "run.json", {"id": self.run_id, "created": now(), **facts})

    def freeze(self, config: RunConfig) -> Path:
        """Write down what the next attempt is to be trained from; returns the file.

        Beside the run folders, not in this one: its config.yaml is of the first start, and what a later
        attempt may change (train.micro_batch, say) has to reach that attempt.
        """
        path = self.path.parent / ".frozen" / f"{self.run_id}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        return path

    def state(self) -> State:
        """How the run stands, from its files and its lock."""
        if self.done() is not None:
            return "done"
        if self._locked():
            return "running"
        if self.error() is not None:
            return "failed"
        return "new" if read_json(self.path / "job.json") is None else "stopped"

    def _locked(self) -> bool:
        lock = self.path.parent / ".locks" / f"{self.run_id}.lock"
        if not lock.exists():
            return False
        held = FileLock(lock)
        try:
            held.acquire(timeout=0)
        except Timeout:
            return True
        held.release()
        return False

    def begin_attempt(self, from_step: int) -> None:
        """Note who trains the run now. An error.json of an earlier attempt moves into its entry."""
        job = read_json(self.path / "job.json") or {"executor": "here", "attempts": []}
        failed = self.error()
        if failed is not None and job["attempts"]:
            job["attempts"][-1]["error"] = failed
        job["attempts"].append(
            {"host": socket.gethostname(), "pid": os.getpid(), "started": now(), "from_step": from_step}
        )
        write_json(self.path / "job.json", job)
        (self.path / "error.json").unlink(missing_ok=True)

    def end(self, name: str, facts: dict[str, Any]) -> None:
        """Write the end marker: `done` or `error`."""
        write_json(self.path / f"{name}.json", {"ended": now(), **facts})

    def set_aside(self) -> Path:
        """Rename the folder so that the run can start afresh; nothing is deleted."""
        for number in range(1, 10_000):
            old = self.path.with_name(f"{self.path.name}.old-{number}")
            if not old.exists():
                self.path.rename(old)
                return old
        raise RunFolderError(f"{self.path}: has 9999 older copies beside it; remove some")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; raises AlreadyRunning. Freed by the system if we are killed."""
        folder = self.path.parent / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{self.run_id}.lock")
        try:
            lock.acquire(timeout=_LOOK)
        except Timeout:
            raise AlreadyRunning(self._who()) from None
        try:
            yield
        finally:
            lock.release()

    def _who(self) -> str:
        job = read_json(self.path / "job.json") or {"attempts": []}
        rows = self.rows()
        who = "another process"
        if job["attempts"]:
            last = job["attempts"][-1]
            who = f"process {last['pid']} on {last['host']} (since {last['started']})"
        step = f", at step {rows[-1]['step']}" if rows else ""
        return f"{self.path}: this run is being trained already by {who}{step}; nothing to do here"


def root_path(run_root: str | None) -> Path:
    """Where run folders live: run_root=, else $SIMPLIFY_RUNS, else runs/ here."""
    return Path(run_root or os.environ.get("SIMPLIFY_RUNS") or "runs").expanduser().resolve()


def run_root(config: RunConfig) -> Path:
    """The folder of the run folders, created and writable. Raises RunFolderError."""
    given, root = config.run_root or os.environ.get("SIMPLIFY_RUNS") or "runs", root_path(config.run_root)
    key = "run_root" if config.run_root or not os.environ.get("SIMPLIFY_RUNS") else "SIMPLIFY_RUNS"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".probe-{os.getpid()}-{time.monotonic_ns()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunFolderError(
            f"{key}={given}: cannot be written: {error.strerror or error}; valid: a folder you may write to, as in "
            "run_root=DIR"
        ) from None
    return root


def find_folder(root: Path, run_id: str, label: str) -> RunFolder:
    """The folder of a run: an existing one under any label, else the one it would get."""
    found = sorted(root.glob(f"*-{run_id}"))
    return RunFolder(found[0] if found else root / f"{label}-{run_id}", run_id)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
