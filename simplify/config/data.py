"""Where the text comes from and how it becomes tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from simplify.config.base import Name, Settings

PATHS = ("path", "tokeniser", "train_set", "val_set")  # settings that name a folder or file, or may do so

# Each setting of a source: the sources that need it, and those that may have it.
_MEANING: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "path": (("folder",), ()),
    "pattern": (("folder",), ()),
    "train_set": (("hub",), ()),
    "val_set": ((), ("hub",)),
    "train_files": ((), ("hub",)),
    "text_column": (("hub", "files"), ()),
    "max_documents": ((), ("hub", "files")),
    "max_val_documents": ((), ("hub",)),
}


class DataConfig(Settings):
    """A corpus. The kind of source decides which of the settings below it needs."""

    name: Name = Field("text", description="the corpus' name; a label only")
    source: Literal["stdlib", "folder", "hub", "files"] = Field(
        description="the interpreter's standard library, a folder of text, a Hugging Face data set, or files of your "
        "own that `simplify data prepare NAME --from DIR` reads"
    )
    path: str | None = Field(None, description="a folder of text files, or one file (source=folder)")
    pattern: str | None = Field(None, description="which files of the folder, as in **/*.md (source=folder)")
    train_set: str | None = Field(
        None, description="data set to train on: a hub name, or a local folder of it (source=hub)"
    )
    val_set: str | None = Field(
        None, description="data set to validate on; null: a share of the documents of train_set (source=hub)"
    )
    train_files: str | None = Field(
        None, description="which files of train_set, as in train/00.jsonl.zst; null: its training split (source=hub)"
    )
    text_column: str | None = Field(None, description="the column that holds the text (source=hub, files)")
    max_documents: int | None = Field(
        None,
        ge=1,
        description="use so many documents after shuffling with seed 0; null: all, in order (source=hub, files)",
    )
    max_val_documents: int | None = Field(None, ge=1, description="the same for val_set (source=hub)")
    tokeniser: str | None = Field(
        None,
        description="a tokenizer.json, a folder with one, or a hub name (NAME@REVISION pins it); null: one trained "
        "on the corpus",
    )
    tokeniser_kind: Literal["bpe", "wordpiece"] = Field(
        "bpe",
        description="what is trained on the corpus: byte-level BPE, which gives any text back, or lower-cased ASCII "
        "WordPiece as in Cramming",
    )
    tokeniser_documents: int | None = Field(
        None, ge=1, description="train the tokeniser on the first so many training documents; null: on all"
    )
    vocab_size: int = Field(ge=257, description="entries of the vocabulary")
    val_fraction: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="share held out: of the documents, chosen by a stable hash of their names; of each document, where "
        "that would leave a split without one",
    )
    packing: Literal["stream", "document"] = Field(
        "stream", description="cut sequences from one stream, or from each document, dropping its remainder"
    )
    seed: int | None = Field(None, ge=0, description="seed of the order of the batches; null: seed")

    @model_validator(mode="after")
    def _consistent(self) -> DataConfig:
        for name, (needed, allowed) in _MEANING.items():
            value = getattr(self, name)
            if self.source in needed and not value:
                hint = "; give the folder with your text, as in data.path=DIR" if name == "path" else ""
                raise ValueError(f"data.{name}: needs a value with data.source={self.source}{hint}")
            if value is not None and self.source not in needed + allowed:
                raise ValueError(f"data.{name}={value}: has no meaning with data.source={self.source}; valid: null")
        if self.max_val_documents is not None and self.val_set is None:
            raise ValueError(
                f"data.max_val_documents={self.max_val_documents}: has no meaning without data.val_set; valid: null"
            )
        for name, unset in (("tokeniser_kind", "bpe"), ("tokeniser_documents", None)):
            value = getattr(self, name)
            if self.tokeniser is not None and value != unset:
                valid = "null" if unset is None else unset
                raise ValueError(
                    f"data.{name}={value}: has no meaning with data.tokeniser={self.tokeniser}; valid: {valid}, or "
                    "data.tokeniser=null"
                )
        return self
