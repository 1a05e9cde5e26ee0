"""Tokenising a split in parts, in one process or several. A part is whole or absent, so a killed build goes on.

PARTS/
  train-000000.tokens    the tokens of some documents; gone once they are in train.bin
  train-000000.json      lengths of these documents, bytes of text, SHA-256 of the tokens; written last
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent import futures
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from simplify.data.patience import awake
from simplify.data.source import Source
from simplify.data.splits import SPLITS, Split
from simplify.data.tokenisers import end_of_text, open_tokeniser
from simplify.disk import whole_file
from simplify.display import tell
from simplify.errors import DataError

PART_BYTES = 4 << 20  # of text: two seconds of a core, which is what a kill costs
_PART_DOCUMENTS = 8192
_BATCH_DOCUMENTS, _BATCH_CHARACTERS = 256, 1 << 20  # a book of a megabyte is a batch of its own
_Run = Callable[[Callable[[], list[Encoding]]], list[Encoding]]
_Beat = Callable[["Part", float], None]
_AHEAD = 2  # parts a worker that are asked for before they are needed


@dataclass(frozen=True)
class Part:
    """The documents at the places first..end-1 of a split's source."""

    split: Split
    number: int
    first: int
    end: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:06d}"


@dataclass(frozen=True)
class PartFacts:
    """What is known of a whole part."""

    lengths: tuple[int, ...]  # tokens of each document, its end-of-text counted
    text_bytes: int  # of UTF-8
    sha256: str  # of the tokens' bytes


@dataclass(frozen=True)
class Work:
    """Where parts come from and go to."""

    source: Source
    folder: Path  # of the parts
    tokeniser: Path
    dtype: str

    def facts(self, part: Part) -> PartFacts | None:
        """Facts of a part that is whole, None of one that is not."""
        try:
            stored = json.loads((self.folder / f"{part.name}.json").read_text())
        except (OSError, ValueError):
            return None
        return PartFacts(**{**stored, "lengths": tuple(stored["lengths"])})

    def tokens(self, part: Part) -> Path:
        """The file with a part's tokens."""
        return self.folder / f"{part.name}.tokens"

    def forget(self, part: Part) -> None:
        """Remove a part that turned out damaged."""
        (self.folder / f"{part.name}.json").unlink(missing_ok=True)
        self.tokens(part).unlink(missing_ok=True)


def part_size(source: Source) -> int:
    """Documents that make some PART_BYTES of text."""
    return max(1, min(_PART_DOCUMENTS, PART_BYTES // max(1, source.mean_bytes())))


def cut(source: Source, step: int) -> list[Part]:
    """A source cut into parts of `step` documents."""
    return [
        Part(split, number, first, min(first + step, source.size(split)))
        for split in SPLITS
        for number, first in enumerate(range(0, source.size(split), step))
    ]


def whole_parts(work: Work, parts: Sequence[Part], workers: int, beat: _Beat) -> Generator[Part, None, None]:
    """Each part once it is whole, in order; those that are whole already are not made again.

    `beat` is told the part that is waited for, and how many seconds a long call has taken.
    """
    todo = [part for part in parts if work.facts(part) is None]
    if min(workers, len(todo)) < 2:
        yield from _here(work, parts, beat)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of the tokeniser's threads
    until, held = context.Pipe(duplex=False)  # closed, it ends the workers in the middle of what they do
    try:
        pool = ProcessPoolExecutor(min(workers, len(todo)), context, _begin_worker, (work, until))
    except OSError as error:  # /dev/shm is read-only, say: several are only faster
        tell(f"data: several processes cannot work together here ({error.strerror or error}); going on with one")
        yield from _here(work, parts, beat)
        return
    try:
        yield from _ahead(pool, parts, set(todo), _AHEAD * workers, beat)
    except BrokenProcessPool:
        raise DataError(
            "data prepare: a worker process was killed, as the system does when memory runs out; what is done stays: "
            f"run the same command again with fewer workers (--workers {max(1, workers // 2)})"
        ) from None
    except BaseException:
        held.close()
        pool.shutdown(cancel_futures=True)
        remove_unfinished(work.folder)  # what workers were writing
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        held.close()
        until.close()


def _here(work: Work, parts: Sequence[Part], beat: _Beat) -> Iterator[Part]:
    """Parts made in this process, one after the other; the tokeniser has threads of its own."""
    tokeniser = open_tokeniser(work.tokeniser)
    for part in parts:
        if work.facts(part) is None:
            write_part(work, tokeniser, part, lambda call, part=part: awake(call, lambda s: beat(part, s)))
        yield part


def _ahead(pool: ProcessPoolExecutor, parts: Sequence[Part], todo: set[Part], most: int, beat: _Beat) -> Iterator[Part]:
    """Parts in order, with at most `most` of them asked for: a slow first one does not fill the disk with others."""
    asked: deque[tuple[Part, Future[None] | None]] = deque()
    for part in parts:
        asked.append((part, _submit(pool, part) if part in todo else None))
        if len(asked) == most:
            yield _first(asked, beat)
    while asked:
        yield _first(asked, beat)


def _submit(pool: ProcessPoolExecutor, part: Part) -> Future[None]:
    """Ask for a part. A worker that is started for it does not hear Ctrl-C, which is for the parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit it
    try:
        return pool.submit(_work_on, part)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _first(asked: deque[tuple[Part, Future[None] | None]], beat: _Beat) -> Part:
    part, future = asked.popleft()
    began = time.monotonic()
    while future is not None:
        try:
            future.result(timeout=1)
            break
        except futures.TimeoutError:
            beat(part, time.monotonic() - began)
    return part


_working: tuple[Work, Tokenizer]  # of a worker process


def _begin_worker(work: Work, until: Connection) -> None:
    global _working
    threading.Thread(target=_die_with_parent, args=(until,), daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there is a process for each core
    _working = (work, open_tokeniser(work.tokeniser))


def _die_with_parent(until: Connection) -> None:
    """End with the parent, after a kill -9 too, or when it gives up: in a long call nothing else would be heard."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel, until])
        os._exit(1)


def _work_on(part: Part) -> None:
    write_part(*_working, part)


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that has ended was writing."""
    for left in folder.glob(".*"):
        left.unlink(missing_ok=True)


def write_part(
    work: Work,
    tokeniser: Tokenizer,
    part: Part,
    run: _Run = lambda call: call(),
) -> None:
    """Tokenise a part: documents one after the other, each closed by end-of-text. `run` makes the long calls."""
    end, digest, lengths, size = end_of_text(tokeniser), hashlib.sha256(), [], 0
    with whole_file(work.tokens(part)) as out:
        for texts in _batches(work.source.documents(part.split, part.first, part.end)):
            size += sum(len(text.encode("utf-8", "replace")) for text in texts)
            for encoding in run(lambda texts=texts: tokeniser.encode_batch_fast(texts, add_special_tokens=False)):
                tokens = np.array([*encoding.ids, end], dtype=work.dtype).tobytes()
                digest.update(tokens)
                out.write(tokens)
                lengths.append(len(encoding.ids) + 1)
    facts = PartFacts(tuple(lengths), size, digest.hexdigest())
    with whole_file(work.folder / f"{part.name}.json") as out:
        out.write(json.dumps(asdict(facts)).encode())


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if len(batch) == _BATCH_DOCUMENTS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
