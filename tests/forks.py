"""The command line as a process of its own, forked from one that has loaded it: a start costs 0.1 s in place of 2.

As in a lane (`simplify/cli/nursery.py`), and a process like any other: its own pid, folder, variables, streams and exit
code, and a child of the test's process, which waits for it and kills it. What Python or a library reads only as it
starts cannot be handed to a fork, so a test that asks for such a variable or option gets one started from nothing.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Loaded by most commands, or by most that take long. wandb, pandas and the compiler are not: who needs one loads it.
_LOADED = (
    *("simplify.cli.app", "simplify.cli.train", "simplify.dispatch.here", "simplify.training.run", "simplify.compose"),
    *("simplify.compare.picture", "simplify.compare.summary", "simplify.runs.store", "numpy.random"),
)
_AT_START = {**os.environ, "OMP_NUM_THREADS": "1"}  # the variables of the process that is forked
_READ_LATE = ("SIMPLIFY_", "WANDB_", "PYTEST_", "COLUMNS", "HOME", "NETRC", "PATH", "PWD")  # by nothing at its import
_SUBREAPER = 36  # of Linux' prctl: whose parent has ended becomes our child
_SERVE = "import sys; from forks import serve; serve(int(sys.argv[1]))"


def start(words: tuple[str, ...], cwd: Path, env: dict[str, str], **options: Any) -> subprocess.Popen[str]:
    """A process that runs `simplify` with these words; `options` are Popen's."""
    command = [sys.executable, "-m", "simplify", *words]
    plain = options.keys() <= {"stdin", "stdout", "stderr"}
    kind = _Forked if sys.platform == "linux" and plain and _can_be_handed(env) else subprocess.Popen
    return kind(command, cwd=cwd, env=env, text=True, **options)


def _can_be_handed(env: dict[str, str]) -> bool:
    ours = {**_AT_START, "PYTHONPATH": str(ROOT)}
    return all(name.startswith(_READ_LATE) or env.get(name) == ours.get(name) for name in {*env, *ours})


class _Forked(subprocess.Popen):  # type: ignore[type-arg]
    """A Popen whose process is begun by the server."""

    def _execute_child(self, args: Any, *others: Any) -> None:
        cwd, env = others[4], others[5]
        stdin, into, out, stdout, err, stderr = others[9:15]
        channel = _server()
        order = {"words": args[3:], "cwd": os.fspath(cwd), "env": env}
        socket.send_fds(channel, [json.dumps(order).encode()], [stdin, stdout, stderr])
        self.pid = int(channel.recv(64))
        self._child_created = True
        self._close_pipe_fds(stdin, into, out, stdout, err, stderr)  # type: ignore[attr-defined]


@functools.cache
def _server() -> socket.socket:
    """The channel to this process' server, which ends with it."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {**_AT_START, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(ROOT)])}
    command = [sys.executable, "-c", _SERVE, str(its.fileno())]
    server = subprocess.Popen(command, env=env, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL)
    its.close()
    ours.settimeout(120)
    atexit.register(lambda: (ours.close(), server.wait()))
    return ours


def serve(number: int) -> None:
    """Fork at each order until the channel is closed."""
    from simplify.cli import nursery
    from simplify.compare import canvas
    from simplify.program import loading

    with loading("torch"):
        for name in _LOADED:
            importlib.import_module(name)
        canvas.preload()
    gc.freeze()
    channel = socket.socket(fileno=number)
    while True:
        order, streams, _, _ = socket.recv_fds(channel, 2**20, 3)
        if not order:
            os._exit(0)
        reads, writes = os.pipe()
        if (middle := os.fork()) == 0:  # whose end makes its child the test's
            if (pid := os.fork()) == 0:
                channel.close()
                os.close(reads)
                os.close(writes)
                _become(json.loads(order), streams)
                from simplify.cli import main

                nursery._end(nursery._run(main))
            os.write(writes, str(pid).encode())
            os._exit(0)
        os.waitpid(middle, 0)
        channel.send(os.read(reads, 64))
        for descriptor in (reads, writes, *streams):
            os.close(descriptor)


def _become(order: dict[str, Any], streams: list[int]) -> None:
    """Be a process that was started with these words, folder, variables and streams."""
    for own, given in enumerate(streams):
        os.dup2(given, own)
    for given in streams:
        os.close(given)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.argv = [str(ROOT / "simplify" / "__main__.py"), *order["words"]]
