"""Files that are whole or absent, which folder a disk's error is about, and which errors are nobody's bug."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from simplify.errors import ConfigError, UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BROKEN = (errno.EIO, errno.EROFS, errno.ESTALE)
# What a system says of a file, whatever file that is. Anything else is a bug of ours until it is known.
_MACHINE = (
    *FULL,
    *BROKEN,
    errno.EACCES,
    errno.EPERM,
    errno.ENOLCK,
    errno.EMFILE,
    errno.ENFILE,
    errno.EAGAIN,
    errno.EOPNOTSUPP,
)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """A write that fails inside is about `path`: the system names no file where an open one cannot be written."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def whole_file(path: Path, sync: bool = True) -> Iterator[IO[bytes]]:
    """A file that is written aside, reaches the disk and is renamed: whole or absent, and its errors name it.

    Without `sync` a power cut can leave a part; a thousand small files at once are then a matter of milliseconds.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with named(aside), open(aside, "wb") as out:
            yield out
            if sync:
                out.flush()
                os.fsync(out.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def is_about(error: OSError, folder: Path) -> bool:
    """Whether an error names a file below a folder. One that names none is about no folder that we know."""
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    try:
        return any(Path(os.path.abspath(name)).is_relative_to(os.path.abspath(folder)) for name in names)
    except FileNotFoundError:  # a name from the current folder, which was removed
        return False


def file_of(error: OSError) -> str:
    """The file that an error is about, as it is told."""
    name = error.filename
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else "the system"


def of_the_machine(error: OSError) -> UserError | None:
    """An error of the system that no part of the program expected, told as what it is; None: it may be our bug."""
    if isinstance(error, FileNotFoundError):
        try:
            check_folder()
        except UserError as gone:
            return gone
    if error.errno not in _MACHINE:
        return None
    return UserError(f"{file_of(error)}: {error.strerror}; repair that, then run the same command again")


def check_folder() -> None:
    """Raise UserError where the current folder was removed: libraries end in their own ways without one."""
    try:
        os.getcwd()
    except FileNotFoundError:
        told = "the current folder was removed; change to one that is there (cd), then type it again"
        raise UserError(told) from None


def expanded(given: str | Path, key: str) -> Path:
    """A path with `~` as the home folder. Raises ConfigError where nobody knows that: HOME is not set."""
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{key}={given}: nobody knows the home folder that `~` stands for (HOME is not set, or no such user); "
            "valid: the folder's whole path"
        ) from None
