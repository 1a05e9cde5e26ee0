"""The process that a lane's runs are forked from: it loads what every run needs, and then waits for runs.

It computes nothing itself: neither threads nor a GPU that is in use would survive a fork. See
`simplify/dispatch/nursery.py` for what is said over its pipes. It ends when its lane does, at once and
without a word, whether or not a run that it has begun goes on.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from simplify.display import parting, print_into
from simplify.program import heed_signals, loading
from simplify.runs.process import process

# What a run imports sooner or later in any case, on a CPU or a GPU, without W&B.
_NEEDED = (
    *("simplify.cli.app", "simplify.cli.train", "simplify.dispatch.here", "simplify.training.run"),
    *("simplify.compare.picture", "simplify.compare.summary", "numpy.random", "torch.utils.serialization.config"),
)


def main() -> None:
    """Go on in the process of each run, and run the command line there."""
    heed_signals()
    words = _in_a_run()
    from simplify.cli import main as command_line

    sys.argv = ["simplify", *words]
    _end(_run(command_line))


def _run(command_line: Callable[[], object]) -> int:
    """The exit code that Python would give it."""
    try:
        command_line()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """End the process as Python would, threads, exit handlers and output; but take nothing down.

    A fork would copy the 130 MiB of modules which it shares with its parent, to throw them away.
    """
    with contextlib.suppress(Exception):  # both as multiprocessing ends its forks
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    parting()  # all is written
    os._exit(code)


def _in_a_run() -> list[str]:
    """Fork at each order. Returns in the forked processes only, with the words of their command lines."""
    orders, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what is printed while modules are loaded is for the log, not for the lane
    os.close(nothing)
    with loading("torch"):
        load()
    with os.fdopen(orders, "rb", buffering=0) as lines:
        while (line := lines.readline()) and not _is_closed(orders):
            ended, held = os.pipe()  # `held` closes when the run ends, however it ends
            pid = os.fork()
            if pid == 0:
                _be_a_run(json.loads(line), answers)
                os.close(ended)
                return json.loads(line)["words"]
            os.close(held)
            _answer(answers, _code_of(pid, ended, orders))
    os._exit(0)


def _is_closed(orders: int) -> bool:
    """Whether the lane is gone, whose last order may still lie in the pipe: that run is the next lane's."""
    poll = select.poll()
    poll.register(orders, select.POLLHUP)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def load() -> None:
    """Import what every run needs, and look up what is the same for all: the versions, and which code this is.

    What is wrong with pictures is said by a run that draws one.
    """
    for name in _NEEDED:
        importlib.import_module(name)
    importlib.import_module("simplify.compare.canvas").preload()
    importlib.import_module("simplify.runs.provenance").provenance([])


def _be_a_run(order: dict[str, Any], answers: int) -> None:
    """In the new process: say who it is, and print into the run's own log."""
    _answer(answers, f"pid {os.getpid()} {process(os.getpid())['born']}")
    os.close(answers)
    print_into(Path(order["log"]))


def _code_of(pid: int, ended: int, orders: int) -> str:
    """How the run ended. If the lane goes first, this process goes with it."""
    if ended not in select.select([ended, orders], [], [])[0]:
        os._exit(0)
    os.close(ended)
    return f"code {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}"


def _answer(answers: int, words: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the lane is gone; a run goes on without it
        os.write(answers, f"{words}\n".encode())
