"""The two splits of a corpus, and which of its documents are held out."""

from __future__ import annotations

import hashlib
from typing import Literal

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


def held_out(name: str, fraction: float) -> bool:
    """Whether the document `name` belongs to validation: a stable hash, so that adding a file moves no other."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < fraction * 2**64
