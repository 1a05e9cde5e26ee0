"""The two splits of a corpus, and which of its documents are held out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")
TRAIN_WORDS, VAL_WORDS, TEST_WORDS = ("train",), ("validation", "valid", "val", "dev"), ("test",)


@dataclass(frozen=True)
class Named:
    """Files whose names say what they are for."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def held_out(name: str, fraction: float) -> bool:
    """Whether the document `name` belongs to validation: a stable hash, so that adding a file moves no other."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < fraction * 2**64


def stretch(text: str, fraction: float, split: Split) -> str:
    """A document's beginning to train on, or its last `fraction` to validate on.

    It is cut behind a line, or else behind a space, where one lies in the first half of that last part.
    """
    start = int(len(text) * (1 - fraction))
    middle = (start + len(text)) // 2
    ends = (text.find(mark, max(start - 1, 0), middle) + 1 for mark in ("\n", " "))
    cut = next((end for end in ends if end), start)
    return text[:cut] if split == "train" else text[cut:]


def says(name: str, words: Sequence[str]) -> bool:
    """Whether one of `words` is a word of a file's name or of its folders'."""
    return bool(set(re.split(r"[^a-z]+", name.lower())) & set(words))


def by_names(names: Sequence[str]) -> Named:
    """What files of a data set say: nothing counts unless one of them says `train`; the rest is to train on."""
    named = any(says(name, TRAIN_WORDS) for name in names)  # else a name such as test.txt means nothing
    val = tuple(name for name in names if named and says(name, VAL_WORDS))
    test = tuple(name for name in names if named and name not in val and says(name, TEST_WORDS))
    return Named(tuple(name for name in names if name not in {*val, *test}), val, test)


def text_by_names(names: Sequence[str]) -> Named | None:
    """The same for text, whose names may mean other things: None unless they leave no doubt.

    They do not where folders are called train and val (or validation, valid, dev) side by side, or where every file's
    name says train, val or test.
    """
    folders = sorted(name.split("/")[:-1] for name in names)
    common = 0  # folders that all files share
    while len(folders[0]) > common and folders[0][: common + 1] == folders[-1][: common + 1]:
        common += 1
    inner = {name: name.split("/")[common:] for name in names}
    folder = {name: parts[0].lower() if len(parts) > 1 else "" for name, parts in inner.items()}
    if {*folder.values()} & {*TRAIN_WORDS} and {*folder.values()} & {*VAL_WORDS}:
        val = tuple(name for name in names if folder[name] in VAL_WORDS)
        test = tuple(name for name in names if folder[name] in TEST_WORDS)
        return Named(tuple(name for name in names if name not in {*val, *test}), val, test)
    every = (*TRAIN_WORDS, *VAL_WORDS, *TEST_WORDS)
    if all(says("/".join(parts), every) for parts in inner.values()):
        found = by_names(names)
        return found if found.train and found.val else None
    return None


def passed_over(names: Sequence[str]) -> str | None:
    """The first folder or file that is called like a validation split."""
    return next((part for name in names for part in name.split("/") if part.split(".")[0].lower() in VAL_WORDS), None)
