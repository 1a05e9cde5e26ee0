"""A corpus on disk: token files built once per machine, mapped into memory by every run.

CACHE/corpora/<name>-<key>/
  train.bin val.bin      tokens of all documents, each document closed by end-of-text
  train.docs.npy ...     where each document starts, and where the last one ends
  tokenizer.json
  meta.json              fingerprint, sizes, entropy, SHA-256 of each file; written last
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simplify.config import DataConfig
from simplify.data.account import Account, CorpusFacts, corpus_line, corpus_record
from simplify.data.build import build_once, origin_hash
from simplify.data.cache import cache_dir
from simplify.data.files import FULL_DISK, LocalFiles
from simplify.data.joined import read_all
from simplify.data.source import Source
from simplify.data.sources import open_source
from simplify.data.splits import Split
from simplify.data.tokenisers import Tokenizer, has_choice_of_mask, read_tokeniser, tokeniser_key
from simplify.disk import is_about
from simplify.errors import DataError

_FORMAT = 1  # of the files above; raise it when they change


@dataclass(frozen=True)
class Corpus:
    """An opened corpus."""

    folder: Path
    facts: CorpusFacts
    account: Account = field(default_factory=Account)
    origin: str | None = None  # the folder of the files that stand for it, where `prepare --from` read some
    files: str | None = None  # of these files names, sizes and times, hashed

    def tokens(self, split: Split) -> NDArray[np.unsignedinteger]:
        """All tokens of a split, mapped read-only."""
        dtype = self._stored()["dtype"]
        path = self.folder / f"{split}.bin"
        if not path.stat().st_size:  # which cannot be mapped
            return np.zeros(0, dtype=dtype)
        return np.memmap(path, dtype=dtype, mode="r")

    def document_starts(self, split: Split) -> NDArray[np.int64]:
        """Start of each document in `tokens(split)`, and the end of the last one."""
        return np.load(self.folder / f"{split}.docs.npy")

    def tokeniser(self) -> Tokenizer:
        """The corpus' tokeniser."""
        return read_tokeniser(self.tokeniser_path)

    @property
    def tokeniser_path(self) -> Path:
        """Its file."""
        return self.folder / "tokenizer.json"

    def line(self, name: str) -> str:
        """What it was made of, for people; `name` is data.name."""
        return corpus_line(name, self.facts, self.account)

    def record(self, name: str) -> dict[str, Any]:
        """The same for run.json."""
        return corpus_record(name, self.facts, self.account)

    def check(self) -> None:
        """Read all files against their checksums. Raises DataError naming what is damaged."""
        stored = self._stored()
        try:
            found = read_all(self.folder, np.dtype(stored["dtype"]))
        except (OSError, ValueError) as error:
            damaged = str(error)
        else:
            if found.fingerprint == self.facts.fingerprint:
                return
            known = stored.get("sha256", {})  # corpora of earlier versions have the fingerprint alone
            damaged = ", ".join(name for name, digest in found.sha256.items() if known.get(name, digest) != digest)
        raise DataError(
            f"{self.folder}: damaged on the disk ({damaged or 'fingerprint ' + self.facts.fingerprint}); remove the "
            "folder, then prepare it anew"
        )

    def _stored(self) -> dict[str, Any]:
        return json.loads((self.folder / "meta.json").read_text())


def open_corpus(config: DataConfig, masked: bool = False, files: LocalFiles | None = None, workers: int = 1) -> Corpus:
    """The corpus of `config`, built first, by so many processes, if this machine does not have it yet.

    `masked`: a tokeniser that is trained here gets a mask token, for an encoder. `files` are read in place of
    the hub; the corpus is then that of `config` for all who open it.
    """
    source, folder = _look(config, masked, files)
    if not (folder / "meta.json").is_file():
        try:
            build_once(config, source, folder, masked, workers)
        except OSError as error:
            if not is_about(error, cache_dir()):  # a text that cannot be read, say
                raise
            full = "make space, and the same command goes on where it stopped, or " if error.errno in FULL_DISK else ""
            raise DataError(
                f"SIMPLIFY_CACHE={cache_dir()}: the corpus cannot be written: {error.strerror or error}; {full}"
                "set SIMPLIFY_CACHE to a folder with space"
            ) from None
    corpus = _opened(folder)
    if files is not None and corpus.origin != str(files.folder):
        raise DataError(
            f"--from {files.folder}: data={config.name} was prepared from {corpus.origin or 'the hub'}; to prepare it "
            f"anew remove {folder}"
        )
    if files is not None and corpus.files not in (None, origin_hash(source)):
        raise DataError(
            f"--from {files.folder}: has other files by now than data={config.name} was prepared from; to prepare it "
            f"anew remove {folder}, to use it as it is leave out --from"
        )
    return corpus


def ready_corpus(config: DataConfig, masked: bool = False) -> Corpus | None:
    """The corpus of `config`, or None where it would first have to be fetched from the hub or from files.

    Text that lies on this machine is tokenised at once if it has not been yet.
    """
    if config.source not in ("hub", "files"):
        return open_corpus(config, masked)
    _, folder = _look(config, masked)
    return _opened(folder) if (folder / "meta.json").is_file() else None


def _look(config: DataConfig, masked: bool, files: LocalFiles | None = None) -> tuple[Source, Path]:
    """The source of a corpus, and the folder that it has or will have."""
    source = open_source(config, files)
    spec = f"{_FORMAT}\n{config.source}\n{tokeniser_key(config)}\n{config.vocab_size}\n{source.key()}"
    if masked and has_choice_of_mask(config):
        spec += "\nmasked"
    if config.tokeniser_kind != "bpe":
        spec += f"\n{config.tokeniser_kind}"
    if config.tokeniser_documents is not None:
        spec += f"\ntokeniser_documents={config.tokeniser_documents}"
    key = hashlib.sha256(spec.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return source, cache_dir() / "corpora" / f"{config.source}-{key}"


def _opened(folder: Path) -> Corpus:
    stored = json.loads((folder / "meta.json").read_text())
    facts = CorpusFacts(**{fact.name: stored[fact.name] for fact in fields(CorpusFacts)})
    account = stored.get("account") or {}
    chosen = Account(**{**account, "notes": tuple(account.get("notes", ()))})
    return Corpus(folder, facts, chosen, stored.get("from"), stored.get("files"))
