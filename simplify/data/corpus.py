"""A corpus on disk: token files built once per machine, mapped into memory by every run.

    CACHE/corpora/<name>-<key>/
      train.bin val.bin      tokens of all documents, each document closed by end-of-text
      train.docs.npy ...     where each document starts, and where the last one ends
      tokenizer.json
      meta.json              fingerprint, sizes, entropy; written last

Built in a folder aside and renamed, under a lock, so that two runs that start together share it.
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
import platformdirs
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from tokenizers import Tokenizer

from simplify.config import DataConfig
from simplify.data.sources import SPLITS, Source, Split, open_source
from simplify.data.tokenisers import end_of_text, load_tokeniser, train_bpe
from simplify.display import Meter, meter
from simplify.errors import DataError

_FORMAT = 1  # of the files above; raise it when they change
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


@dataclass(frozen=True)
class Corpus:
    """An opened corpus."""

    folder: Path
    facts: CorpusFacts

    def tokens(self, split: Split) -> NDArray[np.unsignedinteger]:
        """All tokens of a split, mapped read-only."""
        dtype = json.loads((self.folder / "meta.json").read_text())["dtype"]
        path = self.folder / f"{split}.bin"
        if not path.stat().st_size:  # which cannot be mapped
            return np.zeros(0, dtype=dtype)
        return np.memmap(path, dtype=dtype, mode="r")

    def document_starts(self, split: Split) -> NDArray[np.int64]:
        """Start of each document in `tokens(split)`, and the end of the last one."""
        return np.load(self.folder / f"{split}.docs.npy")

    def tokeniser(self) -> Tokenizer:
        """The corpus' tokeniser."""
        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))


def cache_dir() -> Path:
    """$SIMPLIFY_CACHE, else the user's cache folder of this system."""
    given = os.environ.get("SIMPLIFY_CACHE")
    return Path(given).expanduser().resolve() if given else platformdirs.user_cache_path("simplify")


def open_corpus(config: DataConfig, masked: bool = False) -> Corpus:
    """The corpus of `config`, built first if this machine does not have it yet.

    `masked`: a tokeniser that is trained here gets a mask token, for an encoder.
    """
    source = open_source(config)
    masked = masked and config.tokeniser is None
    spec = f"{_FORMAT}\n{config.source}\n{config.tokeniser}\n{config.vocab_size}\n{source.key()}" + (
        "\nmasked" if masked else ""
    )
    key = hashlib.sha256(spec.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    folder = cache_dir() / "corpora" / f"{config.source}-{key}"
    if not (folder / "meta.json").is_file():
        try:
            _build_once(config, source, folder, masked)
        except OSError as error:
            raise DataError(
                f"SIMPLIFY_CACHE={cache_dir()}: the corpus cannot be written: {error.strerror or error}; "
                "set SIMPLIFY_CACHE to a folder with space"
            ) from None
    stored = json.loads((folder / "meta.json").read_text())
    stored.pop("dtype")
    return Corpus(folder, CorpusFacts(**stored))


def _build_once(config: DataConfig, source: Source, folder: Path, masked: bool) -> None:
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
