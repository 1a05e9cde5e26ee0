"""Where a lane's runs begin: forked from a process that has loaded torch and our code once for all of them.

To load them takes longer than a small run trains. So the lane keeps one process that has done so and has
touched nothing else: no device, no thread of torch's, no setting of a run (`simplify/cli/nursery.py`). Each
run is a fork of it, with a process, a log and an end of its own. It serves runs of the same code, folder and
cache; another one takes its place where one of these differs, or the code was edited. Where it cannot be
had, the run is started from nothing, as in a shell.

    lane -> it    a line of JSON a run: {"words": [...], "log": "..."}; the end of the lines is its end
    it -> lane    "pid N BORN" from the run itself, then "code N"
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from simplify.program import program
from simplify.runs.code import PACKAGE, code_hash
from simplify.runs.process import is_alive, process, this_process
from simplify.runs.queue import Job

_MODULE = "simplify.cli.nursery"
_Kind = tuple[str, ...]  # what runs must share to come from one process


class Fresh:
    """A run whose process was started from nothing."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen, self.pid = popen, popen.pid
        self.itself: Mapping[str, Any] = process(popen.pid)
        self.code: int | None = None

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, known after that time at most; then `code` says how."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.code = self._popen.wait(seconds)
        return self.code is not None

    def terminate(self) -> None:
        """Ask it to save and stop."""
        self._popen.terminate()


class Forked:
    """A run that is forked from a nursery's process. Until it is, `pid` is that process: to end it ends the run."""

    def __init__(self, parent: subprocess.Popen[bytes]) -> None:
        self._parent, self.pid = parent, parent.pid
        self.itself: Mapping[str, Any] = {}  # its pid and birth, as in `process`; empty until it is forked
        self.code: int | None = None  # None at its end: the parent went first, so nobody knows
        self._said = b""
        self._orphan = False

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, known after that time at most; also returns where `pid` has changed."""
        if self._orphan:
            time.sleep(seconds)
            return not is_alive({**this_process(), **self.itself})
        answers = self._parent.stdout
        assert answers is not None
        if not select.select([answers], [], [], seconds)[0]:
            return False
        data = os.read(answers.fileno(), 4096)
        self._said += data
        *lines, self._said = self._said.split(b"\n")
        for line in lines:
            word, number, *born = line.decode().split()
            if word == "code":
                self.code = int(number)
                return True
            self.pid = int(number)
            self.itself = {"pid": self.pid, "born": born[0]} if born else process(self.pid)  # older code says none
        if data:
            return False
        if self.pid == self._parent.pid:
            self.code = self._parent.wait()
            return True
        self._orphan = True
        return False

    def terminate(self) -> None:
        """Ask it to save and stop."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


class Nursery:
    """A lane's process to fork runs from, if there is one now."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kind: _Kind = ()
        self._parent: subprocess.Popen[bytes] | None = None

    def start(self, job: Job, words: list[str], log: IO[str], env: Mapping[str, str]) -> Fresh | Forked:
        """A process that runs our command line with `words` and prints into `log`. Raises OSError."""
        package = Path(job.code) / PACKAGE.name
        if not _can_fork(package):
            self.close()
            command = program(*words, code=job.code)
            null = subprocess.DEVNULL
            return Fresh(subprocess.Popen(command, cwd=job.cwd, env=env, stdin=null, stdout=log, stderr=log))
        kind = (job.code, job.cwd, job.cache, code_hash(package))
        order = json.dumps({"words": words, "log": log.name}).encode() + b"\n"
        if kind != self._kind or not Path(job.cwd).is_dir() or not self._takes(order):
            self.close()
            command = program(str(self._root), module=_MODULE, code=job.code)
            pipe = subprocess.PIPE
            self._parent = subprocess.Popen(command, cwd=job.cwd, env=env, stdin=pipe, stdout=pipe, stderr=log)
            self._kind = kind
            self._takes(order)  # if not, it is dead already, which is seen by its silence
        assert self._parent is not None
        return Forked(self._parent)

    def _takes(self, order: bytes) -> bool:
        """Whether the process is there and has got the order."""
        if self._parent is None or self._parent.poll() is not None:
            return False
        assert self._parent.stdin is not None
        try:
            self._parent.stdin.write(order)
            self._parent.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def close(self) -> None:
        """End the process; a run that was forked from it and goes on is not touched."""
        if self._parent is None:
            return
        for pipe in (self._parent.stdin, self._parent.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._parent.kill()  # it may still be loading, and has nothing to save
        self._parent.wait()
        self._parent, self._kind = None, ()


def _can_fork(package: Path) -> bool:
    """On Linux alone: elsewhere system libraries do not bear it. A snapshot of older code cannot either."""
    return sys.platform == "linux" and package.joinpath(*_MODULE.split(".")[1:]).with_suffix(".py").is_file()
