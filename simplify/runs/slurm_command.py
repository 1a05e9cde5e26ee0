"""The one door to Slurm's commands: what they see of the environment, how long they are waited for, what they said."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

from simplify.display import tell_aside
from simplify.program import environment_of_a_child

_PATIENCE = 15.0  # seconds that Slurm's silence may cost in all, however many commands a verb needs
_FORGIVES = 60.0  # seconds after which it is waited for anew: `watch` stays for hours
_ONE = 12.0  # seconds for one answer; a busy controller takes some
_LEAST = 1.0  # with less time left a command is not even begun
_SAY_AFTER = 3.0
# Variables that change what a command does or prints, or that tell a new job it is an old one's step.
_SETTINGS = (
    "SLURM",
    "SBATCH_",
    "SRUN_",
    "SALLOC_",
    "SQUEUE_",
    "SACCT_",
    "SCANCEL_",
    "SINFO_",
    "SCONTROL_",
    "SUBMITIT_",
)
_WHERE = ("SLURM_CONF", "SLURM_JWT", "SLURM_SACK")  # where the cluster is, and who asks
# What the commands say where the controller was not reached, or its answer did not arrive.
_SILENT = (
    *(
        "Unable to contact",
        "Socket timed out",
        "Zero Bytes",
        "onnection failure",
        "onnection refused",
        "shutdown failure",
    ),
    *("Message receive failure", "Message send failure", "Transport endpoint", "onnection reset"),
    "socket error",
)


@dataclass(frozen=True)
class Reply:
    """What a command came to."""

    code: int
    out: str
    said: str  # its standard error
    silent: bool = False  # Slurm was not reached, or its answer is lost: what was asked for may happen or not
    ran: bool = True  # False: it was not begun, so nothing can have happened

    @property
    def problem(self) -> str:
        """What is wrong, in a line; empty where nothing is said."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        return lines[-1] if lines else ""


class _Patience:
    """How much of Slurm's silence has been borne lately."""

    def __init__(self) -> None:
        self._lost, self._since, self._told = 0.0, 0.0, False

    @property
    def left(self) -> float:
        if time.monotonic() - self._since > _FORGIVES:
            self._lost = 0.0
        return _PATIENCE - self._lost

    def lose(self, seconds: float) -> None:
        if self._lost == 0.0:
            self._since = time.monotonic()
        self._lost += seconds

    def say(self, name: str, seconds: float) -> None:
        """Once: that it is Slurm that is waited for."""
        if not self._told:
            self._told = True
            with contextlib.suppress(OSError, ValueError):  # words may not end work
                tell_aside(f"Slurm has not answered yet ({name}); waiting for up to {seconds:.0f} s")


_patience = _Patience()


def command(*words: str, seconds: float | None = None) -> Reply:
    """Run one of Slurm's commands. Raises nothing.

    `seconds`: how long to wait for it, whatever the others have cost. Without, all commands of a while share
    their waiting, so that a controller which is gone costs a verb some seconds and not some for each question.
    """
    left = _patience.left if seconds is None else seconds
    if left < _LEAST:
        return Reply(124, "", f"{words[0]}: Slurm did not answer a moment ago", silent=True, ran=False)
    limit = min(left, _ONE) if seconds is None else seconds
    start = time.monotonic()
    reply = _run(words, limit, tell=seconds is None)
    if reply.silent:
        _patience.lose(time.monotonic() - start)
    return reply


def is_silent() -> bool:
    """Whether Slurm has left a question of the last minute unanswered."""
    return _patience.left < _PATIENCE


def _run(words: tuple[str, ...], limit: float, tell: bool) -> Reply:
    name = words[0]
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment(for_jobs=name in ("sbatch", "srun")),
        )
    except FileNotFoundError:
        return Reply(127, "", f"{name} is not on this machine", ran=False)
    except OSError as error:
        return Reply(126, "", f"{name}: {error.strerror or error}", ran=False)
    with process:
        try:
            out, said = _communicate(process, name, limit, tell)
        except subprocess.TimeoutExpired:
            return Reply(124, "", f"{name} did not answer within {limit:.0f} s", silent=True)
        finally:
            process.kill()  # what hangs, or what Ctrl-C has left
    silent = bool(process.returncode) and (process.returncode < 0 or any(word in said for word in _SILENT))
    return Reply(process.returncode, out, said, silent)


def _communicate(process: subprocess.Popen[str], name: str, limit: float, tell: bool) -> tuple[str, str]:
    first = min(_SAY_AFTER, limit) if tell else limit
    try:
        return process.communicate(timeout=first)
    except subprocess.TimeoutExpired:
        if limit <= first:
            raise
    _patience.say(name, limit - first)
    return process.communicate(timeout=limit - first)


def environment(for_jobs: bool = False) -> Mapping[str, str]:
    """What Slurm's commands are to see. Jobs inherit it, so that those of ours get nothing else than the shell has."""
    clean = {
        name: value
        for name, value in environment_of_a_child().items()
        if name.startswith(_WHERE) or not name.startswith(_SETTINGS)
    }
    return clean if for_jobs else {**clean, "SLURM_TIME_FORMAT": "standard", "LC_ALL": "C"}
