"""`simplify data prepare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simplify.choices import choices, overlay_dir
from simplify.compose import compose_run
from simplify.config import nearest
from simplify.data.corpus import open_corpus
from simplify.errors import ConfigError


def data_command(what: str, name: str, words: Sequence[str], conf: Path | None) -> None:
    """Fetch and tokenise a corpus, or say that it is there."""
    if what != "prepare":
        raise ConfigError(f"data {what}: {nearest(what, ['prepare'])}valid: simplify data prepare NAME")
    valid = choices("data", overlay_dir(conf))
    if name not in valid:
        raise ConfigError(f"data prepare {name}: {nearest(name, valid)}valid: {', '.join(valid)}")
    config = compose_run([f"data={name}", *words], conf)
    corpus = open_corpus(config.data, masked=config.model.kind == "encoder")
    facts = corpus.facts
    print(f"{config.data.name}: {facts.train_tokens:,} training tokens in {facts.train_documents:,} documents")
    print(f"{facts.val_tokens:,} held out in {facts.val_documents:,}; vocabulary {config.data.vocab_size:,}")
    print(f"fingerprint {facts.fingerprint}; {corpus.folder}")
