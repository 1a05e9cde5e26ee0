"""What ends a run badly, written down: error.json, and a word from each process of several.

<run>/ranks/<rank>.json    why a process other than 0 died; without it 0 would know only that it is gone
"""

from __future__ import annotations

import contextlib
import socket
import time
import traceback
from typing import Any

from simplify.errors import TrainingFailed, TryAgain
from simplify.runs.files import storage_failure, write_json
from simplify.runs.ranks import first_rank_error, rank_path
from simplify.training.device import Device, out_of_memory
from simplify.training.task import Task

_LAST_LINES = 20
_WAIT = 5.0  # seconds that another process' word may take to show on a shared disk


class ErrorMarker(contextlib.AbstractContextManager[None]):
    """Turns what ends the training badly into error.json and the error the user sees."""

    def __init__(self, task: Task, device: Device) -> None:
        self._task, self._device = task, device
        if task.world.leads:
            for path in (task.folder.path / "ranks").glob("*.json"):  # of an earlier attempt
                path.unlink(missing_ok=True)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, TryAgain) or not isinstance(error, Exception):
            return
        known = self._known(error)
        lines = "".join(traceback.format_exception(error)).strip().splitlines()[-_LAST_LINES:]
        facts = {"cause": "exception", "message": f"{type(error).__name__}: {error}", "traceback": lines}
        if known is not None:
            facts = {"cause": known.cause, "message": str(known), **known.facts, "traceback": lines}
        with contextlib.suppress(OSError):  # the disk may be full; then the message is all there is
            if self._task.world.leads:
                self._task.folder.end("error", facts if known else self._of_another() or facts)
            else:
                self._tell(facts)
        if known is not None and known is not error:
            raise known from None

    def _tell(self, facts: dict[str, Any]) -> None:
        """A word for process 0, which notices only that the connection is lost."""
        path = rank_path(self._task.folder.path, self._task.world.rank)
        path.parent.mkdir(exist_ok=True)
        where = f"process {self._task.world.rank} on {socket.gethostname()}"
        write_json(path, {**facts, "message": f"{where}: {facts['message']}", "at": time.time()})

    def _of_another(self) -> dict[str, Any] | None:
        """The error of the process that died first, where it was not this one."""
        if self._task.world.size == 1:
            return None
        end = time.monotonic() + _WAIT
        while (found := first_rank_error(self._task.folder.path)) is None and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def _known(self, error: Exception) -> TrainingFailed | None:
        if isinstance(error, TrainingFailed):
            return error
        if out_of_memory(error):
            return self._out_of_memory()
        return storage_failure(error, self._task.folder.path) if isinstance(error, OSError) else None

    def _out_of_memory(self) -> TrainingFailed:
        config = self._task.config
        return TrainingFailed(
            "out_of_memory",
            f"out of memory on {self._device.kind} with train.micro_batch={config.micro_batch} sequences of "
            f"{config.model.seq_len} tokens; lower train.micro_batch (the batch and the result stay the same), then "
            "run the same command again",
            micro_batch=config.micro_batch,
        )
