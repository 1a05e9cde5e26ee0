"""The W&B mirror of a run that is being trained. metrics.jsonl is the truth; this is a copy that may fail.

Every call is guarded: a tracker that is unreachable, full or killed is reported once and then left
alone; it never changes a run's exit code. `simplify sync` brings what it missed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, Literal

from simplify.config import RunConfig
from simplify.errors import SimplifyError, UploadError
from simplify.runs.folder import RunFolder
from simplify.runs.history import history
from simplify.runs.mirror import Mirror, There, asked, look_up, open_run
from simplify.runs.wandb_client import connect, no_questions, short, tear_down

_SECONDS_TO_FINISH = 30
_SECONDS_FOR_A_MODEL = 600
_LATER = "simplify sync uploads it later"
_WAYS: dict[str, tuple[Literal["online", "offline"], ...]] = {
    "online": ("online", "offline"),
    "offline": ("offline",),
    "disabled": (),  # and wandb is not imported, which costs a second
}


class Tracker:
    """Mirrors one run into W&B, or does nothing when `wandb.mode=disabled`.

    Rows are handed to a thread: training does not wait for W&B, however long that takes over one.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._run: Mirror | None = None
        self._rows: SimpleQueue[Mapping[str, Any] | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._send, name="wandb", daemon=True)

    def start(self, config: RunConfig, folder: RunFolder, facts: Mapping[str, Any]) -> None:
        """Open the W&B run that is ours and send what it lacks so far; online falls back to offline."""
        for mode in _WAYS[config.wandb.mode]:
            try:
                with no_questions():
                    self._run = _open(config, folder, facts, mode)
                self._worker.start()
                return
            except UploadError as error:
                problem = error.reason
            except SimplifyError:  # a signal asked us to stop, and wandb is not what failed
                raise
            except Exception as error:
                problem = short(error)
            if mode == "online":
                self._warn(f"wandb: online is not available ({problem}); logging offline in the run folder, {_LATER}")
            else:
                self._warn(f"wandb: not available ({problem}); metrics.jsonl has everything")

    def log(self, row: Mapping[str, Any]) -> None:
        """One row of metrics; "gains" in it is a line of gains.jsonl without its step."""
        if self._run is not None:
            self._rows.put(row)

    def _send(self) -> None:
        while (row := self._rows.get()) is not None:
            self._guarded(lambda run, row=row: run.log(row))

    def finish(self, summary: Mapping[str, Any], exit_code: int, problem: str = "") -> None:
        """Close the W&B run with its last numbers, once all rows are with it; `problem` is why the run failed."""
        if self._worker.is_alive():
            self._rows.put(None)
            self._worker.join(_SECONDS_TO_FINISH)
            if self._worker.is_alive():
                self._run = None
                self._warn(
                    f"wandb: stopped (no answer in {_SECONDS_TO_FINISH} s); metrics.jsonl has everything, {_LATER}"
                )
        self._guarded(lambda run: run.finish(summary, exit_code, problem))
        self._run = None
        tear_down()

    def _guarded(self, call: Callable[[Mirror], object]) -> None:
        if self._run is None:
            return
        try:
            call(self._run)
        except Exception as error:
            self._run = None
            tear_down()
            self._warn(f"wandb: stopped ({short(error)}); metrics.jsonl has everything, {_LATER}")


def _open(config: RunConfig, folder: RunFolder, facts: Mapping[str, Any], mode: Literal["online", "offline"]) -> Mirror:
    about = {**facts, **folder.about()}
    wanted = asked(folder, config.model_dump(mode="json"), about)
    there = look_up(connect(), wanted) if mode == "online" else There(folder.run_id)
    patience = _SECONDS_FOR_A_MODEL if config.wandb.model else _SECONDS_TO_FINISH
    run = open_run(wanted, there, mode, folder.path, patience)
    if mode == "online":  # an offline stretch, or rows that were written after its last upload
        for row in history(folder.path):
            run.log(row)
    return run
