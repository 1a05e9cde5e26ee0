"""Which files are a corpus, what they hold, what is held out of them, and that it is said."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Result, run_folder
from hypothesis import given
from hypothesis import strategies as st

from simplify.compose import compose_run
from simplify.data.corpus import Corpus, open_corpus
from simplify.data.splits import stretch
from simplify.data.text import NoText, decoded

Cli = Callable[..., Result]
SENTENCE = "the cat sat on a mat while rain fell over some old town and nobody said a word"


def words(count: int, seed: int = 0) -> str:
    drawn = random.Random(seed)
    return "".join(" ".join(drawn.choice(SENTENCE.split()) for _ in range(9)) + ".\n" for _ in range(count // 9))


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path / "cache"))


def corpus(path: Path, *more: str, pattern: str = "**/*.txt", share: str = "0.3") -> Corpus:
    settings = [f'data.path="{path}"', f'data.pattern="{pattern}"', "data.vocab_size=300", f"data.val_fraction={share}"]
    return open_corpus(compose_run([*TINY, *settings, *more]).data)


def texts(built: Corpus, split: str) -> list[str]:
    tokens, edges = np.asarray(built.tokens(split)), built.document_starts(split)  # type: ignore[arg-type]
    return [built.tokeniser().decode(tokens[a : b - 1].tolist()) for a, b in itertools.pairwise(edges)]


# Which files


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """What a folder of notes comes to hold in a year."""
    own = {f"{n}.txt": words(99, n) for n in range(10)}
    copies = {f".ipynb_checkpoints/{n}-checkpoint.txt": words(99, n) for n in range(10)}
    stubs: dict[str, str | bytes] = {f"._{n}.txt": b"\x00\x01" * 20 for n in range(10)}
    backups = {f"{n}.txt~": words(99, n) for n in range(2)}
    folder = write(tmp_path / "notes", {**own, **copies, **stubs, **backups, "empty.txt": "", "other.md": "x"})
    far = write(tmp_path / "far", {f"{n}.txt": words(99, 20 + n) for n in range(4)})
    write(tmp_path, {"beside.txt": words(99, 50)})
    for name, target in (("linked", far), ("again", far), ("up", ".."), ("self", "."), ("gone.txt", "nothing")):
        (folder / name).symlink_to(target)
    (folder / "a link.txt").symlink_to("0.txt")
    os.mkfifo(folder / "pipe.txt")
    return folder


@pytest.mark.parametrize(
    ("pattern", "documents"),
    [("**/*.txt", 14), ("*.txt", 10), ("**", 15), ("linked/*.txt", 4), (".ipynb*/*.txt", 10), ("[0-4].txt", 5)],
)
def test_one_walk_without_hidden_copies_and_loops(notes: Path, pattern: str, documents: int) -> None:
    facts = corpus(notes, pattern=pattern).facts
    assert facts.train_documents + facts.val_documents == documents


def test_what_is_left_out_is_said_everywhere(cli: Cli, here: Path, notes: Path) -> None:
    typed = [*TINY, f'data.path="{notes}"', 'data.pattern="**/*.txt"', "data.vocab_size=300"]
    told = "left out: 1 empty, 11 hidden or backup, 2 no regular file, 2 linked from above, 1 linked twice"
    prepared = cli("data", "prepare", "text", *typed[1:5], *typed[-3:])
    assert prepared.code == 0 and told in prepared.out, prepared.err
    (line,) = (line for line in prepared.out.splitlines() if " documents, " in line)
    trained = cli("train", *typed, "train.steps=1")
    assert trained.code == 0 and trained.out.count(line) == 1
    record = json.loads((run_folder(here) / "run.json").read_text())["corpus"]
    assert record["left_out"]["hidden or backup"] == 11 and sum(record["documents"].values()) == 14
    assert record["held_out"] == "by a hash of their names"
    planned = cli("sweep", *typed, "seed=1,2", "--plan")
    assert planned.code == 0 and planned.out.count(line) == 1


def test_an_unreadable_folder_is_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "t", {"a.txt": words(99), "closed/b.txt": words(99)})
    scan = os.scandir

    def refusing(path: Path) -> object:  # the tests may run as root, whom nothing is closed to
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(Exception, match="closed cannot be read: Permission denied"):
        corpus(folder)


# What they hold

TEXT = words(400)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(TEXT.encode(), mtime=0), "is gzip, not plain text; simplify data prepare NAME --from DIR"),
        (b"PAR1" + bytes(99), "is Parquet, not plain text; simplify data prepare NAME --from DIR"),
        (b"PK\x03\x04" + bytes(99), "is a zip archive, not plain text; unpack it first"),
        (TEXT.encode("utf-16"), "is UTF-16, not plain text; iconv -f UTF-16 -t UTF-8"),
        (TEXT.encode("utf-16-le"), "looks like UTF-16LE"),
        (TEXT.encode("utf-16-be"), "looks like UTF-16BE"),
        (TEXT.encode("utf-32"), "is UTF-32"),
        (TEXT.encode("utf-32-be"), "looks like UTF-32BE"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is binary (it has NUL bytes), not text"),
        (TEXT.replace("a", "ä").encode("latin-1"), "is not UTF-8 ("),
        ("漢字仮名交文".encode("utf-16-le") * 50, "is not UTF-8 ("),
        (bytes(range(128, 256)), "is not UTF-8 ("),
    ],
)
def test_what_is_no_text_is_refused_by_name(cli: Cli, here: Path, content: bytes, told: str) -> None:
    write(here / "t", {**{f"{n}.txt": words(50, n) for n in range(5)}, "odd.txt": content})
    done = cli("data", "prepare", "text", "data.path=t", "data.vocab_size=300")
    assert done.code == 2 and done.err.count("\n") == 1 and f"odd.txt {told}" in done.err, done.err


def test_a_mark_is_dropped_and_substitutes_are_counted(tmp_path: Path) -> None:
    plain = {f"{n}.txt": words(99, n) for n in range(10)}
    marked = {name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in plain.items()}
    one, other = corpus(write(tmp_path / "a", {**plain})), corpus(write(tmp_path / "b", {**marked}))
    assert one.facts == other.facts
    broken = corpus(write(tmp_path / "c", {**plain, "3.txt": plain["3.txt"].encode() + b"\xff\xfe\xff"}))
    assert "3 substitutes for bytes that are no UTF-8, in 3.txt" in broken.line("text")


@given(st.text(st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"])))
def test_any_text_is_read_as_it_is(text: str) -> None:
    try:
        assert decoded(text.encode()).text == text.removeprefix("\ufeff")
    except NoText as what:
        assert text.startswith(("PAR1", "ARROW1", "BZh", "PK\x03\x04", "%PDF-")), what


# What is held out


def test_a_corpus_of_one_file(cli: Cli, here: Path) -> None:
    write(here / "one", {"input.txt": words(3000), "README.md": "not text of the corpus"})
    typed = ["train", *TINY, 'data.pattern="**/*.txt"', "train.steps=2", "data.vocab_size=300"]
    done = cli(*typed, "data.path=one")
    assert done.code == 0, done.err
    assert "data: text: 1 document, " in done.out and "the last 0.3 of each held out" in done.out
    done = cli(*typed, "data.path=one/input.txt")
    assert "already done" in done.out  # a folder with one file and the file: the same corpus
    built = corpus(here / "one")
    (train,), (val,) = texts(built, "train"), texts(built, "val")
    assert train + val == words(3000) and train.endswith("\n") and 0.25 < len(val) / len(words(3000)) < 0.301


@given(st.text("ab \n", max_size=300), st.floats(0.01, 0.99))
def test_a_stretch_is_what_the_other_split_lacks(text: str, fraction: float) -> None:
    train, val = stretch(text, fraction, "train"), stretch(text, fraction, "val")
    assert train + val == text and len(val) <= fraction * len(text) + 1
    assert len(val) >= fraction * len(text) / 2 - 1


def split(prefix: str, *names: str) -> dict[str, str | bytes]:
    return {f"{prefix}{name}": words(400, seed) for seed, name in enumerate(names)}


@pytest.mark.parametrize(
    ("files", "train", "val"),
    [
        (split("", "train/a.txt", "train/b.txt", "val/c.txt", "test/d.txt", "notes.txt"), 3, 1),
        (split("deep/in/", "Train/a.txt", "validation/c.txt", "validation/d.txt"), 1, 2),
        (split("", "train.txt", "val.txt"), 1, 1),
        (split("", "wiki.train.txt", "wiki.valid.txt", "wiki.test.txt"), 1, 1),
    ],
)
def test_names_that_say_which_split_are_respected(tmp_path: Path, files: dict[str, str], train: int, val: int) -> None:
    built = corpus(write(tmp_path / "t", {**files}), share="0.0001")
    assert (built.facts.train_documents, built.facts.val_documents) == (train, val)
    assert "held out by name (train, val)" in built.line("text")
    assert ("1 test by name" in built.line("text")) == any("test" in name for name in files)


def test_names_in_doubt_are_not_and_that_is_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", split("", "train.txt", "val.txt", "how to.txt", *(f"{n}.txt" for n in range(9))))
    assert "val.txt is not taken as validation" in corpus(folder).line("text")


def test_copies_of_what_is_held_out_are_not_trained_on(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", {f"{n}.txt": words(99, n) for n in range(20)})
    before = corpus(folder)
    held = texts(before, "val")
    write(folder, {f"copy {n}.txt": text for n, text in enumerate(held)})
    after = corpus(folder)
    kept = after.facts.val_documents - before.facts.val_documents  # copies that are held out too
    assert f"{len(held) - kept} copies of held-out documents" in after.line("text") and len(held) > kept
    assert not set(texts(after, "train")) & set(texts(after, "val"))


def test_lines_of_json_are_no_text(cli: Cli, here: Path) -> None:
    write(here / "t", {"a.jsonl": b'{"text": "a word"}\n' * 50, "B.NDJSON": b"{}\n"})
    for words in (
        ["data.path=t/a.jsonl"],
        ["data.path=t", 'data.pattern="*.NDJSON"'],
        ["data.path=t", 'data.pattern="*"'],
    ):
        done = cli("data", "prepare", "text", *words, "data.vocab_size=300")
        assert done.code == 2 and "is JSON lines, not plain text; simplify data prepare NAME --from DIR" in done.err
