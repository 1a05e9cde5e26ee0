"""Train the runs of a plan one after another, each in a fresh process, in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simplify.config import RunConfig
from simplify.errors import Interrupted
from simplify.runs.folder import RunFolder

_STOPPED = (Interrupted.exit_code, 130, -signal.SIGINT, -signal.SIGTERM)


@dataclass(frozen=True)
class Ended:
    """How many runs of a sweep ended how."""

    done: int
    failed: int
    elsewhere: int  # another process has them


def train_one_by_one(
    runs: Sequence[tuple[RunFolder, RunConfig]], note: Callable[[str], None], fail_fast: bool = False
) -> Ended:
    """Train each run; one that fails does not stop the others unless `fail_fast`.

    A fresh process a run: what one leaves in memory, or dies of, cannot touch the next. Raises
    Interrupted when a signal has stopped the run that was going.
    """
    done = failed = elsewhere = 0
    frozen = [(folder, folder.freeze(config)) for folder, config in runs]  # before the first starts
    for number, (folder, config) in enumerate(frozen, start=1):
        note(f"[{number}/{len(frozen)}] {folder.path.name}")
        code = _train(str(config), str(folder.path.parent))
        state = folder.state()
        if state == "done":
            done += 1
        elif state == "running":
            elsewhere += 1
        elif code in _STOPPED:
            raise Interrupted(f"sweep: stopped in {folder.path.name}; the same command goes on from there")
        else:
            failed += 1
            error = folder.error() or {"message": f"its process ended with code {code}"}
            note(f"{folder.path.name}: failed: {error['message']}")
            if fail_fast:
                break
    return Ended(done, failed, elsewhere)


def _train(config: str, root: str) -> int:
    """The exit code of a training process. Ctrl-C reaches it directly; here it is only waited for."""
    words = [sys.executable, "-m", "simplify", "train", "--config", config]
    with subprocess.Popen(words, env={**os.environ, "SIMPLIFY_RUNS": root}) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
