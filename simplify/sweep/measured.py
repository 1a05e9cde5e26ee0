"""Measuring a step of some configurations, or one product, in a process of its own: this one stays without torch."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from simplify.config import RunConfig
from simplify.program import program
from simplify.runs.precision import Speed
from simplify.sweep.places import Place
from simplify.sweep.timings import answer_of

_TIMEOUT = 120.0  # seconds for all of them
TOO_LONG = f"measuring a step took longer than {_TIMEOUT:.0f} s"  # the only answer that says nothing against the model


def measure(configs: Sequence[RunConfig], threads: int | None) -> list[float | str]:
    """Seconds of a step, or why they are unknown, for each. One that kills its process does not lose the rest.

    `threads`: those that torch computes with; None leaves them to it.
    """
    environment, answers = _environment(threads), list[float | str]()
    end = time.monotonic() + _TIMEOUT
    while len(answers) < len(configs):
        asked = [config.model_dump(mode="json") for config in configs[len(answers) :]]
        found, reason, killed = _ask("simplify.training.timing", asked, environment, max(end - time.monotonic(), 0.0))
        answers += found
        left = len(configs) - len(answers)
        answers += [reason] * (min(left, 1) if killed else left)
    return answers


def measure_product(config: RunConfig, place: Place) -> float | str:
    """Seconds that TERA (`simplify.sweep.product`) FLOPs of products take at a place, or why nobody knows."""
    module = "simplify.sweep.product" if place.is_plain else "simplify.bench.ceiling"
    asked = [config.model_dump(mode="json")]
    found, reason, _ = _ask(module, asked, _environment(place.threads), _TIMEOUT)
    return found[0] if found else reason


@functools.cache
def measure_bf16() -> Speed | None:
    """How much faster this CPU is in bf16 than in fp32; None where it could not be measured."""
    words, environment = program(module="simplify.training.bf16"), _environment(1)
    try:
        done = subprocess.run(words, capture_output=True, env=environment, timeout=_TIMEOUT, check=True)
        return Speed(**json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None


def _environment(threads: int | None) -> dict[str, str]:
    """Threads by the names that torch's libraries and numpy's read."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **(dict.fromkeys(names, str(threads)) if threads else {})}


def _ask(
    module: str, asked: Sequence[Mapping[str, Any]], environment: Mapping[str, str], timeout: float
) -> tuple[list[float | str], str, bool]:
    """The answers that came, why there are no more, and whether it is the next configuration's fault alone."""
    words, question = program(module=module), json.dumps(asked).encode()
    try:
        done = subprocess.run(words, input=question, capture_output=True, env=environment, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as late:
        return _answers(late.stdout or b""), TOO_LONG, False
    except OSError as error:
        return [], f"{sys.executable} cannot be started: {error.strerror or error}", False
    if done.returncode < 0:
        memory = " (most likely for want of memory)" if done.returncode == -signal.SIGKILL else ""
        return _answers(done.stdout), f"measuring died of signal {-done.returncode}{memory}", True
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
