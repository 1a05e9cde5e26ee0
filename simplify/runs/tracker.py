"""The W&B mirror of a run. metrics.jsonl is the truth; this is a copy that may fail.

The only module that knows wandb. Every call is guarded: a tracker that is unreachable, full or
killed is reported once and then left alone; it never changes a run's exit code.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from simplify.config import RunConfig
from simplify.errors import SimplifyError
from simplify.runs.folder import RunFolder

_SECONDS_TO_START = 15
_SECONDS_TO_FINISH = 30


class Tracker:
    """Mirrors one run into W&B, or does nothing when `wandb.mode=disabled`."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._run: Any = None

    def start(self, config: RunConfig, folder: RunFolder, facts: Mapping[str, Any]) -> None:
        """Open the W&B run whose id is ours; online falls back to offline."""
        if config.wandb.mode == "disabled":
            return  # and wandb is not imported, which costs a second
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # else one look-up of its host, even offline
        try:
            with _no_questions():
                self._run = _open(config, folder, facts, config.wandb.mode)
            return
        except SimplifyError:  # a signal asked us to stop, and wandb is not what failed
            raise
        except Exception as error:
            problem = _short(error)
        if config.wandb.mode == "online":
            self._warn(f"wandb: online is not available ({problem}); logging offline in the run folder")
            try:
                self._run = _open(config, folder, facts, "offline")
                return
            except Exception as error:
                problem = _short(error)
        self._warn(f"wandb: not available ({problem}); metrics.jsonl has everything")

    def log(self, row: Mapping[str, float | int]) -> None:
        """One row of metrics."""
        self._guarded(lambda run: run.log(dict(row), step=row["step"]))

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """Close the W&B run with its last numbers."""
        self._guarded(lambda run: run.summary.update(dict(summary)))
        self._guarded(lambda run: run.finish(exit_code=exit_code))
        self._run = None
        _tear_down()

    def _guarded(self, call: Callable[[Any], object]) -> None:
        if self._run is None:
            return
        try:
            call(self._run)
        except Exception as error:
            self._run = None
            _tear_down()
            self._warn(f"wandb: stopped ({_short(error)}); metrics.jsonl has everything")


def _open(config: RunConfig, folder: RunFolder, facts: Mapping[str, Any], mode: Literal["online", "offline"]) -> Any:
    import wandb

    wanted = {
        "console": "off",
        "silent": True,
        "init_timeout": _SECONDS_TO_START,
        "finish_timeout": _SECONDS_TO_FINISH,
        "x_transaction_log_flush_interval": 2,
        "disable_git": True,  # run.json has the commit of our own code, wherever the user stands
    }
    known = {k: v for k, v in wanted.items() if k in wandb.Settings.model_fields}
    git = facts.get("git") or {}
    run = wandb.init(
        mode=mode,
        id=folder.run_id,
        resume="allow" if mode == "online" else None,
        name=folder.path.name,
        project=config.wandb.project,
        entity=config.wandb.entity,
        group=config.wandb.group or f"{config.model.name}-{config.data.name}",
        job_type="train",
        tags=list(dict.fromkeys([config.block.name[:64], *config.wandb.tags])),
        config={**config.model_dump(mode="json"), "git_commit": git.get("commit"), "git_dirty": git.get("dirty")},
        dir=str(folder.path),
        settings=wandb.Settings(**known),
    )
    for axis in ("step", "tokens", "seconds"):
        run.define_metric(axis)
    run.define_metric("*", step_metric="step")
    return run


@contextlib.contextmanager
def _no_questions() -> Iterator[None]:
    """Without a key wandb would ask on the terminal, and a run nobody watches would wait for ever."""
    asked = sys.stdin
    with open(os.devnull) as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = asked


def _tear_down() -> None:
    """End wandb's service process now: at interpreter exit it would print a traceback if it is dead."""
    wandb = sys.modules.get("wandb")
    if wandb is not None:
        with contextlib.suppress(Exception, SystemExit):
            wandb.teardown()


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}".rstrip(": ")
