"""Small files that are whole or absent, left out where they are neither, and what a full disk means."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.disk import BROKEN, FULL, file_of, is_about, named, whole_file
from simplify.errors import RunFolderError, TrainingFailed

if TYPE_CHECKING:
    from simplify.runs.shapes import Shape

_ROOM = 64 * 1024  # bytes
_left_out: dict[Path, str] = {}


def write_whole(path: Path, data: str | bytes, sync: bool = True) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part (`sync`: see `whole_file`)."""
    with whole_file(path, sync) as out:
        out.write(data.encode() if isinstance(data, str) else data)


def check_space(root: Path) -> None:
    """Raise OSError where the disk of `root` has no room for a run's first files."""
    path = root / f".space-{os.getpid()}"
    write_whole(path, "0" * _ROOM)
    path.unlink()


def is_full(root: Path) -> bool:
    """Whether its disk is full, as far as can be told without writing."""
    try:
        about = os.statvfs(root)
    except OSError:
        return False
    return about.f_bavail * about.f_frsize < _ROOM or (about.f_files > 0 and about.f_favail == 0)


def take_away(path: Path) -> None:
    """Remove a small file; what else lies in its place is set aside, and nothing of it is deleted."""
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):  # which of them, the system decides
        if not path.is_dir():
            raise
        path.rename(path.with_name(f"{path.name}.{time.time_ns()}.damaged"))


def write_json(path: Path, data: Any) -> None:
    """`data` as readable JSON, whole or absent. NaN is written as null: JSON has none."""
    write_whole(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def append_line(path: Path, data: Any) -> None:
    """Add `data` as a line of JSON, on the disk when this returns.

    A line that a crash has torn is closed first, so that it takes none with it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with named(path), open(path, "a+b") as file:
        file.seek(0, os.SEEK_END)
        torn = b""
        if file.tell():
            file.seek(-1, os.SEEK_END)
            torn = b"" if file.read(1) == b"\n" else b"\n"
        file.write(torn + (json.dumps(data, allow_nan=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def read_json(path: Path, shape: type[Shape] | None = None) -> dict[str, Any] | None:
    """The object in `path`; None where the file is missing, not whole, or does not fit `shape`.

    A file that is there and cannot be used is left out and kept in mind (`left_out`), so that it can be named.
    """
    return _read(path, json.loads, shape)


def read_yaml(path: Path, shape: type[Shape] | None = None) -> dict[str, Any] | None:
    """The same of a YAML file."""
    import yaml

    def parse(text: bytes) -> Any:
        try:  # the C loader, where there is one, is ten times as fast
            return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from None

    return _read(path, parse, shape)


def yaml_text(data: Mapping[str, Any]) -> str:
    """Plain `data` as YAML, in its own order."""
    import yaml

    return yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)  # C: as above


def _read(path: Path, parse: Callable[[bytes], Any], shape: type[Shape] | None) -> dict[str, Any] | None:
    try:
        text = path.read_bytes()
        data = parse(text)
        if b"\\u" in text:
            json.dumps(data, ensure_ascii=False).encode()  # half a character, which nobody could print
        if not isinstance(data, dict):
            raise ValueError("is no object")
        if shape is not None:
            shape.model_validate(data)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        _left_out[path] = error.strerror or str(error)
    except (ValueError, RecursionError) as error:  # pydantic's ValidationError is a ValueError
        _left_out[path] = _what_is_wrong(path, error)
    else:
        return data
    return None


def _what_is_wrong(path: Path, error: Exception) -> str:
    """In a few words, however long a library's own are."""
    with contextlib.suppress(OSError):
        if not path.stat().st_size:
            return "is empty"
    if (details := getattr(error, "errors", None)) is None:
        return "is no object" if str(error) == "is no object" else f"is no {path.suffix[1:] or 'JSON'}"
    first = details(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:80]
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def left_out() -> list[str]:
    """A line for each file that was there and could not be used since this was last asked."""
    lines = [f"left out: {path}: {what}" for path, what in sorted(_left_out.items())]
    _left_out.clear()
    return lines


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """What cannot be written below `root` becomes a RunFolderError of one line: dispatching loses nothing.

    An error that is about another file is left as it is.
    """
    try:
        yield
    except OSError as error:
        known = error.errno in (*FULL, *BROKEN, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
        if not known or not is_about(error, root):
            raise
        raise RunFolderError(
            f"{root}: cannot be written: {error.strerror or error}; nothing is lost: make space or repair it, then run "
            "the same command again"
        ) from None


def storage_failure(error: OSError, folder: Path) -> TrainingFailed | None:
    """The intended error for a write that failed: below `folder`, or of a file on a full or broken disk; else None."""
    reason, again = error.strerror or str(error), "then run the same command again"
    full = error.errno in FULL
    if not is_about(error, folder):
        if error.filename is None or error.errno not in (*FULL, *BROKEN):
            return None
        what = "make space" if full else "repair it"
        return TrainingFailed("disk_full" if full else "storage", f"{file_of(error)}: {reason}; {what}, {again}")
    if full:
        saved = any((folder / "checkpoint").glob("*.json"))  # written last: with it a checkpoint is whole
        kept = "the last good checkpoint is intact: " if saved else ""
        return TrainingFailed("disk_full", f"{folder}: {reason}; {kept}make space, {again}")
    return TrainingFailed("storage", f"{folder}: cannot be written: {reason}; repair it, {again}")


def storage_now(folder: Path) -> tuple[str, str] | None:
    """What is wrong with the disk below `folder` at this moment, as a cause and a sentence; None if nothing is.

    Where merely this user may not write, nothing can be told.
    """
    place = folder if folder.is_dir() else folder.parent
    probe = place / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(bytes(4096))
    except OSError as error:
        if error.errno in FULL:
            return "disk_full", f"the disk of {place} is full now: make space, then simplify retry"
        if error.errno in (*BROKEN, errno.EPERM):
            return "storage", f"{place} cannot be written now ({error.strerror}): repair it, then simplify retry"
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return None
