"""Signals become a flag that the loop reads at a step boundary."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from simplify.display import tell
from simplify.errors import Interrupted, SimplifyError

_MEANT = ("SIGINT", "SIGHUP")  # ignored by a parent that knew what it did: a job in the background, nohup
_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP")


class StopRequest:
    """Catches the signals that mean stop, from its start until its end.

    Before `defer` a signal ends the program at once, since there is nothing to save; after it, the
    first one sets `requested` and a second Ctrl-C stops without saving. SIGHUP (nohup) or
    SIGINT (a job in the background of a script) that the parent told us to ignore stays ignored.
    """

    def __init__(self) -> None:
        self.requested = 0  # the signal's number; 0: none
        self._deferred = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None and not (name in _MEANT and signal.getsignal(number) is signal.SIG_IGN):
                self._before[number] = signal.signal(number, self._handle)
        try:  # a mask is inherited, and nobody means it for us; what a job's start has held back comes here
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._before)
        except Interrupted:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def defer(self) -> None:
        """From now on the loop decides when to stop. Raises Interrupted where a signal came before and got lost."""
        self._deferred = True
        if self.requested:
            raise self._interrupted(self.requested)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        name, again = signal.Signals(number).name, self.requested
        self.requested = self.requested or number  # also where what is raised below gets lost in a library's `except`
        if not self._deferred:
            raise self._interrupted(number)
        if again == number == signal.SIGINT:
            raise Interrupted("stopped by a second Ctrl-C without saving; the last checkpoint is intact", number)
        if not again:
            self._tell(f"\n{name}: finishing this step, then saving (a second Ctrl-C stops at once)")

    @staticmethod
    def _tell(text: str) -> None:
        """Say it if it can be said: the terminal may be gone, or the signal have come in the middle of another line."""
        try:
            tell(text)
        except SimplifyError:  # of the next signal
            raise
        except Exception:
            pass

    @staticmethod
    def _interrupted(number: int) -> Interrupted:
        name = signal.Signals(number).name
        return Interrupted(
            f"stopped by {name} before the first step; nothing to save; run the same command again", number
        )
