"""Where the text comes from and how it becomes tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from simplify.config.base import Name, Settings


class DataConfig(Settings):
    """A corpus. The kind of source decides which of the settings below it needs."""

    name: Name = Field("text", description="the corpus' name; a label only")
    source: Literal["stdlib", "folder", "hub"] = Field(
        description="the interpreter's standard library, a folder of text, or a Hugging Face data set"
    )
    path: str | None = Field(None, description="the folder (source=folder)")
    pattern: str | None = Field(None, description="which files of the folder, as in **/*.md (source=folder)")
    train_set: str | None = Field(
        None, description="data set to train on: a hub name, or a local folder of it (source=hub)"
    )
    val_set: str | None = Field(
        None, description="data set to validate on; null: a share of the documents of train_set (source=hub)"
    )
    text_column: str | None = Field(None, description="the column that holds the text (source=hub)")
    max_documents: int | None = Field(
        None,
        ge=1,
        description="use so many documents after shuffling with seed 0; null: all, in order (source=hub)",
    )
    max_val_documents: int | None = Field(None, ge=1, description="the same for val_set (source=hub)")
    tokeniser: str | None = Field(
        None,
        description="a hub name or a tokenizer.json; null: byte-level BPE trained on the corpus",
    )
    vocab_size: int = Field(ge=257, description="entries of the vocabulary")
    val_fraction: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="share of the documents held out, chosen by a stable hash of their names",
    )
    packing: Literal["stream", "document"] = Field(
        "stream", description="cut sequences from one stream, or from each document, dropping its remainder"
    )
    seed: int | None = Field(None, ge=0, description="seed of the order of the batches; null: seed")

    @model_validator(mode="after")
    def _consistent(self) -> DataConfig:
        needs = {
            "stdlib": (),
            "folder": ("path", "pattern"),
            "hub": ("train_set", "text_column"),
        }
        may = {
            "stdlib": (),
            "folder": (),
            "hub": ("val_set", "max_documents", "max_val_documents"),
        }
        for name in (
            "path",
            "pattern",
            "train_set",
            "val_set",
            "text_column",
            "max_documents",
            "max_val_documents",
        ):
            value = getattr(self, name)
            if name in needs[self.source] and not value:
                hint = "; give the folder with your text, as in data.path=DIR" if name == "path" else ""
                raise ValueError(f"data.{name}: needs a value with data.source={self.source}{hint}")
            if value is not None and name not in needs[self.source] + may[self.source]:
                raise ValueError(f"data.{name}={value}: has no meaning with data.source={self.source}; valid: null")
        if self.max_val_documents is not None and self.val_set is None:
            raise ValueError(
                f"data.max_val_documents={self.max_val_documents}: has no meaning without data.val_set; valid: null"
            )
        return self
