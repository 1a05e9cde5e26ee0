"""Tokenisers that were not made here: as they mean, checked before anything is tokenised, known by their content."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TEXT, TINY, TINY_DATA, Result

from simplify.compose import compose_run
from simplify.data.corpus import Corpus, open_corpus
from simplify.data.patience import awake
from simplify.data.tokeniser_training import CUT_NOTE, cuts_words, train_tokeniser
from simplify.data.tokenisers import open_tokeniser, read_tokeniser

Cli = Callable[..., Result]
Content = dict[str, Any]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Content:
    """The tokenizer.json of the tiny corpus; then a cache of the test's own, with no network."""
    content = json.loads((open_corpus(compose_run(TINY).data).folder / "tokenizer.json").read_text())
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path / "cache"))
    return content


def corpus(folder: Path, content: Content, *words: str) -> Corpus:
    """The corpus that a tokenizer.json with this content makes."""
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return open_corpus(compose_run([*TINY, f'data.tokeniser="{folder}"', *words]).data)


def with_model(content: Content, **changes: Any) -> Content:
    return {**content, "model": {**content["model"], **changes}}


CUT = {"direction": "Right", "max_length": 64, "strategy": "LongestFirst", "stride": 0}
FILLED = {"strategy": {"Fixed": 512}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0}
FILLED["pad_token"] = "<|endoftext|>"


def test_how_a_tokeniser_was_last_used_is_no_part_of_it(here: Path, trained: Content) -> None:
    plain = corpus(here / "plain", trained)
    adding = {"type": "BertProcessing", "sep": ["<|endoftext|>", 0], "cls": ["<|endoftext|>", 0]}
    for saved in (
        {**trained, "truncation": CUT},
        {**trained, "truncation": CUT, "padding": FILLED},
        with_model(trained, dropout=0.5),
        dict(reversed(trained.items())),
    ):
        assert corpus(here / "saved", saved) == plain  # the same folder: nothing was tokenised again
    added = corpus(here / "adding", {**trained, "post_processor": adding, "padding": FILLED})
    assert added.facts.train_tokens == plain.facts.train_tokens and added.folder != plain.folder
    kept = added.tokeniser()
    assert kept.encode("words").ids == plain.tokeniser().encode("words").ids  # as the model was trained
    assert not (kept.truncation or kept.padding)


def test_an_old_file_is_read_without_them_too(tmp_path: Path, trained: Content) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**with_model(trained, dropout=1.0), "truncation": CUT, "padding": FILLED}))
    text = "def test(): pass\n" * 200
    for tokeniser in (read_tokeniser(path), open_tokeniser(path)):
        ids = tokeniser.encode(text).ids
        assert tokeniser.decode(ids) == text and len(ids) < len(text)
    assert 0 in read_tokeniser(path).encode("<|endoftext|>").ids
    assert 0 not in open_tokeniser(path).encode("<|endoftext|>").ids


def test_a_tokeniser_that_is_replaced_makes_another_corpus(cli: Cli, here: Path, trained: Content) -> None:
    path = here / "tokenizer.json"
    words = ["data", "prepare", "text", *TINY_DATA[1:], "data.tokeniser=tokenizer.json"]
    path.write_text(json.dumps(trained))
    first = cli(*words)
    merges = trained["model"]["merges"][:-50]
    path.write_text(json.dumps(with_model(trained, merges=merges)))
    second = cli(*words)
    assert (first.code, second.code) == (0, 0)
    made = [done.out.splitlines()[-3:] for done in (first, second)]  # behind the progress
    assert made[0] != made[1]
    shutil.copy(path, here / "copy.json")
    assert cli(*words[:-1], "data.tokeniser=copy.json").out.splitlines() == made[1]


