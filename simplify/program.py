"""Our own program as a child process: the same code, from whatever folder and however it is installed."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

# `python -m` would look into the current folder first, where anything may lie under our name. As in `loading`.
_START = (
    "import gc, sys; gc.disable(); sys.path[0] = sys.argv.pop(1); sys.argv[0] = 'simplify'; from {0} import main; "
    "gc.freeze(); gc.enable(); main()"
)

# What a launcher said to one process, and is untrue of those that this one starts: torchrun's words, and others'.
_GROUP = r"RANK|WORLD_SIZE|(LOCAL|GROUP|ROLE)_(RANK|WORLD_SIZE|NAME)|MASTER_(ADDR|PORT)|TORCHELASTIC_\w+"
_PLACE = r"SUBMITIT_\w+|SLURM_(PROCID|LOCALID|NODEID|NTASKS|NPROCS|GTIDS|(STEP|TASK|ARRAY_|SRUN_)\w*)"


def environment_of_a_child() -> dict[str, str]:
    """This process' variables without those that are true of it alone: a child trains alone until told otherwise."""
    return {name: value for name, value in os.environ.items() if not re.fullmatch(f"{_GROUP}|{_PLACE}", name)}


def forget_group() -> None:
    """Take torch's words for one of several processes out of the environment: this one is known to be alone."""
    for name in [name for name in os.environ if re.fullmatch(_GROUP, name)]:
        del os.environ[name]


def heed_signals() -> None:
    """Undo what a parent did to our signals, which survives exec: for the start of every process of ours.

    With SIGCHLD ignored no child's end is known; a blocked signal is never heard; nobody who ignores SIGTERM means his
    programs' programs. An ignored SIGINT or SIGHUP is meant (a job in the background, nohup). SIGUSR1 and SIGUSR2 stay
    as they are until somebody handles them: by default they would kill.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def program(*words: str, code: str | Path | None = None, module: str = "simplify.cli", first: str = "") -> list[str]:
    """The command line that runs `main` of a module of ours; `code` is the folder that holds the package.

    `first` is a statement that comes before anything is imported.
    """
    return [sys.executable, "-c", first + _START.format(module), str(code or code_folder()), *words]


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
    os.getcwd()  # raises where the current folder was removed; MKL would end the process without a word of ours
    if library in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
