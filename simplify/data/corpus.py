"""A corpus on disk: token files built once per machine, mapped into memory by every run.

CACHE/corpora/<name>-<key>/
  train.bin val.bin      tokens of all documents, each document closed by end-of-text
  train.docs.npy ...     where each document starts, and where the last one ends
  tokenizer.json
  meta.json              fingerprint, sizes, entropy; written last
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray
from tokenizers import Tokenizer

from simplify.config import DataConfig
from simplify.data.build import CorpusFacts, build_once
from simplify.data.sources import Source, Split, open_source
from simplify.errors import DataError

_FORMAT = 1  # of the files above; raise it when they change


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
    source, folder = _look(config, masked)
    if not (folder / "meta.json").is_file():
        try:
            build_once(config, source, folder, masked and config.tokeniser is None)
        except OSError as error:
            raise DataError(
                f"SIMPLIFY_CACHE={cache_dir()}: the corpus cannot be written: {error.strerror or error}; "
                "set SIMPLIFY_CACHE to a folder with space"
            ) from None
    return _opened(folder)


def ready_corpus(config: DataConfig, masked: bool = False) -> Corpus | None:
    """The corpus of `config`, or None where it would first have to be fetched from the hub.

    Text that lies on this machine is tokenised at once if it has not been yet.
    """
    if config.source != "hub":
        return open_corpus(config, masked)
    _, folder = _look(config, masked)
    return _opened(folder) if (folder / "meta.json").is_file() else None


def _look(config: DataConfig, masked: bool) -> tuple[Source, Path]:
    """The source of a corpus, and the folder that it has or will have."""
    source = open_source(config)
    spec = f"{_FORMAT}\n{config.source}\n{config.tokeniser}\n{config.vocab_size}\n{source.key()}"
    if masked and config.tokeniser is None:
        spec += "\nmasked"
    key = hashlib.sha256(spec.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return source, cache_dir() / "corpora" / f"{config.source}-{key}"


def _opened(folder: Path) -> Corpus:
    stored = json.loads((folder / "meta.json").read_text())
    stored.pop("dtype")
    return Corpus(folder, CorpusFacts(**stored))
