"""Our own program as a child process: the same code, from whatever folder and however it is installed."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# `python -m` would look into the current folder first, where anything may lie under our name. As in `loading`.
_START = (
    "import gc, sys; gc.disable(); sys.path[0] = sys.argv.pop(1); sys.argv[0] = 'simplify'; from {0} import main; "
    "gc.freeze(); gc.enable(); main()"
)


def program(*words: str, code: str | Path | None = None, module: str = "simplify.cli") -> list[str]:
    """The command line that runs `main` of a module of ours; `code` is the folder that holds the package."""
    return [sys.executable, "-c", _START.format(module), str(code or code_folder()), *words]


def code_folder() -> Path:
    """The folder that holds this package."""
    return Path(__file__).resolve().parents[1]


def import_path() -> str:
    """A PYTHONPATH on which other programs (submitit's) find this package."""
    return os.pathsep.join([str(code_folder()), *filter(None, [os.environ.get("PYTHONPATH")])])


@contextlib.contextmanager
def loading(library: str) -> Iterator[None]:
    """Import `library` and what comes with it; its objects stay, so the garbage collector need not look at them.

    Else it looks through all of them several times on the way, and once more at the end.
    """
    if library in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
