"""The token files of a corpus: parts copied one behind the other, and what can be checked of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simplify.data.parts import Part, PartFacts, Work
from simplify.data.splits import SPLITS, Split
from simplify.disk import named

# In the order in which the fingerprint takes them.
FILES = ("train.bin", "val.bin", "train.docs.npy", "val.docs.npy", "tokenizer.json")
_CHUNK = 1 << 24


class Damaged(Exception):
    """Bytes that are not those that were written: the name of the file."""


@dataclass(frozen=True)
class Checked:
    """What reading all files once tells."""

    fingerprint: str
    sha256: dict[str, str]  # by file
    counts: NDArray[np.int64]  # how often each token occurs in the training split


class Joined:
    """train.bin and val.bin as they grow.

    A part is copied to its place, the copy reaches the disk, then the part's file is removed. So after a kill a part
    whose file is there is copied again, to the same place, and one whose file is gone is in.
    """

    def __init__(self, folder: Path, dtype: np.dtype[np.unsignedinteger]) -> None:
        self._folder, self._dtype = folder, dtype
        self._facts: dict[Split, list[PartFacts]] = {split: [] for split in SPLITS}
        self._sizes: dict[Split, int] = dict.fromkeys(SPLITS, 0)  # bytes
        for split in SPLITS:
            (folder / f"{split}.bin").touch()

    def add(self, work: Work, part: Part) -> None:
        """Take in the next part of its split. Raises Damaged if its bytes are not what they were."""
        facts = work.facts(part)
        if facts is None:
            raise Damaged(part.name)
        path, file = work.tokens(part), self._folder / f"{part.split}.bin"
        size, place = sum(facts.lengths) * self._dtype.itemsize, self._sizes[part.split]
        if path.is_file():
            data = path.read_bytes()
            if len(data) != size or hashlib.sha256(data).hexdigest() != facts.sha256:
                raise Damaged(part.name)
            _put(file, place, data)
            path.unlink()
        self._facts[part.split].append(facts)
        self._sizes[part.split] += size

    def tokens(self, split: Split) -> int:
        """Number of tokens of a split."""
        return self._sizes[split] // self._dtype.itemsize

    def documents(self, split: Split) -> int:
        """Number of documents of a split."""
        return sum(len(facts.lengths) for facts in self._facts[split])

    def text_bytes(self, split: Split) -> int:
        """Bytes of UTF-8 text of a split."""
        return sum(facts.text_bytes for facts in self._facts[split])

    def document_starts(self, split: Split) -> NDArray[np.int64]:
        """Where each document starts, and where the last one ends."""
        lengths = [np.array(facts.lengths, dtype=np.int64) for facts in self._facts[split]]
        return np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *lengths]))

    def check(self) -> Checked:
        """Read every file once. Raises Damaged if a part is not in its place."""
        for split in SPLITS:
            if (self._folder / f"{split}.bin").stat().st_size != self._sizes[split]:
                raise Damaged(f"{split}.bin")
        return read_all(self._folder, self._dtype, self._facts)


def _put(file: Path, place: int, data: bytes) -> None:
    """Make `data` the end of a file, from `place` on; on a full disk nothing of it stays."""
    with named(file), open(file, "r+b", buffering=0) as out:
        try:
            out.seek(place)
            rest = memoryview(data)
            while rest:
                rest = rest[out.write(rest) :]
            out.truncate()
            os.fsync(out.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                out.truncate(place)
            raise


def read_all(
    folder: Path, dtype: np.dtype[np.unsignedinteger], parts: dict[Split, list[PartFacts]] | None = None
) -> Checked:
    """Hashes and counts of a corpus' files; against the checksums of `parts` where they are given."""
    whole, found, counts = hashlib.sha256(), {}, np.zeros(0, dtype=np.int64)
    by_file = {f"{split}.bin": facts for split, facts in (parts or {}).items()}
    for name in FILES:
        facts = by_file.get(name, [])
        one = hashlib.sha256()
        sizes = [sum(part.lengths) * dtype.itemsize for part in facts]
        for number, chunk in enumerate(_chunks(folder / name, sizes)):
            whole.update(chunk)
            one.update(chunk)
            if facts and hashlib.sha256(chunk).hexdigest() != facts[number].sha256:
                raise Damaged(name)
            if name == "train.bin":
                counts = _added(counts, np.bincount(np.frombuffer(chunk, dtype=dtype)))
        whole.update(name.encode())
        found[name] = one.hexdigest()
    return Checked(whole.hexdigest()[:16], found, counts)


def _chunks(path: Path, sizes: Sequence[int]) -> Iterator[bytes]:
    """The bytes of a file in pieces of these sizes; without sizes in pieces that fit the memory."""
    with open(path, "rb") as file:
        if sizes:
            yield from (file.read(size) for size in sizes)
            return
        while chunk := file.read(_CHUNK):
            yield chunk


def _added(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    size = max(len(one), len(other))
    return np.pad(one, (0, size - len(one))) + np.pad(other, (0, size - len(other)))
