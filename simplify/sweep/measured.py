"""Measuring a step of some configurations, in a process of its own: this one stays without torch."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from simplify.config import RunConfig
from simplify.program import program

_TIMEOUT = 120.0  # seconds for all of them
TOO_LONG = f"measuring a step took longer than {_TIMEOUT:.0f} s"  # the only answer that says nothing against the model


def measure(configs: Sequence[RunConfig], threads: int | None) -> list[float | str]:
    """Seconds of a step, or why they are unknown, for each. One that kills its process does not lose the rest.

    `threads`: those that torch computes with; None leaves them to it.
    """
    environment = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    answers: list[float | str] = []
    end = time.monotonic() + _TIMEOUT
    while len(answers) < len(configs):
        found, reason, killed = _ask(configs[len(answers) :], environment, max(end - time.monotonic(), 0.0))
        answers += found
        left = len(configs) - len(answers)
        answers += [reason] * (min(left, 1) if killed else left)
    return answers


def _ask(
    configs: Sequence[RunConfig], environment: Mapping[str, str], timeout: float
) -> tuple[list[float | str], str, bool]:
    """The answers that came, why there are no more, and whether it is the next configuration's fault alone."""
    words = program(module="simplify.training.timing")
    question = json.dumps([config.model_dump(mode="json") for config in configs]).encode()
    try:
        done = subprocess.run(words, input=question, capture_output=True, env=environment, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as late:
        return _answers(late.stdout or b""), TOO_LONG, False
    except OSError as error:
        return [], f"{sys.executable} cannot be started: {error.strerror or error}", False
    if done.returncode < 0:
        memory = " (most likely for want of memory)" if done.returncode == -signal.SIGKILL else ""
        return _answers(done.stdout), f"measuring a step died of signal {-done.returncode}{memory}", True
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return _answers(done.stdout), said[-1][:200] if said else f"measuring ended with code {done.returncode}", False


def _answers(output: bytes) -> list[float | str]:
    """One a line, up to the first that is not whole."""
    found: list[float | str] = []
    with contextlib.suppress(ValueError):
        for line in output.decode(errors="replace").splitlines():
            if (answer := answer_of(json.loads(line))) is None:
                break
            found.append(answer)
    return found


def answer_of(data: object) -> float | str | None:
    """Seconds, or why they are unknown; None where `data` is neither."""
    if not isinstance(data, dict):
        return None
    seconds, error = data.get("step_seconds"), data.get("error")
    if isinstance(seconds, float) and 0 < seconds < math.inf:
        return seconds
    return error if isinstance(error, str) else None
