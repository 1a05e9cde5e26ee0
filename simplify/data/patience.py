"""Long calls into libraries that hear no signal and show nothing: they run on a thread, and the caller waits awake."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")
_LOOK = 0.2  # seconds: how soon a signal is heard


def awake(call: Callable[[], _Result], beat: Callable[[float], None] = lambda _: None) -> _Result:
    """What `call` returns or raises; `beat` is told the seconds that it takes, some times a second.

    A signal handler that raises ends the waiting; the call goes on without anybody, until the process ends.
    """
    ended: queue.SimpleQueue[Callable[[], _Result]] = queue.SimpleQueue()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:
            raised = error  # `error` is gone when this block ends
            ended.put(lambda: _raise(raised))
        else:
            ended.put(lambda: result)

    began = time.monotonic()
    threading.Thread(target=run, daemon=True).start()
    while True:
        try:
            outcome = ended.get(timeout=_LOOK)
        except queue.Empty:
            beat(time.monotonic() - began)
        else:
            return outcome()


def _raise(error: BaseException) -> _Result:  # pyright: ignore[reportInvalidTypeVarUse]
    raise error
