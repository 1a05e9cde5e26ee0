"""Files in place of the hub: the one column, every way to be broken by name, and what is left out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TEXT, Result
from hub_files import packed

from simplify.data.rows import rows
from simplify.errors import DataError

Cli = Callable[..., Result]
TEXTS = [path.read_text()[:3000] for path in sorted(TEXT.glob("*.py")) if path.stat().st_size > 3000][:12]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path / "cache"))
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "arrow")


def lines(*records: Any) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def prepare(cli: Cli, folder: str) -> Result:
    return cli("data", "prepare", "languini", "--from", folder, "--workers", "1", "data.vocab_size=300")


def test_only_the_column_matters(cli: Cli, here: Path) -> None:
    (here / "x" / ".ipynb_checkpoints").mkdir(parents=True)
    (here / "x" / "a.jsonl").write_bytes(lines(*({"text": text} for text in TEXTS[:4])))
    (here / "x" / "b.jsonl").write_bytes(lines(*({"text": text, "meta": {"n": 1}} for text in TEXTS[4:6])))
    (here / "x" / "c.jsonl").write_bytes(b"\xef\xbb\xbf" + lines(*({"meta": "a word", "text": t} for t in TEXTS[6:8])))
    (here / "x" / "D.JSONL.GZ").write_bytes(gzip.compress(lines(*({"text": t, "n": 1} for t in TEXTS[8:]))))
    (here / "x" / "e.ndjson").write_bytes(lines({"other": 1}, {"text": None}, {"text": ""}, {"text": TEXTS[0]}))
    (here / "x" / ".ipynb_checkpoints" / "a.jsonl").write_text("no JSON at all")
    done = prepare(cli, "x")
    assert done.code == 0, done.err
    assert f"{len(TEXTS) + 1} documents" in done.out and "left out: 1 hidden or backup, 3 rows without text" in done.out
    (here / "x" / "f.jsonl").write_bytes(lines({"text": TEXTS[1]}))
    again = prepare(cli, "x")
    assert again.code == 2 and "has other files by now than data=languini was prepared from" in again.err


def parquet(path: Path, table: dict[str, list[Any]]) -> None:
    import datasets

    datasets.Dataset.from_dict(table).to_parquet(str(path))


def test_parquet_files_with_other_columns(cli: Cli, here: Path) -> None:
    (here / "x").mkdir()
    parquet(here / "x" / "A.parquet", {"text": TEXTS[:6], "n": [1] * 6})
    parquet(here / "x" / "b.parquet", {"text": TEXTS[6:], "n": ["a word"] * 6})
    parquet(here / "x" / "c.parquet", {"n": [1, 2]})
    done = prepare(cli, "x")
    assert done.code == 0 and "12 documents" in done.out and "2 rows without text" in done.out, done.err


GOOD = lines(*({"text": text} for text in TEXTS))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("cut.jsonl.gz", gzip.compress(GOOD, mtime=0)[:-400], ": cannot be read: it ends too early"),
        ("plain.jsonl.gz", GOOD, ": cannot be read: it is not gzip"),
        ("plain.jsonl.xz", GOOD, ": cannot be read: "),
        ("plain.jsonl.zst", GOOD, ": cannot be read: "),
        ("cut.jsonl.zst", packed(GOOD, "zst")[:-400], "cannot be read: Truncated"),
        ("cut.jsonl.bz2", packed(GOOD, "bz2")[:-400], "cannot be read: it ends too early"),
        ("torn.jsonl", GOOD[:-50], ", after row 11: cannot be read: line 12 is no JSON"),
        ("half.jsonl", b'{"text": "\\ud800"}\n', ": cannot be read: "),
        ("list.json", b'[{"text": "a"}, 3]', "an entry of the list is no object"),
        ("words.jsonl", b'{"text": "a"}\n"words"\n', "line 2 is no object with columns, but str"),
        ("number.jsonl", b'{"text": "a"}\n{"text": 3}\n', ", row 2, but int"),
        ("cut.parquet", b"PAR1" + bytes(99), ": cannot be read: "),
        ("cut.arrow", b"ARROW1" + bytes(99), ": cannot be read: "),
        ("wide.txt", "wide text".encode("utf-16"), ": is UTF-16, not plain text; iconv"),
        ("wide.txt.gz", gzip.compress("wide text".encode("utf-16-le"), mtime=0), ": looks like UTF-16LE"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    kind = {".parquet": "parquet", ".arrow": "arrow", ".txt": "text"}.get(Path(name.removesuffix(".gz")).suffix, "json")
    with pytest.raises(DataError) as raised:
        list(rows(path, kind, "text"))
    assert told in str(raised.value) and str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_and_in_one_line_on_the_command_line(cli: Cli, here: Path) -> None:
    (here / "x").mkdir()
    (here / "x" / "a.jsonl").write_bytes(GOOD)
    (here / "x" / "b.jsonl.gz").write_bytes(gzip.compress(GOOD)[:-400])
    done = prepare(cli, "x")
    assert done.code == 2 and done.err.count("\n") == 1 and "x/b.jsonl.gz" in done.err, done.err
    assert "it ends too early" in done.err


def test_one_document_from_a_file_of_text(cli: Cli, here: Path) -> None:
    (here / "x").mkdir()
    (here / "x" / "book.txt").write_bytes(b"\xef\xbb\xbf" + "".join(TEXTS).encode())
    done = prepare(cli, "x")
    assert done.code == 0 and "1 document, " in done.out and "the last 0.05 of each held out" in done.out, done.err