def numbered(trained: Content, number: int) -> Content:
    """With an entry of that number behind a hole."""
    token = {"id": number, "content": "<|far|>", "special": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    vocab = {**trained["model"]["vocab"], "<|far|>": number}
    return {**with_model(trained, vocab=vocab), "added_tokens": [*trained["added_tokens"], {**token, **flags}]}


def without(trained: Content, name: str) -> Content:
    vocab = {word: number for word, number in trained["model"]["vocab"].items() if word != name}
    return {**with_model(trained, vocab=vocab), "added_tokens": []}


@pytest.mark.parametrize(
    ("change", "words", "told"),
    [
        (
            lambda c: numbered(c, 5000),
            [],
            "data.vocab_size=384: data.tokeniser= ... tok.json has 385 entries, numbered up to 5000",
        ),
        (lambda c: numbered(c, 70_000), [], "valid: >= 70001"),
        (
            lambda c: c,
            ["data.vocab_size=300"],
            "data.vocab_size=300: data.tokeniser= ... tok.json has 384 entries, numbered up to 383",
        ),
        (lambda c: without(c, "<|endoftext|>"), [], "data.tokeniser: has no end-of-text token"),
        (lambda c: c, ["model.kind=encoder"], "data.tokeniser: has no mask token, which an encoder needs"),
        (lambda _: {"model": {"type": "BPE"}}, [], "tok.json: cannot be loaded"),
        (lambda c: [c], [], "no tokenizer.json: it has no model"),
        (lambda c: c, ["data.tokeniser=tokk.json"], "tokk.json: no such file"),
        (lambda c: c, ["data.tokeniser=."], "no tokenizer.json in this folder"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_tokenised(
    cli: Cli, here: Path, trained: Content, change: Callable[[Content], Content], words: list[str], told: str
) -> None:
    (here / "tok.json").write_text(json.dumps(change(trained)))
    done = cli("data", "prepare", "text", *TINY_DATA[1:], "data.tokeniser=tok.json", *words)
    assert done.code == 2 and done.err.count("\n") == 1, done.err
    assert all(part in done.err for part in told.split(" ... ")), done.err
    corpora = here.parent / "cache" / "corpora"
    assert not corpora.is_dir() or [p.suffix for p in corpora.iterdir()] == [".lock"]


def test_a_hole_that_the_vocabulary_has_room_for(here: Path, trained: Content) -> None:
    built = corpus(here / "holes", numbered(trained, 70_000), "data.vocab_size=70001")
    assert built.tokens("train").dtype.itemsize == 4 and TEXT.is_dir()


# Text without spaces


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_words_without_an_end_are_cut_and_that_is_said(kind: str) -> None:
    drawn = random.Random(0)
    genome = ["".join(drawn.choices("acgt", k=6000)) for _ in range(3)]
    config = compose_run(["data=pile", f"data.tokeniser_kind={kind}", "data.vocab_size=300"]).data
    told: list[str] = []
    tokeniser = train_tokeniser(config, lambda: iter(["a few words first", *genome]), 4, False, told.append)
    assert told == [CUT_NOTE] and cuts_words(tokeniser)
    tokens = tokeniser.encode(genome[0]).tokens
    assert "[UNK]" not in tokens and max(map(len, tokens)) <= 102 and len(tokens) < 5000
    if kind == "bpe":
        assert tokeniser.decode(tokeniser.encode(genome[0]).ids) == genome[0]


@pytest.mark.parametrize("text", ["x" * 4096, "x1" * 9999, "https://a.b/" + "c-d/" * 9999, "a" + " " * 4096])
def test_words_of_a_bearable_length_change_nothing(text: str) -> None:
    config = compose_run(["data=text", "data.path=.", "data.vocab_size=300"]).data
    tokeniser = train_tokeniser(config, lambda: iter([text]), 1, False, pytest.fail)
    assert not cuts_words(tokeniser)


def test_a_long_call_shows_a_sign_and_hears_a_signal() -> None:
    beats: list[float] = []
    assert awake(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        awake(lambda: 1 // 0)

    def interrupt(seconds: float) -> None:
        beats.append(seconds)
        if len(beats) == 2:
            signal.raise_signal(signal.SIGINT)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        awake(lambda: time.sleep(20), interrupt)
    assert time.monotonic() - began < 10 and beats == sorted(beats)


def test_rows_that_no_token_has_are_counted(here: Path, trained: Content) -> None:
    assert "embedding" not in corpus(here / "plain", trained).line("text")
    told = "the tokeniser has 384 of data.vocab_size=512 tokens, so that 128 rows of the embedding stand for none"
    assert corpus(here / "plain", trained, "data.vocab_size=512").line("text").endswith(f"; {told}")
