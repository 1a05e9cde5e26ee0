"""Training a tokeniser on the documents of a corpus: byte-level BPE or WordPiece."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from simplify.config import DataConfig
from simplify.data.tokenisers import END_OF_TEXT, MASK

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
