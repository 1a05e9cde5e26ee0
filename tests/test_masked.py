"""Encoders: hidden tokens, and training on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, rows, run_folder, untimed
from hypothesis import given, settings
from hypothesis import strategies as st

from simplify.compose import compose_run
from simplify.data.batches import Batches
from simplify.data.corpus import open_corpus
from simplify.data.objectives import IGNORED, MaskedTokens
from simplify.data.tokenisers import MASK, mask_token
from simplify.errors import ConfigError

ENCODER = [*TINY, "model.kind=encoder"]


@settings(max_examples=30, deadline=None)
@given(length=st.integers(2, 40), probability=st.floats(0.01, 0.95), seed=st.integers(0, 10))
def test_every_sequence_hides_the_same_number(length: int, probability: float, seed: int) -> None:
    windows = np.random.RandomState(seed).randint(0, 90, (5, length + 1))
    masked = MaskedTokens(probability, mask_token=99, vocab_size=90)
    inputs, targets = masked(windows, seed, 3)
    tokens, hidden = windows[:, :-1], targets != IGNORED
    assert (hidden.sum(axis=1) == max(1, round(probability * length))).all()
    assert (targets[hidden] == tokens[hidden]).all() and (inputs[~hidden] == tokens[~hidden]).all()
    again = masked(windows, seed, 3)
    assert (again.inputs == inputs).all() and (again.targets == targets).all()


def test_eighty_ten_ten() -> None:
    windows = np.full((400, 101), 7)
    inputs, targets = MaskedTokens(0.25, mask_token=1000, vocab_size=1000)(windows, 0)
    chosen = inputs[targets != IGNORED]
    assert len(chosen) == 400 * 25
    assert np.mean(chosen == 1000) == pytest.approx(0.8, abs=0.02)
    assert np.mean(chosen == 7) == pytest.approx(0.1, abs=0.02)
    strangers = chosen[(chosen != 1000) & (chosen != 7)]
    assert len(strangers) / len(chosen) == pytest.approx(0.1, abs=0.02)
    assert len(set(strangers.tolist())) > 400 and strangers.max() < 1000
    places = (targets != IGNORED).mean(axis=0)
    assert places.min() > 0.1 and places.max() < 0.4  # every position has its turn


def test_batches_of_an_encoder() -> None:
    config = compose_run(ENCODER)
    corpus = open_corpus(config.data, masked=True)
    assert corpus.tokeniser().token_to_id(MASK) == mask_token(corpus.tokeniser())
    assert corpus.folder != open_corpus(config.data).folder
    one, other = Batches(corpus, config), Batches(corpus, config)
    first, second = one.batch(4), one.batch(5)
    assert (first.inputs == other.batch(4).inputs).all() and (first.inputs != second.inputs).any()
    assert (first.targets != IGNORED).mean() == 0.25  # 4 of 16
    fixed = [Batches(corpus, compose_run([*ENCODER, f"seed={s}"])).validation(9) for s in (0, 1)]
    assert (fixed[0].inputs == fixed[1].inputs).all() and (fixed[0].targets == fixed[1].targets).all()
    epoch = len(one._train) // 8
    again = one._train.take(np.arange(8))  # the same window is hidden differently every time it comes
    assert again.shape == (8, 17) and epoch > 1


@pytest.mark.parametrize("block", ["sas", "pre_ln"])
def test_an_encoder_trains_and_resumes_bit_for_bit(cli: Callable[..., Any], here: Path, block: str) -> None:
    words = [*ENCODER, f"block={block}", "train.steps=30", "optimiser.lr=3e-3", "model.activation=geglu"]
    whole = cli("train", *words, "run_root=whole")
    assert whole.code == 0 and "nats a hidden token" in whole.out and "bits a byte" not in whole.out
    (folder,) = (here / "whole").glob("*-*")
    losses = [row["train/loss"] for row in rows(folder)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3
    assert "val/bits_per_byte" not in rows(folder)[-1]
    micro = cli("train", *words, "run_root=micro", "train.micro_batch=2")
    (other,) = (here / "micro").glob("*-*")
    assert micro.code == 0 and other.name == folder.name
    apart = [abs(a["train/loss"] - b["train/loss"]) for a, b in zip(rows(folder), rows(other), strict=True)]
    assert max(apart) < 1e-4
    again = cli("train", *words, "run_root=again")
    (same,) = (here / "again").glob("*-*")
    assert again.code == 0 and untimed(rows(same)) == untimed(rows(folder))


def test_a_tokeniser_without_a_mask(cli: Callable[..., Any], here: Path) -> None:
    assert cli("train", *TINY, "train.steps=2").code == 0
    corpus = open_corpus(compose_run(TINY).data)
    done = cli("train", *ENCODER, f"'data.tokeniser=\"{corpus.folder / 'tokenizer.json'}\"'".strip("'"))
    assert done.code == 2 and "data.tokeniser: has no mask token" in done.err and MASK in done.err
    assert len(list((here / "runs").glob("*-*"))) == 1 and run_folder(here)


def test_a_setting_of_encoders_alone() -> None:
    with pytest.raises(ConfigError, match=r"train.mlm_probability=0.15: a decoder masks no tokens"):
        compose_run(["train.mlm_probability=0.15"])
    assert compose_run(["model=bert_nano", "train.mlm_probability=0.15"]).mlm_probability == 0.15
    assert compose_run(["model=bert_small"]).mlm_probability == 0.25
