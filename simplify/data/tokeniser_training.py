"""Training a tokeniser on the documents of a corpus: byte-level BPE or WordPiece."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from simplify.config import DataConfig
from simplify.data.tokenisers import END_OF_TEXT, MASK

_Words = pre_tokenizers.PreTokenizer  # what cuts a text into words
_Bound = Callable[[_Words], _Words]

_WORDPIECE_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # BERT's, in BERT's order


# Training takes time that grows with the square of a word's length, and text without spaces (genomes, base64, minified
# code) has words of any length: where one is longer than _LONG characters, all are cut after _CUT, as many as WordPiece
# takes without calling a word unknown.
_LONG, _CUT = 4096, 100
_RUN = re.compile(rf"[^\W\d_]{{{_LONG + 1}}}|\d{{{_LONG + 1}}}|[^\w\s]{{{_LONG + 1}}}|\s{{{_LONG + 1}}}")
_BLANKS = tuple(blank * (_LONG + 1) for blank in " \t\n")
_PIECE = rf"\S{{{_CUT}}}|\s{{{_CUT}}}"
CUT_NOTE = f"words are cut after {_CUT} characters, since some have more than {_LONG:,}"


class _LongWord(Exception):
    """A word longer than _LONG."""


def train_tokeniser(
    config: DataConfig, documents: Callable[[], Iterator[str]], total: int, masked: bool, note: Callable[[str], None]
) -> Tokenizer:
    """A tokeniser of `data.tokeniser_kind`; the same documents give the same one.

    `masked` reserves an entry for the mask token where the kind does not always have one. `note` is told where words
    have to be cut.
    """
    train = KINDS[config.tokeniser_kind]
    try:
        return train(_without_long_words(documents()), config.vocab_size, total, masked, _whole)
    except _LongWord:
        note(CUT_NOTE)
        return train(documents(), config.vocab_size, total, masked, _in_pieces)


def cuts_words(tokeniser: Tokenizer) -> bool:
    """Whether a tokeniser cuts long words."""
    return json.dumps(_PIECE) in tokeniser.to_str()


def _without_long_words(texts: Iterator[str]) -> Iterator[str]:
    for text in texts:
        suspect = max(map(len, text.split()), default=0) > _LONG or any(blank in text for blank in _BLANKS)
        if suspect and _RUN.search(text):  # which alone would take ten times as long
            raise _LongWord
        yield text


def _whole(words: _Words) -> _Words:
    return words


def _in_pieces(words: _Words) -> _Words:
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_PIECE), "isolated"), words])


def _train_bpe(texts: Iterator[str], vocab_size: int, total: int, masked: bool, bound: _Bound) -> Tokenizer:
    """Byte-level BPE: any text round-trips."""
    tokeniser = Tokenizer(models.BPE())
    tokeniser.pre_tokenizer = bound(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokeniser.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT, MASK] if masked else [END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokeniser.train_from_iterator(texts, trainer, length=total)
    return tokeniser


def _train_wordpiece(texts: Iterator[str], vocab_size: int, total: int, masked: bool, bound: _Bound) -> Tokenizer:  # noqa: ARG001
    """WordPiece on lower-cased ASCII, by the rules of Cramming's Pile (arXiv 2212.14034): text does not round-trip."""
    # The trainer numbers ##a, ##b, ... as it meets them in a hash map, which differs between processes, and breaks
    # ties by number. Named as special tokens they have their numbers before it begins; it is told the real ones below.
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*_WORDPIECE_SPECIAL, *letters, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    learner = _wordpiece({}, bound)
    learner.train_from_iterator(texts, trainer, length=total)
    tokeniser = _wordpiece(learner.get_vocab(), bound)
    tokeniser.add_special_tokens(list(_WORDPIECE_SPECIAL))
    return tokeniser


def _wordpiece(vocabulary: dict[str, int], bound: _Bound) -> Tokenizer:
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
    tokeniser.pre_tokenizer = bound(pre_tokenizers.Whitespace())
    tokeniser.decoder = decoders.WordPiece(prefix="##")
    return tokeniser


# What `data.tokeniser_kind` names.
KINDS: dict[str, Callable[[Iterator[str], int, int, bool, _Bound], Tokenizer]] = {
    "bpe": _train_bpe,
    "wordpiece": _train_wordpiece,
}
