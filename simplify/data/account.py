"""What a corpus was made of, in a line and as data: documents, tokens, what was held out and left out, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
class Account:
    """How documents were chosen."""

    held_out: str = ""  # how the documents to validate on were chosen; "": by an earlier version, which did not say
    left_out: dict[str, int] | None = None  # by reason
    notes: tuple[str, ...] = ()
    whole: bool = True  # a document is in one split, not its parts in both
    by_name: bool = False  # and files say which


def corpus_line(name: str, facts: CorpusFacts, account: Account) -> str:
    """A corpus in a line."""
    tokens = facts.train_tokens + facts.val_tokens
    documents = facts.train_documents + facts.val_documents if account.whole else facts.train_documents
    held = f"{facts.val_documents:,} held out {account.held_out}" if account.whole else f"{account.held_out} held out"
    left = [f"{count:,} {reason}" for reason, count in (account.left_out or {}).items()]
    words = [
        f"data: {name}: {documents:,} document{'s' * (documents != 1)}, {tokens:,} tokens (train "
        f"{facts.train_tokens:,}, validation {facts.val_tokens:,}), {held}".rstrip(),
        *(["left out: " + ", ".join(left)] if left else []),
        *account.notes,
    ]
    return "; ".join(words)


def corpus_record(name: str, facts: CorpusFacts, account: Account) -> dict[str, Any]:
    """The same for run.json."""
    return {
        "name": name,
        "fingerprint": facts.fingerprint,
        "documents": {"train": facts.train_documents, "val": facts.val_documents},
        "tokens": {"train": facts.train_tokens, "val": facts.val_tokens},
        "held_out": account.held_out or None,
        "left_out": account.left_out or {},
        "notes": list(account.notes),
    }
