"""Which files of a folder are read: one walk for text (`data.path`) and for files in place of the hub (`--from`).

Hidden files and folders and backups (notes.txt~) stay out, links are followed once, and what is left out is counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from simplify.errors import DataError

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Files by name relative to their folder, in order; how many were left out, by reason; those not wanted."""

    names: tuple[str, ...]
    left_out: dict[str, int]
    others: tuple[str, ...]


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a relative name fits a pattern, both cut at /; ** stands for any folders, and at the end for any file."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return matches(parts, pattern[1:]) or (bool(parts) and (len(pattern) == 1 or matches(parts[1:], pattern)))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and matches(parts[1:], pattern[1:])


def leads(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether what lies in a folder may fit a pattern."""
    if not parts or not pattern or pattern[0] == "**":
        return bool(pattern)
    return fnmatchcase(parts[0], pattern[0]) and leads(parts[1:], pattern[1:])


def walk(root: Path, what: str, pattern: Sequence[str], wanted: Callable[[Parts], bool] | None = None) -> Found:
    """The files below `root` whose parts fit `pattern` and, if given, are `wanted`.

    A hidden name is read where a part of the pattern begins like it. Raises DataError, beginning with `what`, for a
    folder that cannot be read.
    """
    state = _Walk(root, what, tuple(pattern), wanted or (lambda _: True))
    todo: list[Parts] = [()]
    while todo or state.links:  # links last: what is there twice has its real name
        parts = todo.pop() if todo else state.links.pop(0)
        todo += state.read(parts)
    names = state.without_second_links()
    left_out = {reason: count for reason, count in state.left_out.items() if count}
    return Found(tuple(sorted(names)), left_out, tuple(sorted(state.others)))


class _Walk:
    """A walk as far as it has come."""

    def __init__(self, root: Path, what: str, pattern: Parts, wanted: Callable[[Parts], bool]) -> None:
        self._root, self._what, self._pattern, self._also = root, what, pattern, wanted
        self._named = [part for part in pattern if part.startswith(".") or part.endswith("~")]
        self._seen: set[tuple[int, int]] = set()
        self._names: list[str] = []
        self._linked: list[str] = []
        self.links: list[Parts] = []
        self.others: list[str] = []
        self.left_out: Counter[str] = Counter()

    def read(self, parts: Parts) -> list[Parts]:
        """Take in one folder, unless it was read under another name; returns the folders in it."""
        inner: list[Parts] = []
        for entry in self._entries(self._root.joinpath(*parts)):
            here = (*parts, entry.name)
            if entry.is_dir() and not leads(here, self._pattern):
                continue
            if self._stays_out(entry.name):
                self.left_out["hidden or backup"] += entry.is_dir() or self._wanted(here)
            elif entry.is_dir():
                self._meet(entry, here, inner)
            elif not self._wanted(here):
                self.others.append("/".join(here))
            elif not entry.is_file():
                self.left_out["no regular file"] += 1
            else:
                (self._linked if entry.is_symlink() else self._names).append("/".join(here))
        self.links.sort()
        return inner

    def _meet(self, entry: os.DirEntry[str], here: Parts, inner: list[Parts]) -> None:
        if not entry.is_symlink():
            inner.append(here)
        elif self._root.resolve().is_relative_to(Path(entry.path).resolve()):  # with all that lies beside the root
            self.left_out["linked from above"] += 1
        else:
            self.links.append(here)

    def without_second_links(self) -> list[str]:
        """All names, but of several that lead to one file the real one, or the first."""
        if not self._linked:
            return self._names
        known = {_place(self._root / name) for name in self._names}
        for name in sorted(self._linked):
            place = _place(self._root / name)
            if place in known:
                self.left_out["linked twice"] += 1
            else:
                known.add(place)
                self._names.append(name)
        return self._names

    def _wanted(self, parts: Parts) -> bool:
        return matches(parts, self._pattern) and self._also(parts)

    def _stays_out(self, name: str) -> bool:
        hidden = name.startswith(".") or name.endswith("~")
        return hidden and not any(fnmatchcase(name, pattern) for pattern in self._named)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            place = _place(folder)
            if place in self._seen:
                return []
            self._seen.add(place)
            with os.scandir(folder) as found:
                return sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(
                f"{self._what}: the folder {folder} cannot be read: {error.strerror or error}; make it readable, or "
                "name a folder without it"
            ) from None


def _place(path: Path) -> tuple[int, int]:
    at = path.stat()
    return at.st_dev, at.st_ino
