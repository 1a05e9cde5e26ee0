"""Every error this program raises on purpose, with the exit code the shell sees.

    SimplifyError
    |-- UserError (2)            something typed, written or missing that the user can change
    |   |-- ConfigError          a setting: unknown key, wrong value, settings that exclude each other
    |   |-- DataError            a corpus that is missing, empty or too small
    |   |-- RunFolderError       a run folder or checkpoint that cannot be used
    |   `-- UploadError          W&B: no key, a wrong one, no network
    |-- TrainingFailed (1)       the run itself failed; the cause is in its error.json
    `-- TryAgain (75)            nothing is wrong; the same command continues (sysexits' EX_TEMPFAIL)
        |-- Interrupted          stopped by a signal, state saved
        `-- AlreadyRunning       another process is training this run now

A message is one line: the full key, what was found, what is valid, what to do.
"""

from __future__ import annotations


class SimplifyError(Exception):
    """Base of all intended errors; anything else that escapes is a bug and keeps its traceback."""

    exit_code = 1


class UserError(SimplifyError):
    """The user can repair this by changing what was typed or what lies on disk."""

    exit_code = 2


class ConfigError(UserError):
    """One line for each setting that is wrong; `lines` holds them all."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class DataError(UserError):
    """The corpus is missing, empty, or too small for the run."""


class RunFolderError(UserError):
    """The run folder cannot be written, or holds something that belongs to another run."""


class UploadError(UserError):
    """W&B does not talk to us: `reason`, and what to do about it. The run folders have everything."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"wandb: {reason}; {advice}; nothing is lost, the run folders have everything")
        self.reason = reason


class TrainingFailed(SimplifyError):
    """The run failed. `cause` is one of the words listed in `simplify.runs.folder.CAUSES`."""

    exit_code = 1

    def __init__(self, cause: str, message: str, **facts: object) -> None:
        super().__init__(message)
        self.cause = cause
        self.facts = facts


class TryAgain(SimplifyError):
    """Stopped without a fault: the same command continues where this one left off."""

    exit_code = 75


class Interrupted(TryAgain):
    """A signal asked the run to stop: its number, 0 where something else did."""

    def __init__(self, message: str, signal: int = 0) -> None:
        super().__init__(message)
        self.signal = signal


class AlreadyRunning(TryAgain):
    """Another live process holds the run's lock."""
