"""Text files of a folder, or one file, as documents (`data.path`, `data.pattern`)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from simplify.config import DataConfig
from simplify.data.source import Survey, file_key
from simplify.data.splits import Named, Split, held_out, passed_over, stretch, text_by_names
from simplify.data.text import READS, NoText, Text, decoded
from simplify.data.walk import Found, walk
from simplify.disk import expanded
from simplify.errors import DataError

_ROWS = (".jsonl", ".ndjson")  # a document a line, among names and brackets that nobody wants to train on
_RULES = 2  # which files are read, and how; raise it when that changes


@dataclass(frozen=True)
class FolderSource:
    """Text files, each a document.

    Held out are those that `val` names; without any such names those that a stable hash of their names chooses; where
    that leaves a split without a document, the last part of each.
    """

    root: Path
    found: Found
    val_fraction: float
    how: Literal["names", "hash", "stretch"]
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: int = 0  # files that are for testing by their names

    def key(self) -> str:
        whole = file_key(self.root, self.found.names, self.val_fraction)
        return "\n".join([whole, f"rules {_RULES}", *([] if self.how == "hash" else [self.how])])

    def origin(self) -> str:
        return ""

    def size(self, split: Split) -> int:
        return len(self._names(split))

    def mean_bytes(self) -> int:
        return sum((self.root / name).stat().st_size for name in self.train) // max(len(self.train), 1)

    def documents(self, split: Split, first: int = 0, end: int | None = None) -> Iterator[str]:
        for name in self._names(split)[first:end]:
            text = self._read(name).text
            if self.how == "stretch":
                text = stretch(text, self.val_fraction, split)
            if text:
                yield text

    def survey(self, beat: Callable[[str], None]) -> Survey:
        left_out = Counter({"empty": 0, **self.found.left_out, "test by name": self.test})
        replaced: Counter[str] = Counter()
        held, copies = set[bytes](), set[str]()
        for name in (*self.val, *(name for name in self.train if name not in self._held)):
            beat(f"looking at {name}")
            found = self._read(name)
            replaced[name] = found.substitutes
            left_out["empty"] += not found.text
            digest = hashlib.blake2b(found.text.encode("utf-8", "replace"), digest_size=16).digest()
            if self.how == "stretch":
                continue
            if name in self._held:
                held.add(digest)
            elif found.text and digest in held:
                copies.add(name)
        left_out["copies of held-out documents"] = len(copies)
        source = replace(self, train=tuple(name for name in self.train if name not in copies))
        left = {reason: count for reason, count in left_out.items() if count}
        return Survey(source, self._said(), left, self._notes(replaced), self.how != "stretch", self.how == "names")

    @property
    def _held(self) -> frozenset[str]:
        return frozenset(self.val) if self.how != "stretch" else frozenset()

    def _said(self) -> str:
        share = f"{self.val_fraction:.3g}".removeprefix("0")
        return {
            "names": "by name (train, val)",
            "hash": "by a hash of their names",
            "stretch": f"the last 0{share} of each",
        }[self.how]

    def _notes(self, replaced: Counter[str]) -> tuple[str, ...]:
        notes: list[str] = []
        broken = [name for name, count in replaced.items() if count]
        if broken:
            more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
            notes.append(f"{sum(replaced.values()):,} substitutes for bytes that are no UTF-8, in {broken[0]}{more}")
        if self.how != "names" and (name := passed_over(self.found.names)):
            notes.append(f"{name} is not taken as validation: no folder train beside it, or not all files say which")
        return tuple(notes)

    def _names(self, split: Split) -> tuple[str, ...]:
        return self.train if split == "train" else self.val

    def _read(self, name: str) -> Text:
        try:
            if Path(name).suffix.lower() in _ROWS:
                raise NoText(f"is JSON lines, not plain text; {READS}")
            return decoded((self.root / name).read_bytes())
        except NoText as what:
            raise DataError(f"data.path={self.root}: {name} {what}; or leave it out by data.pattern") from None
        except OSError as error:
            raise DataError(
                f"data.path={self.root}: {name} cannot be read: {error.strerror}; make it readable, or leave it out by "
                "data.pattern"
            ) from None


def folder_source(config: DataConfig) -> FolderSource:
    """The text that `data.path` names. Raises DataError if there is none."""
    path = expanded(str(config.path), "data.path")
    if path.is_file():
        root, found = path.parent, Found((path.name,), {}, ())
    elif path.is_dir():
        root, found = path, _found(path, str(config.pattern))
    else:
        raise DataError(
            f"data.path={config.path}: no such folder; valid: an existing folder of text files, or one text file"
        )
    with_text = [name for name in found.names if (root / name).stat().st_size]
    if not with_text:
        raise DataError(_nothing(config, found))
    named = text_by_names(found.names)
    if named is not None:
        return _split(root, found, config, "names", named)
    val = tuple(name for name in found.names if held_out(name, config.val_fraction))
    train = tuple(name for name in found.names if name not in set(val))
    if not {*val} & {*with_text} or not {*train} & {*with_text}:
        return _split(root, found, config, "stretch", Named(found.names, found.names, ()))
    return _split(root, found, config, "hash", Named(train, val, ()))


def _split(
    root: Path, found: Found, config: DataConfig, how: Literal["names", "hash", "stretch"], named: Named
) -> FolderSource:
    return FolderSource(root.resolve(), found, config.val_fraction, how, named.train, named.val, len(named.test))


def _found(root: Path, pattern: str) -> Found:
    parts = tuple(part for part in pattern.split("/") if part not in ("", "."))
    if pattern.startswith("/") or ".." in parts or not parts:
        raise DataError(f"data.pattern={pattern}: no pattern relative to data.path; valid: one that is, as in **/*.md")
    return walk(root, f"data.path={root}", parts)


def _nothing(config: DataConfig, found: Found) -> str:
    """Why a folder has no text, and a pattern that would find some."""
    kinds = Counter(Path(name).suffix for name in found.others if Path(name).suffix)
    there = "".join(
        f"; there are {n} {kind} files: " + (READS if kind.lower() in _ROWS else f"data.pattern='\"**/*{kind}\"'")
        for kind, n in kinds.most_common(1)
    )
    empty = f"{len(found.names)} file{'s'[: len(found.names) != 1]} below data.path={config.path}, none with text in it"
    return f"data.pattern={config.pattern}: {empty}{there}; valid: a pattern that matches text files, as in **/*.md"
