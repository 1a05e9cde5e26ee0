"""Building a corpus: tokens, documents and facts, in a folder aside that is renamed when it is whole.

Under a lock, so that two runs that start together share it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from tokenizers import Tokenizer

from simplify.config import DataConfig
from simplify.data.sources import SPLITS, Source, Split
from simplify.data.tokenisers import end_of_text, load_tokeniser, train_bpe
from simplify.display import Meter, meter

_DOCUMENTS_AT_ONCE = 256


@dataclass(frozen=True)
class CorpusFacts:
    """What is known of a corpus without reading it."""

    fingerprint: str  # hash of the tokens and the tokeniser: the corpus' part in a run's identity
    train_tokens: int
    val_tokens: int
    val_bytes: int  # of UTF-8 text in the validation split
    train_documents: int
    val_documents: int
    unigram_entropy: float  # nats a token, of the training split: what knowing only frequencies scores


def build_once(config: DataConfig, source: Source, folder: Path, masked: bool) -> None:
    """Build a corpus in `folder`, or wait for the process that is building it. Raises OSError, DataError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("data: another process is building this corpus; waiting for it", flush=True)
        lock.acquire()
    try:
        if (folder / "meta.json").is_file():
            return
        aside = folder.with_name(f".{folder.name}.building")
        shutil.rmtree(aside, ignore_errors=True)  # left by a killed build: we hold the lock
        aside.mkdir()
        try:
            _build(config, source, aside, masked)
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    finally:
        lock.release()


def _build(config: DataConfig, source: Source, folder: Path, masked: bool) -> None:
    total = source.count()
    with meter(f"data: {config.name}", 2.0 * total if config.tokeniser is None else total) as progress:
        seen = _Counter(progress)
        if config.tokeniser is None:
            texts = seen.through(source.documents("train"), "training the tokeniser")
            tokeniser = train_bpe(texts, config.vocab_size, total, masked)
        else:
            tokeniser = load_tokeniser(config)
        tokeniser.save(str(folder / "tokenizer.json"))
        tokeniser.encode_special_tokens = True  # "<|endoftext|>" inside a text is text
        dtype = np.uint16 if config.vocab_size <= 2**16 else np.uint32
        written: dict[Split, _Written] = {
            split: _write_split(
                tokeniser, seen.through(source.documents(split), f"tokenising {split}"), folder, split, dtype
            )
            for split in SPLITS
        }
    facts = _facts(folder, written, dtype)
    _write_synced(folder / "meta.json", json.dumps({**asdict(facts), "dtype": np.dtype(dtype).name}, indent=1))


class _Counter:
    """Counts documents through a progress report."""

    def __init__(self, progress: Meter) -> None:
        self._progress, self._done = progress, 0

    def through(self, texts: Iterator[str], doing: str) -> Iterator[str]:
        for text in texts:
            yield text
            self._done += 1
            self._progress.update(self._done, doing)


@dataclass(frozen=True)
class _Written:
    tokens: int
    documents: int
    bytes: int


def _write_split(
    tokeniser: Tokenizer, texts: Iterator[str], folder: Path, split: Split, dtype: type[np.unsignedinteger]
) -> _Written:
    end, starts, size, batch = end_of_text(tokeniser), [0], 0, []
    with open(folder / f"{split}.bin", "wb") as out:
        for text in texts:
            batch.append(text)
            size += len(text.encode("utf-8", "replace"))
            if len(batch) == _DOCUMENTS_AT_ONCE:
                _write_batch(tokeniser, batch, end, out, starts, dtype)
                batch = []
        _write_batch(tokeniser, batch, end, out, starts, dtype)
        _sync(out)
    np.save(folder / f"{split}.docs.npy", np.array(starts, dtype=np.int64))
    return _Written(starts[-1], len(starts) - 1, size)


def _write_batch(
    tokeniser: Tokenizer,
    texts: list[str],
    end: int,
    out: IO[bytes],
    starts: list[int],
    dtype: type[np.unsignedinteger],
) -> None:
    for encoding in tokeniser.encode_batch_fast(texts, add_special_tokens=False):
        tokens = np.array([*encoding.ids, end], dtype=dtype)
        out.write(tokens.tobytes())
        starts.append(starts[-1] + len(tokens))


def _facts(folder: Path, written: dict[Split, _Written], dtype: type[np.unsignedinteger]) -> CorpusFacts:
    digest = hashlib.sha256()
    for name in ("train.bin", "val.bin", "train.docs.npy", "val.docs.npy", "tokenizer.json"):
        with open(folder / name, "rb") as file:
            while chunk := file.read(1 << 24):
                digest.update(chunk)
        digest.update(name.encode())
    counts = _counts(folder / "train.bin", dtype)
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return CorpusFacts(
        fingerprint=digest.hexdigest()[:16],
        train_tokens=written["train"].tokens,
        val_tokens=written["val"].tokens,
        val_bytes=written["val"].bytes,
        train_documents=written["train"].documents,
        val_documents=written["val"].documents,
        unigram_entropy=float(-(shares * np.log(shares)).sum()),
    )


def _counts(path: Path, dtype: type[np.unsignedinteger]) -> NDArray[np.int64]:
    """How often each token occurs, without holding the file."""
    counts = np.zeros(0, dtype=np.int64)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 24):
            found = np.bincount(np.frombuffer(chunk, dtype=dtype))
            size = max(len(found), len(counts))
            counts = np.pad(counts, (0, size - len(counts))) + np.pad(found, (0, size - len(found)))
    return counts


def _sync(out: IO[bytes]) -> None:
    out.flush()
    os.fsync(out.fileno())


def _write_synced(path: Path, text: str) -> None:
    with open(path, "wb") as out:
        out.write(text.encode())
        _sync(out)
