"""A tuned sweep goes on where its last run has ended: on a lane, or in a Slurm job, in a process of its own.

What is decided and begun there is `simplify advance`'s (`simplify/cli/advance.py`); here is who calls it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from simplify.display import tell
from simplify.program import environment_of_a_child, program
from simplify.runs.studies import code_of, due, note_stuck, why_stuck

_TRIES = 2  # one that is killed is called once more


def go_on(root: Path, run_id: str, variables: Mapping[str, str | None]) -> None:
    """Let each tuned sweep go on whose open runs have all ended with this one. Raises nothing.

    `variables` are changes to this process' environment; None: not set.
    """
    for name in due(root, run_id):
        changed = {**environment_of_a_child(), **variables}
        env = {key: value for key, value in changed.items() if value is not None}
        words = program("advance", name, "--run-root", str(root), code=code_of(root, name))
        problem = _ended(words, root, env)
        if problem and not why_stuck(root, name):  # it has not got so far as to say so itself
            note_stuck(root, name, problem)
            tell(f"{name}: cannot go on by itself: {problem}")


def _ended(words: Sequence[str], root: Path, env: Mapping[str, str]) -> str:
    """Run it; returns what was wrong."""
    code = 0
    try:
        for _ in range(_TRIES):
            code = subprocess.run(words, cwd=root, env=env, stdin=subprocess.DEVNULL, check=False).returncode
            if code >= 0:
                break
    except OSError as error:
        return error.strerror or str(error)
    return f"simplify advance ended with code {code}" if code else ""
