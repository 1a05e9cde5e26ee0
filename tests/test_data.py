"""Corpora and batches."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, TEXT, TINY
from hypothesis import given, settings
from hypothesis import strategies as st

from simplify.compose import compose_run
from simplify.config import RunConfig
from simplify.data.batches import Batches, Sequences, sequences
from simplify.data.corpus import Corpus, open_corpus
from simplify.data.sources import open_source
from simplify.data.splits import held_out


@pytest.fixture
def tiny() -> tuple[RunConfig, Corpus]:
    config = compose_run(TINY)
    return config, open_corpus(config.data)


def test_the_standard_library_without_its_tests() -> None:
    source = open_source(compose_run([]).data)
    assert source.size("train") > 400
    texts = list(source.documents("val"))
    names = source.files  # type: ignore[attr-defined]
    assert 10 < len(texts) < source.size("val") / 5
    assert not [name for name in names if "test" in Path(name).parts or "site-packages" in name]
    assert list(source.documents("val")) == texts


def test_text_round_trips_and_splits_are_by_document(tiny: tuple[RunConfig, Corpus]) -> None:
    config, corpus = tiny
    tokeniser = corpus.tokeniser()
    source = open_source(config.data)
    for split in ("train", "val"):
        tokens, edges = corpus.tokens(split), corpus.document_starts(split)
        texts = list(source.documents(split))
        assert len(edges) == len(texts) + 1 and edges[-1] == len(tokens)
        for text, start, end in zip(texts, edges[:-1], edges[1:], strict=True):
            assert tokens[end - 1] == 0  # end-of-text
            assert tokeniser.decode(tokens[start : end - 1].tolist()) == text
    assert corpus.facts.val_bytes == sum(len(t.encode()) for t in source.documents("val"))


def test_unigram_entropy_is_that_of_the_training_tokens(tiny: tuple[RunConfig, Corpus]) -> None:
    tokens = np.asarray(tiny[1].tokens("train"))
    _, counts = np.unique(tokens, return_counts=True)
    shares = counts / len(tokens)
    assert tiny[1].facts.unigram_entropy == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-12)


@given(st.text(min_size=1, max_size=20), st.floats(0.01, 0.99))
def test_the_held_out_share_is_stable_and_nested(name: str, fraction: float) -> None:
    if held_out(name, fraction):
        assert held_out(name, min(fraction + 0.005, 1.0))  # a larger share keeps what a smaller one holds out
    assert held_out(name, 1.0) and not held_out(name, 0.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 500), st.integers(0, 5), st.sampled_from([1, 2, 8]))
def test_a_batch_is_a_pure_function_of_seed_and_step(step: int, seed: int, sequences_a_batch: int) -> None:
    config = compose_run([*TINY, f"seed={seed}", f"train.batch_tokens={16 * sequences_a_batch}"])
    corpus = open_corpus(config.data)
    one, other = Batches(corpus, config), Batches(corpus, config)
    for earlier in range(min(step, 3)):
        one.windows(earlier)
    assert np.array_equal(one.windows(step), other.windows(step))
    assert one.windows(step).shape == (sequences_a_batch, 17)


def test_the_block_variant_does_not_change_the_data(tiny: tuple[RunConfig, Corpus]) -> None:
    sas, pre_ln = compose_run([*TINY, "block=sas"]), compose_run([*TINY, "block=pre_ln", "seed=0"])
    other_init = compose_run([*TINY, "model.seed=9"])
    batches = [Batches(tiny[1], config).windows(3) for config in (sas, pre_ln, other_init)]
    assert np.array_equal(batches[0], batches[1]) and np.array_equal(batches[0], batches[2])
    assert not np.array_equal(batches[0], Batches(tiny[1], compose_run([*TINY, "data.seed=9"])).windows(3))


def test_an_epoch_visits_every_window_once(tiny: tuple[RunConfig, Corpus]) -> None:
    config, corpus = tiny
    batches, train = Batches(corpus, config), sequences(corpus, "train", 16, "stream")
    steps = len(train) // 8
    rows = np.concatenate([batches.windows(step) for step in range(steps)])
    wanted = train.take(np.arange(len(train)))
    seen, every = {tuple(r) for r in rows}, {tuple(r) for r in wanted}
    assert len(every - seen) < 8 and seen <= every
    assert not np.array_equal(batches.windows(0), batches.windows(steps + 1))


def test_windows_overlap_by_the_one_target(tiny: tuple[RunConfig, Corpus]) -> None:
    train = sequences(tiny[1], "train", 16, "stream")
    rows = train.take(np.arange(5))
    assert np.array_equal(rows[:-1, -1], rows[1:, 0])
    assert np.array_equal(rows[:, :-1].ravel(), np.asarray(tiny[1].tokens("train"))[:80])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(2, 9))
def test_document_packing_never_crosses_a_document(lengths: list[int], seq_len: int) -> None:
    edges = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    class Fake:
        def tokens(self, _split: str) -> np.ndarray:
            return np.repeat(np.arange(len(lengths), dtype=np.uint16), lengths)

        def document_starts(self, _split: str) -> np.ndarray:
            return edges

    windows: Sequences = sequences(Fake(), "train", seq_len, "document")  # type: ignore[arg-type]
    rows = windows.take(np.arange(len(windows)))
    assert all(len(set(row)) == 1 for row in rows.tolist())
    assert len(windows) == sum(max(n - 1, 0) // seq_len for n in lengths)


def test_two_builders_at_once_make_one_corpus(tmp_path: Path) -> None:
    code = (
        "import sys; from simplify.compose import compose_run; from simplify.data.corpus import open_corpus\n"
        "print(open_corpus(compose_run(sys.argv[1:]).data).facts)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SIMPLIFY_CACHE": str(tmp_path / "new cache")}
    words = [sys.executable, "-c", code, *TINY]
    both = [subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].splitlines()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1] and "fingerprint=" in outputs[0]
    left = sorted(p.name for p in (tmp_path / "new cache" / "corpora").iterdir())
    assert len([name for name in left if not name.endswith(".lock")]) == 1


def test_a_killed_build_leaves_nothing_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path))
    config = compose_run(TINY)
    facts = open_corpus(config.data).facts
    (folder,) = [p for p in (tmp_path / "corpora").iterdir() if p.is_dir()]
    (folder / "meta.json").unlink()  # as if killed before the end
    folder.with_name(f".{folder.name}.building").mkdir()
    assert open_corpus(config.data).facts == facts


def test_the_fingerprint_is_of_the_content_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for path in sorted(TEXT.glob("*.py")):
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    os.utime(tmp_path / "b" / "base_events.py", (1, 1))
    found = [open_corpus(compose_run([*TINY, f"data.path={tmp_path / n}"]).data).facts for n in ("a", "b")]
    assert found[0] == found[1]
    (tmp_path / "b" / "events.py").write_text("changed = True\n" * 99)
    changed = open_corpus(compose_run([*TINY, f"data.path={tmp_path / 'b'}"]).data).facts
    assert changed.fingerprint != found[0].fingerprint


def test_special_tokens_in_a_text_are_text(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"{number} before <|endoftext|> after, more words here\n" * 20)
    words = [*TINY, f"data.path={tmp_path}", "data.pattern=*.txt"]
    corpus = open_corpus(compose_run(words).data)
    ends = int((np.asarray(corpus.tokens("train")) == 0).sum())
    assert ends == corpus.facts.train_documents


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_hub_format_from_local_files_with_an_existing_tokeniser(
    tmp_path: Path, tiny: tuple[RunConfig, Corpus], kind: str
) -> None:
    import datasets

    texts = [p.read_text() for p in sorted(TEXT.glob("*.py"))]
    for name, part in (("train set", texts[:-3]), ("val set", texts[-3:])):
        (tmp_path / name).mkdir()
        table = datasets.Dataset.from_dict({"content": part, "stars": list(range(len(part)))})
        target = tmp_path / name / f"data.{kind}"
        table.to_parquet(str(target)) if kind == "parquet" else table.to_json(str(target))
    words = [
        *TINY[5:],
        "data=codeparrot",
        f"data.train_set='{tmp_path / 'train set'}'",
        f"data.val_set='{tmp_path / 'val set'}'",
        f"data.tokeniser={tiny[1].folder / 'tokenizer.json'}",
        "data.vocab_size=400",
        "data.max_documents=9",
    ]
    config = compose_run(words)
    corpus = open_corpus(config.data)
    assert (corpus.facts.train_documents, corpus.facts.val_documents) == (9, 3)
    assert json.loads((corpus.folder / "tokenizer.json").read_text())["model"]["type"] == "BPE"
    tokens = np.asarray(corpus.tokens("val"))
    edges = corpus.document_starts("val")
    decoded = [corpus.tokeniser().decode(tokens[a : b - 1].tolist()) for a, b in itertools.pairwise(edges)]
    assert sorted(decoded) == sorted(texts[-3:])
    assert len(Batches(corpus, config).windows(0)) == 8
