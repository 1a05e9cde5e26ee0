"""`simplify data prepare`: files in place of the hub, WordPiece, errors; parts and processes leave no trace."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, TEXT, TINY, TINY_DATA, TINY_MODEL, Result
from hub_files import TEXTS, write_files

from simplify.compose import compose_run
from simplify.data import parts
from simplify.data.batches import Batches
from simplify.data.corpus import Corpus, open_corpus, ready_corpus
from simplify.data.tokeniser_training import train_tokeniser

Cli = Callable[..., Result]
SMALL = ["data.vocab_size=300"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of its own for each test, and no network, wherever the tests run."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path / "cache"))
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "arrow")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # where it was imported before
    return tmp_path / "cache" / "corpora"


def corpora(folder: Path) -> list[str]:
    """What lies beside the locks."""
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock") if folder.is_dir() else []


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that a fingerprint is made of, and what the meta data says of it all."""
    names = ("train.bin", "val.bin", "train.docs.npy", "val.docs.npy", "tokenizer.json", "meta.json")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


# What is built


def one_by_one(texts: list[str], corpus: Corpus) -> np.ndarray:
    """The tokens of documents, each encoded by itself: what parts, batches and processes must come to."""
    tokeniser = corpus.tokeniser()
    tokeniser.encode_special_tokens = True
    return np.concatenate([[*tokeniser.encode(text, add_special_tokens=False).ids, 0] for text in texts])


@pytest.mark.parametrize("workers", [1, 2])
def test_parts_and_processes_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    config = compose_run(TINY).data
    monkeypatch.setattr(parts, "PART_BYTES", 100_000)
    corpus = open_corpus(config, workers=workers)
    monkeypatch.setattr(parts, "PART_BYTES", 1 << 30)
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path / "in one part"))
    whole = open_corpus(config)
    assert contents(corpus.folder) == contents(whole.folder)
    files = [p for p in sorted(TEXT.glob("*.py")) if p.stat().st_size]
    source = {split: corpus.tokens(split) for split in ("train", "val")}
    from simplify.data.splits import held_out

    for split, tokens in source.items():
        texts = [p.read_text() for p in files if held_out(p.name, config.val_fraction) == (split == "val")]
        assert np.array_equal(np.asarray(tokens), one_by_one(texts, corpus))
    meta = json.loads((corpus.folder / "meta.json").read_text())
    assert meta["sha256"]["train.bin"] == hashlib.sha256((corpus.folder / "train.bin").read_bytes()).hexdigest()
    assert sorted(p.name for p in corpus.folder.iterdir()) == sorted(contents(corpus.folder))


# Files in place of the hub


