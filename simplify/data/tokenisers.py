"""Tokenisers as files: one that exists already, or a corpus' own; and its special tokens."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from simplify.config import DataConfig
from simplify.data.files import quiet_hub
from simplify.disk import expanded
from simplify.errors import DataError

END_OF_TEXT = "<|endoftext|>"
MASK = "<|mask|>"
_MASK_NEEDED = "mask token, which an encoder needs"
_MASK_NAMES = (MASK, "[MASK]", "<mask>")
_END_NAMES = (END_OF_TEXT, "</s>", "[SEP]", "<eos>")


def has_choice_of_mask(config: DataConfig) -> bool:
    """Whether the tokeniser of `config` has a mask token only where an encoder asks for one."""
    return config.tokeniser is None and config.tokeniser_kind == "bpe"


def read_tokeniser(path: Path) -> Tokenizer:
    """A tokenizer.json as a corpus or a run keeps it. It encodes a text whole and adds nothing, whatever was saved.

    Raises OSError, and ValueError for a file that is none.
    """
    return _tokeniser({**_as_meant(path.read_text(encoding="utf-8")), "post_processor": None})


def open_tokeniser(path: Path) -> Tokenizer:
    """The same for documents: a special token's name inside a text is text."""
    tokeniser = read_tokeniser(path)
    tokeniser.encode_special_tokens = True
    return tokeniser


def load_tokeniser(config: DataConfig, masked: bool = False) -> Tokenizer:
    """The tokeniser that `data.tokeniser` names: a tokenizer.json, a folder with one, or a hub name.

    Raises DataError also where its numbers do not fit the vocabulary or it lacks a token that is needed.
    """
    name = str(config.tokeniser)
    try:
        path = local_tokeniser(name) or _from_hub(name)
        tokeniser = _tokeniser(_as_meant(path.read_text(encoding="utf-8")))
    except Exception as error:  # the hub's client raises many kinds, the Rust side bare Exception
        raise _not_loaded(name, error) from None
    numbers = tokeniser.get_vocab(with_added_tokens=True)
    needed = max(numbers.values(), default=0) + 1  # more than there are entries, where some were taken out
    if needed > config.vocab_size:
        raise DataError(
            f"data.vocab_size={config.vocab_size}: data.tokeniser={name} has {len(numbers)} entries, numbered up to "
            f"{needed - 1}; valid: >= {needed}"
        )
    end_of_text(tokeniser)
    if masked:
        mask_token(tokeniser)
    return tokeniser


def tokeniser_key(config: DataConfig) -> str:
    """What stands for the tokeniser in a corpus' key: a file's content, of a hub name the name."""
    if config.tokeniser is None:
        return "None"
    path = local_tokeniser(config.tokeniser)
    if path is None:  # as long as the hub is not asked its content is not known; NAME@REVISION pins it
        return f"hub {config.tokeniser}" if config.tokeniser == "None" else config.tokeniser
    try:
        now = path.stat()
        return _content_hash(path, now.st_size, now.st_mtime_ns)
    except (OSError, ValueError) as error:
        raise _not_loaded(config.tokeniser, error) from None


def local_tokeniser(name: str) -> Path | None:
    """The tokenizer.json that a path names; None for a hub name. Raises DataError for a path where nothing is."""
    path = expanded(name, "data.tokeniser")
    if path.is_dir():
        path /= "tokenizer.json"
        if not path.is_file():
            raise DataError(f"data.tokeniser={name}: no tokenizer.json in this folder; valid: a folder with one")
    if path.exists():
        return path
    if name.startswith(("/", ".", "~")) or name.endswith(".json") or name.count("/") > 1:
        raise DataError(
            f"data.tokeniser={name}: no such file; valid: a tokenizer.json, a folder with one, or a hub name"
        )
    return None


def _from_hub(name: str) -> Path:
    """The file as the hub's client keeps it, below a folder named by its revision."""
    quiet_hub()
    from huggingface_hub import hf_hub_download

    repository, _, revision = name.partition("@")
    return Path(hf_hub_download(repository, "tokenizer.json", revision=revision or None))


@functools.lru_cache(maxsize=8)
def _content_hash(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - the file as it is now
    whole = json.dumps(_as_meant(path.read_text(encoding="utf-8")), sort_keys=True)
    return f"sha256:{hashlib.sha256(whole.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _as_meant(text: str) -> dict[str, Any]:
    """What a tokenizer.json holds, without how it was last used: cut off, padded, merges left out at random."""
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError("no tokenizer.json: it has no model")
    model = content["model"]
    if model.get("dropout") is not None:
        model = {**model, "dropout": None}
    return {**content, "truncation": None, "padding": None, "model": model}


def _tokeniser(content: dict[str, Any]) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # bare, from Rust
        raise ValueError(str(error)) from None


def _not_loaded(name: str, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    reason = " ".join(str(error).split())[:300]
    return DataError(
        f"data.tokeniser={name}: cannot be loaded: {reason}; valid: a tokenizer.json, a folder with one, a "
        "name on the Hugging Face hub, or a tokenizer.json in the folder of --from"
    )


def encode_text(tokeniser: Tokenizer, text: str) -> list[int]:
    """A text as a corpus has it: a special token's name in it is text, and nothing is put around it."""
    before = tokeniser.encode_special_tokens
    tokeniser.encode_special_tokens = True
    try:
        return tokeniser.encode(text, add_special_tokens=False).ids
    finally:
        tokeniser.encode_special_tokens = before


def end_of_text(tokeniser: Tokenizer) -> int:
    """The token that ends a document."""
    return _special(tokeniser, "end-of-text token", _END_NAMES)[1]


def mask_token(tokeniser: Tokenizer) -> int:
    """The token that stands where one is hidden."""
    return _special(tokeniser, _MASK_NEEDED, _MASK_NAMES)[1]


def mask_name(tokeniser: Tokenizer) -> str:
    """The mask token as it is written."""
    return _special(tokeniser, _MASK_NEEDED, _MASK_NAMES)[0]


def _special(tokeniser: Tokenizer, what: str, names: tuple[str, ...]) -> tuple[str, int]:
    """The first of `names` that the vocabulary has, and its number."""
    for name in names:
        token = tokeniser.token_to_id(name)
        if token is not None:
            return name, token
    raise DataError(f"data.tokeniser: has no {what}; valid: a tokeniser with one of {', '.join(names)}")
