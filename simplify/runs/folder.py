"""The run folder: every fact about a run lives in one of its files.

runs/<label>-<id>/
  config.yaml      complete and resolved: `simplify train --config` repeats the run from it
  tokenizer.json   the corpus' tokeniser
  run.json         the same configuration, identity, git commit, versions, device, command, created
  job.json         who trains it: one entry an attempt, with its process and how it ended
  heartbeat        touched while it is being trained
  log.txt          what it printed, where a lane trains it
  metrics.jsonl    one object a logged step
  gains.jsonl      one object a validation: the trained gains of each layer
  gradients.jsonl  one object a validation, where wandb.gradients asks for it: histograms of the gradients
  checkpoint/      the newest and the last but one
  done.json | error.json    exactly one at the end; cancelled.json if it was cancelled
  loss.png         the curves, drawn at the end
  finetune/        an encoder's results on GLUE, one file a task and seed
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from simplify.config import RunConfig, validate
from simplify.disk import expanded
from simplify.errors import AlreadyRunning, RunFolderError
from simplify.locks import Taken, acquire
from simplify.runs import shapes
from simplify.runs.code import code_hash
from simplify.runs.files import read_json, take_away, write_json, write_whole, yaml_text
from simplify.runs.metrics import MetricsFile, read_metrics
from simplify.runs.process import this_process

# The words error.json uses for what went wrong. refused: a setting, or the corpus; killed: by a signal.
# no_result: its process ended well and left none; stalled: attempt after attempt made no progress;
# time_limit, node_failure, preempted: as Slurm tells it; not_requeued: it has saved, and Slurm did not start it again.
CAUSES = (
    *("non_finite", "out_of_memory", "disk_full", "storage", "refused", "killed", "no_result", "exception"),
    *("stalled", "time_limit", "node_failure", "preempted", "not_requeued", "never_began"),
)


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
    def heartbeat(self) -> Path:
        """The file that is touched while the run is being trained."""
        return self.path / "heartbeat"

    @property
    def log(self) -> Path:
        """What the run printed, where a lane trains it."""
        return self.path / "log.txt"

    @property
    def tokeniser_path(self) -> Path:
        """The tokenizer.json."""
        return self.path / "tokenizer.json"

    @property
    def metrics_path(self) -> Path:
        """The metrics.jsonl."""
        return self.path / "metrics.jsonl"

    @property
    def metrics(self) -> MetricsFile:
        """The metrics file, to append to."""
        return MetricsFile(self.metrics_path)

    @property
    def gains(self) -> MetricsFile:
        """The gains' values over training: mean and deviation over heads, a layer each."""
        return MetricsFile(self.path / "gains.jsonl")

    @property
    def gradients(self) -> MetricsFile:
        """The gradients' histograms over training."""
        return MetricsFile(self.path / "gradients.jsonl")

    def config(self) -> RunConfig:
        """The configuration of a run that has begun. Raises RunFolderError; ConfigError if it is of another version."""
        kept = self.about().get("config")
        if kept is None:
            raise RunFolderError(
                f"{self.path}/run.json: has no configuration; valid: the folder of a run that has begun"
            )
        return validate(RunConfig, kept)

    def rows(self) -> list[dict[str, Any]]:
        """All logged rows."""
        return read_metrics(self.metrics_path)

    def done(self) -> dict[str, Any] | None:
        """The result, if the run is finished."""
        return read_json(self.path / "done.json", shapes.Result)

    def error(self) -> dict[str, Any] | None:
        """What went wrong in the last attempt, if it failed."""
        return read_json(self.path / "error.json", shapes.Failure)

    def about(self) -> dict[str, Any]:
        """run.json; {} before the first start."""
        return read_json(self.path / "run.json", shapes.About) or {}

    def attempts(self) -> list[dict[str, Any]]:
        """The entries of job.json, the newest last."""
        return (read_json(self.path / "job.json", shapes.Attempts) or {"attempts": []})["attempts"]

    def create(self, config: RunConfig, facts: dict[str, Any]) -> None:
        """Make the folder; config.yaml and run.json are written once, at the run's first start."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        if not self.about():
            # In run.json too: a thousand YAML files take seconds to read.
            data = as_kept(config.model_dump(mode="json"))
            self.keep_config(data)
            write_json(self.path / "run.json", {"id": self.run_id, "created": now(), **facts, "config": data})

    def keep_config(self, data: dict[str, Any]) -> None:
        """Write config.yaml."""
        write_whole(self.path / "config.yaml", yaml_text(as_kept(data)))

    def keep_tokeniser(self, source: Path) -> None:
        """Keep a copy of the corpus' tokenizer.json: with it the model is of use without the corpus."""
        text = source.read_bytes()
        if not self.tokeniser_path.is_file() or self.tokeniser_path.read_bytes() != text:
            write_whole(self.tokeniser_path, text.decode())

    def begin_attempt(self, from_step: int, origin: Mapping[str, Any]) -> None:
        """Note who trains the run now, and who asked (`origin`). An earlier error.json moves into its entry."""
        attempts, failed = self.attempts(), self.error()
        if attempts:
            last = attempts[-1]
            last.setdefault("ended", None)  # killed: nobody could write it down
            if failed is not None:
                last["error"] = failed
        facts = {**origin, "started": now(), "from_step": from_step, "code": code_hash()}
        attempts.append({**this_process(), **facts})
        write_json(self.path / "job.json", {"attempts": attempts})
        for name in ("error.json", "cancelled.json"):
            take_away(self.path / name)

    def end_attempt(self, how: str) -> None:
        """Note that this process' attempt has ended, and how: done, failed or stopped."""
        attempts = self.attempts()
        if attempts and _is_ours(attempts[-1]):
            attempts[-1] |= {"ended": now(), "how": how}
            write_json(self.path / "job.json", {"attempts": attempts})

    def check_owner(self) -> None:
        """Raise AlreadyRunning where another process has taken the run over: a cluster that believed us dead."""
        attempts = self.attempts()
        if attempts and not _is_ours(attempts[-1]):
            raise AlreadyRunning(f"{self.path}: was taken over by {_named(attempts[-1])}; leaving it to that one")

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
        try:
            lock = acquire(self.path.parent / ".locks" / f"{self.run_id}.lock")
        except Taken:
            raise AlreadyRunning(self._who()) from None
        with lock:
            yield

    def _who(self) -> str:
        attempts, rows = self.attempts(), self.rows()
        who = _named(attempts[-1]) if attempts else "another process"
        step = f", at step {rows[-1]['step']}" if rows else ""
        return f"{self.path}: this run is being trained already by {who}{step}; nothing to do here"


def _is_ours(attempt: Mapping[str, Any]) -> bool:
    return attempt.items() >= this_process().items()


def _named(attempt: Mapping[str, Any]) -> str:
    return f"process {attempt['pid']} on {attempt['host']} (since {attempt.get('started') or '?'})"


def root_path(run_root: str | None) -> Path:
    """Where run folders live: run_root=, else $SIMPLIFY_RUNS, else runs/ here."""
    key = "run_root" if run_root or not os.environ.get("SIMPLIFY_RUNS") else "SIMPLIFY_RUNS"
    return expanded(run_root or os.environ.get("SIMPLIFY_RUNS") or "runs", key).resolve()


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


def as_kept(data: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as a run folder holds it: without the run root, which is where the folder lies."""
    return {key: value for key, value in data.items() if key != "run_root"}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
