"""Tokenisers: byte-level BPE or WordPiece trained on the corpus, or one that exists already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from simplify.config import DataConfig
from simplify.data.files import quiet_hub
from simplify.errors import DataError

END_OF_TEXT = "<|endoftext|>"
MASK = "<|mask|>"
_MASK_NEEDED = "mask token, which an encoder needs"
_MASK_NAMES = (MASK, "[MASK]", "<mask>")
_END_NAMES = (END_OF_TEXT, "</s>", "[SEP]", "<eos>")
_WORDPIECE_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # BERT's, in BERT's order


def train_tokeniser(config: DataConfig, texts: Iterator[str], total: int, masked: bool) -> Tokenizer:
    """A tokeniser of `data.tokeniser_kind`; the same texts give the same one.

    `masked` reserves an entry for the mask token where the kind does not always have one.
    """
    return KINDS[config.tokeniser_kind](texts, config.vocab_size, total, masked)


def _train_bpe(texts: Iterator[str], vocab_size: int, total: int, masked: bool) -> Tokenizer:
    """Byte-level BPE: any text round-trips."""
    tokeniser = Tokenizer(models.BPE())
    tokeniser.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokeniser.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT, MASK] if masked else [END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokeniser.train_from_iterator(texts, trainer, length=total)
    return tokeniser


def _train_wordpiece(texts: Iterator[str], vocab_size: int, total: int, masked: bool) -> Tokenizer:  # noqa: ARG001
    """WordPiece on lower-cased ASCII, by the rules of Cramming's Pile (arXiv 2212.14034): text does not round-trip."""
    # The trainer numbers ##a, ##b, ... as it meets them in a hash map, which differs between processes, and breaks
    # ties by number. Named as special tokens they have their numbers before it begins; it is told the real ones below.
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*_WORDPIECE_SPECIAL, *letters, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    learner = _wordpiece({})
    learner.train_from_iterator(texts, trainer, length=total)
    tokeniser = _wordpiece(learner.get_vocab())
    tokeniser.add_special_tokens(list(_WORDPIECE_SPECIAL))
    return tokeniser


def _wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokeniser = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # pyright: ignore[reportCallIssue]
    tokeniser.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
            normalizers.NFD(),
            normalizers.Lowercase(),
            normalizers.StripAccents(),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Replace(Regex(r"[^\t-\r -~]+"), ""),  # all but printable ASCII and white space
        ]
    )
    tokeniser.pre_tokenizer = pre_tokenizers.Whitespace()
    tokeniser.decoder = decoders.WordPiece(prefix="##")
    return tokeniser


# What `data.tokeniser_kind` names.
KINDS: dict[str, Callable[[Iterator[str], int, int, bool], Tokenizer]] = {
    "bpe": _train_bpe,
    "wordpiece": _train_wordpiece,
}


def has_choice_of_mask(config: DataConfig) -> bool:
    """Whether the tokeniser of `config` has a mask token only where an encoder asks for one."""
    return config.tokeniser is None and config.tokeniser_kind == "bpe"


def open_tokeniser(path: Path) -> Tokenizer:
    """A corpus' tokeniser, ready to encode text: a special token's name inside a text is text."""
    tokeniser = Tokenizer.from_file(str(path))
    tokeniser.encode_special_tokens = True
    return tokeniser


def load_tokeniser(config: DataConfig) -> Tokenizer:
    """The tokeniser that `data.tokeniser` names: a tokenizer.json, a folder with one, or a hub name."""
    name = str(config.tokeniser)
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            tokeniser = Tokenizer.from_file(str(path / "tokenizer.json"))
        elif path.is_file():
            tokeniser = Tokenizer.from_file(str(path))
        else:
            quiet_hub()
            tokeniser = Tokenizer.from_pretrained(name)
    except Exception as error:  # the Rust side raises bare Exception
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"data.tokeniser={name}: cannot be loaded: {reason}; valid: a tokenizer.json, a folder with one, a "
            "name on the Hugging Face hub, or a tokenizer.json in the folder of --from"
        ) from None
    if tokeniser.get_vocab_size() > config.vocab_size:
        raise DataError(
            f"data.vocab_size={config.vocab_size}: data.tokeniser={name} has {tokeniser.get_vocab_size()} entries; "
            f"valid: >= {tokeniser.get_vocab_size()}"
        )
    return tokeniser


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