KINDS = [
    "parquet",
    "jsonl",
    "jsonl.gz",
    "jsonl.zst",
    "jsonl.bz2",
    "jsonl.xz",
    "json",
    "arrow",
    "saved",
    "txt",
    "txt.gz",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_corpus(cli: Cli, here: Path, kind: str, offline: Path) -> None:
    write_files(here / "my data", kind)
    (here / "my data" / "README.md").write_text("what it is")
    (here / "my data" / "tokenizer.json").write_text("{}")  # languini's is trained: this is no data and no tokeniser
    done = cli("data", "prepare", "languini", "--from", "my data", "--workers", "1", *SMALL)
    assert done.code == 0, done.err
    (name,) = corpora(offline)
    corpus = Corpus(offline / name, facts=None)  # type: ignore[arg-type]
    assert np.array_equal(np.asarray(corpus.tokens("train")), one_by_one(TEXTS[:12], corpus))
    assert np.array_equal(np.asarray(corpus.tokens("val")), one_by_one(TEXTS[12:], corpus))
    assert "16 documents, " in done.out and "4 held out by the data set's own split" in done.out


def test_files_stand_for_the_data_set_of_the_hub(cli: Cli, here: Path) -> None:
    write_files(here / "copy", "parquet", "content")
    tokeniser = open_corpus(compose_run(TINY).data).folder / "tokenizer.json"
    failed = cli("data", "prepare", "codeparrot", "--from", "copy", "data.vocab_size=384")
    assert failed.code == 2 and "code-search-net-tokenizer: cannot be loaded" in failed.err
    assert failed.err.count("\n") == 1 and "a tokenizer.json in the folder of --from" in failed.err
    (here / "copy" / "tokenizer.json").write_bytes(tokeniser.read_bytes())
    done = cli("data", "prepare", "codeparrot", "--from", "copy", "--workers", "2", "data.vocab_size=384")
    assert done.code == 0 and f"{here / 'copy'}: parquet, 2 files to train on, 1 to validate on" in done.out
    for again in (["--from", "copy", "--check"], []):
        assert cli("data", "prepare", "codeparrot", *again, "data.vocab_size=384").code == 0
    corpus = ready_corpus(compose_run(["data=codeparrot", "data.vocab_size=384"]).data)  # what a run opens
    assert corpus is not None and f"fingerprint {corpus.facts.fingerprint}" in done.out
    write_files(here / "other", "parquet", "content")
    other = cli("data", "prepare", "codeparrot", "--from", "other", "data.vocab_size=384")
    assert other.code == 2 and f"was prepared from {here / 'copy'}; to prepare it anew remove" in other.err
    assert other.err.count("\n") == 1


def test_what_no_run_can_use_is_said_when_it_is_prepared(cli: Cli, here: Path) -> None:
    (here / "few").mkdir()
    (here / "few" / "rows.jsonl").write_text('{"text": "a b c d e f g"}\n' * 1001)
    done = cli("data", "prepare", "languini", "--from", "few", "data.val_fraction=1e-9")
    assert done.code == 2 and "data=languini: none of these documents is held out" in done.err
    entries = json.loads(next(here.parent.rglob("tokenizer.json")).read_text())["model"]["vocab"]
    assert f"vocabulary {len(entries)} of data.vocab_size=16384" in done.out


def test_some_files_of_a_data_set(here: Path) -> None:
    write_files(here / "set", "jsonl.zst")
    words = [*TINY[5:], "data=pile", f"'data.train_set=\"{here / 'set'}\"'".strip("'"), "data.vocab_size=384"]
    config = compose_run([*words, "data.train_files=train-1.*", "data.val_fraction=0.3"])
    facts = open_corpus(config.data).facts
    assert facts.train_documents + facts.val_documents == 6 and facts.val_documents > 0


def test_wordpiece_for_an_encoder(cli: Cli, here: Path, offline: Path) -> None:
    write_files(here / "pile", "jsonl.zst")
    words = ["model=bert_nano", *TINY_MODEL, "train.batch_tokens=128", "data=pile", "data.vocab_size=600"]
    assert cli("data", "prepare", "pile", "--from", "pile", "data.vocab_size=600", "--workers", "1").code == 0
    config = compose_run(words)
    corpus = open_corpus(config.data, masked=True)  # a decoder's corpus serves an encoder: [MASK] is always there
    assert len(corpora(offline)) == 1
    tokeniser, tokens, edges = corpus.tokeniser(), corpus.tokens("val"), corpus.document_starts("val")
    separator = tokeniser.token_to_id("[SEP]")
    assert np.array_equal(np.flatnonzero(np.asarray(tokens) == separator), edges[1:] - 1)
    assert [tokeniser.id_to_token(n) for n in range(5)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokeniser.decode(tokeniser.encode("Größe  THE class").ids) == tokeniser.decode(
        tokeniser.encode("groe the class").ids
    )
    batch = Batches(corpus, config).batch(0)
    assert (batch.inputs == tokeniser.token_to_id("[MASK]")).any()


def test_the_same_texts_give_the_same_wordpiece() -> None:
    config = compose_run(["data=pile", "data.vocab_size=600"]).data
    one, other = (train_tokeniser(config, lambda: iter(TEXTS), len(TEXTS), False, print) for _ in range(2))
    assert one.to_str() == other.to_str() and one.get_vocab_size() == 600
    assert one.encode("a [MASK] b").tokens == ["a", "[MASK]", "b"]
    one.encode_special_tokens = True
    assert "[MASK]" not in one.encode("a [MASK] b").tokens


# What goes wrong


@pytest.mark.parametrize(
    ("words", "parts_of_it"),
    [
        (["pile"], ["data.train_set=monology/pile-uncopyrighted: cannot be loaded", "prepare pile --from DIR"]),
        (["codeparrot"], ["data.train_set=huggingface-course/", "simplify data prepare codeparrot --from DIR"]),
        (["languini"], ["data=languini: is on no hub and not on this machine", "prepare languini --from DIR"]),
        (["pile", "--from", "nowhere"], ["--from nowhere: no such folder; valid: "]),
        (["pile", "--from", "."], ["holds no data; valid: files of one of .parquet"]),
        (["pile", "--from", "tokens"], ["train.bin holds tokens", "simplify train data=text data.path=input.txt"]),
        (["pile", "--from", "mixed"], ["holds files of several formats (json, parquet)"]),
        (["pile", "--from", "torn"], ["torn/b.jsonl, after row 1: cannot be read: line 2 is no JSON", "repair it or"]),
        (["pile", "--from", "column"], ["data.text_column=text: not in --from", "valid: n, words"]),
        (["languini", "--from", "column", "data.text_column=n"], ["data.text_column=n: no text in --from"]),
        (["text", "data.path=.", "--from", "column"], ["has no meaning with data.source=folder"]),
        (["codeparrot", "data.tokeniser_kind=wordpiece"], ["data.tokeniser_kind=wordpiece: has no meaning with"]),
        (["pil"], ["data prepare pil: did you mean pile?"]),
        (["pile", "--check"], ["data=pile: is not prepared on this machine, so there is nothing to check"]),
    ],
)
def test_what_cannot_be_prepared_is_one_line(
    cli: Cli, here: Path, words: list[str], parts_of_it: list[str], offline: Path
) -> None:
    (here / "tokens").mkdir()
    (here / "tokens" / "train.bin").write_bytes(bytes(99))
    for name in ("mixed", "column", "torn"):
        (here / name).mkdir()
        (here / name / "a.jsonl").write_text('{"n": 1, "words": "a b c"}\n')
    (here / "mixed" / "b.parquet").write_text("")
    (here / "torn" / "b.jsonl").write_text('{"n": 1, "words": "a b c"}\n{"n": 2, "words": "a b')
    if words[-1] == ".":
        for name in (
            "mixed/a.jsonl",
            "mixed/b.parquet",
            "column/a.jsonl",
            "torn/a.jsonl",
            "torn/b.jsonl",
            "tokens/train.bin",
        ):
            (here / name).unlink()
    done = cli("data", "prepare", *words)
    assert done.code == 2 and done.err.count("\n") == 1, done.err
    for part in parts_of_it:
        assert part in done.err
    assert corpora(offline) == []


def test_a_check_finds_a_changed_byte(cli: Cli, offline: Path) -> None:
    words = ["data", "prepare", "text", *TINY_DATA[1:], "--check"]
    assert "checked" in cli(*words).out
    (name,) = corpora(offline)
    with open(offline / name / "val.bin", "r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))
    done = cli(*words)
    assert done.code == 2 and done.err.count("\n") == 1 and "damaged on the disk (val.bin)" in done.err


def test_no_space_for_the_arrow_copy(tmp_path: Path) -> None:
    write_files(tmp_path / "files", "jsonl")
    env = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    words = ["data", "prepare", "languini", "--from", str(tmp_path / "files"), *SMALL]
    process = subprocess.Popen(
        [sys.executable, "-m", "simplify", *words],
        env={**os.environ, **env},
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and error.count("\n") == 1, error
    assert "no space for its Arrow copy: File too large; make space, or set HF_HOME" in error
