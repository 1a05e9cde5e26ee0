"""Batches that grow over the budget and the triangle schedule: the paper's BERT pre-training."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Result, rows, run_folder, untimed
from hypothesis import given
from hypothesis import strategies as st
from report_tools import make_run, runs_of
from test_life import finish, wait_for_step
from test_world import torchrun

from simplify.compare.curves import Logged, mean_line, on_axis
from simplify.compare.variants import group
from simplify.compose import compose_run
from simplify.config import OptimiserConfig
from simplify.data.batches import Batches
from simplify.data.corpus import open_corpus
from simplify.errors import ConfigError
from simplify.runs.identity import identity, run_id
from simplify.sweep.estimate import run_time
from simplify.sweep.steps import Time
from simplify.training.schedules import BatchSize, Budget, learning_rate
from simplify.training.world import World

Cli = Callable[..., Result]
BERT = ["model.kind=encoder", "model.activation=geglu", "optimiser=adamw_bert", "optimiser.lr=3e-3"]
RAMP = ["train.micro_batch=2", "train.batch_ramp=0.6"]  # from 2 sequences to 8
# A step of a run with RAMP and 10 steps: its middle, and the micro-batches it has.
SIZES = [1, 1, 2, 2, 3, 3, 4, 4, 4, 4]


def triangle(peak: float, spent: float) -> float:
    config = OptimiserConfig.model_validate({"schedule": "triangle", "warmup": 0, "peak": peak, "lr": 2.0})
    return learning_rate(config, spent)


def test_a_triangle_rises_from_a_quarter_to_its_peak_and_ends_at_0() -> None:
    assert [triangle(0.75, s) for s in (0, 0.375, 0.75, 0.875, 1)] == pytest.approx([0.5, 1.25, 2.0, 1.0, 0.0])
    assert [triangle(0.2, s) for s in (0.1, 0.2, 0.6)] == pytest.approx([1.25, 2.0, 1.0])
    paper = compose_run(["optimiser=adamw_bert"]).optimiser
    assert (paper.betas, paper.eps, paper.weight_decay, paper.grad_clip) == ((0.9, 0.98), 1e-12, 0.1, 0.5)
    assert learning_rate(paper, 0.75) == paper.lr == 1e-3


@given(st.integers(1, 9), st.integers(1, 20), st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_batch_grows_by_whole_micro_batches(micro: int, most: int, ramp: float, spent: float, more: float) -> None:
    size = BatchSize(micro, micro * most, ramp)
    one, other = sorted((size.at(spent), size.at(more))), sorted((spent, more))
    assert one == [size.at(progress) for progress in other]  # it never shrinks
    assert size.at(0) == micro * (1 if most > 1 else most) and size.at(ramp) == size.at(1) == micro * most
    assert size.at(spent) % micro == 0
    if spent < ramp:
        assert abs(size.at(spent) / micro - (1 + (most - 1) * spent / ramp)) <= 1
    assert BatchSize(micro, micro * most, None).at(spent) == micro * most


def test_the_papers_bert() -> None:
    config = compose_run(["block=sas", "model=bert_small", "optimiser=adamw_bert", "data.vocab_size=32768"])
    size, hours = BatchSize.of(config), Budget.of(config)
    assert (size.at(0.0), size.at(0.3), size.at(0.6)) == (64, 64 * 64, 8192)
    assert size.at(hours.progress(0, 0.3 * 86400)) == 64 * 64  # by the run's own seconds, whatever the step


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train.batch_ramp=0.6"], "train.batch_ramp=0.6: needs the size of the first batch; valid: null, or set"),
        (["train.batch_ramp=0"], "train.batch_ramp=0: needs a number > 0"),
        ([*RAMP, "train.steps=null", "train.tokens=5000"], "train.batch_ramp=0.6: has no use with train.tokens"),
        (["optimiser.schedule=triangle"], "optimiser.warmup=0.05: optimiser.schedule=triangle rises by itself"),
        (["optimiser.peak=0.5"], "optimiser.peak=0.5: has no use with optimiser.schedule=linear; valid: 0.75, or"),
    ],
)
def test_settings_that_have_no_use(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        compose_run([*TINY, *words])
    assert said in str(error.value)


def test_identity() -> None:
    plain, ramp = (compose_run([*TINY, *words]) for words in ([], RAMP))
    assert "batch_ramp" not in identity(plain, "c")["train"] and "peak" not in identity(plain, "c")["optimiser"]
    other = compose_run([*TINY, "train.micro_batch=4", "train.batch_ramp=0.6"])  # the first batches are larger
    assert len({run_id(config, "c") for config in (plain, ramp, other)}) == 3


def test_the_time_of_a_run_is_estimated_by_its_sequences() -> None:
    config = compose_run([*TINY, *RAMP, "train.steps=10", "train.val_every=10", "train.val_sequences=24"])
    # One validation of three batches, each a forward pass: a third of a step.
    found = run_time(config, Time.around(8.0, "steps", 1.0))
    assert found is not None and found.seconds == pytest.approx(8.0 * (sum(SIZES) / 4 + 1))


def test_processes_share_the_micro_batch() -> None:
    config = compose_run([*TINY, *RAMP])
    assert World(0, 2).micro_batch(config) == 1 and World().micro_batch(config) == 2
    with pytest.raises(ConfigError, match=r"train.micro_batch=2: with train.batch_ramp the first batch is one "):
        World(0, 4).micro_batch(config)


def test_a_ramp_reads_the_same_order_as_no_ramp() -> None:
    config = compose_run([*TINY, *RAMP])
    batches = Batches(open_corpus(config.data), config)
    whole = np.concatenate([batches.windows(step) for step in range(3)])
    parts = [range(2), range(2, 6), range(6, 14), range(14, 24)]
    assert np.array_equal(np.concatenate([batches.windows(9, part) for part in parts]), whole)


def test_a_run_that_is_stopped_and_resumed_is_the_same(spawn: Callable[..., Any], here: Path) -> None:
    words = [*TINY, *BERT, *RAMP, "train.steps=200", "train.val_every=50", "train.checkpoint_every=1000"]
    whole = finish(spawn("train", *words, "run_root=whole"))
    assert whole.code == 0 and "32 to 128 tokens a step in 4 micro-batches" in whole.out, whole.err
    (reference,) = (here / "whole").glob("*-*")
    process: subprocess.Popen[str] = spawn("train", *words)
    wait_for_step(here, 15, process)
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 75
    assert 15 <= rows(run_folder(here))[-1]["step"] < 200
    assert finish(spawn("train", *words)).code == 0
    found = rows(run_folder(here))
    assert untimed(found) == untimed(rows(reference))
    size = BatchSize(2, 8, 0.6)
    tokens = np.cumsum([16 * size.at((step + 0.5) / 200) for step in range(200)])
    assert [row["tokens"] for row in found] == tokens.tolist() and tokens[-1] < 200 * 128
    assert json.loads((run_folder(here) / "done.json").read_text())["tokens"] == tokens[-1]
    assert max(row["lr"] for row in found) == pytest.approx(3e-3, rel=1e-2)
    peak = max(found, key=lambda row: row["lr"])
    assert 149 <= peak["step"] <= 152 and found[0]["lr"] == pytest.approx(0.75e-3, rel=2e-2)
    assert found[-1]["val/loss"] < found[49]["val/loss"]


def test_two_processes_are_one_run(cli: Cli, here: Path) -> None:
    words = [*TINY, *BERT, *RAMP, "train.steps=10", "train.val_every=5"]
    done = torchrun(here, 2, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    many = run_folder(here)
    assert cli("train", *words, "run_root=alone").code == 0
    one = here / "alone" / many.name
    assert [row["tokens"] for row in rows(one)] == np.cumsum([32 * size for size in SIZES]).tolist()
    for a, b in zip(rows(many), rows(one), strict=True):
        assert a["tokens"] == b["tokens"] and a["lr"] == b["lr"]
        assert a["train/loss"] == pytest.approx(b["train/loss"], rel=3e-6)


def test_hours_as_budget_survive_a_stop(spawn: Callable[..., Any], here: Path) -> None:
    """By the run's own seconds: what was spent before the stop counts, what lies between the attempts does not."""
    words = [word for word in TINY if not word.startswith("train.steps")]
    words += [*BERT, *RAMP, "train.hours=0.0015"]  # 5.4 s
    process = spawn("train", *words)
    wait_for_step(here, 25, process)
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 75
    folder = run_folder(here)
    saved = sorted((folder / "checkpoint").glob("*.pt"))[-1]
    state = torch.load(saved, weights_only=True)
    before = rows(folder)
    assert finish(spawn("train", *words)).code == 0
    found = rows(folder)
    assert found[: len(before)] == before and found[-1]["seconds"] >= 5.4
    assert [row["step"] for row in found] == list(range(1, len(found) + 1))
    first = found[len(before)]
    progress = state["seconds"] / 5.4
    size, peak = BatchSize(2, 8, 0.6), compose_run([*TINY, *BERT]).optimiser
    assert first["tokens"] - before[-1]["tokens"] == 16 * size.at(progress)
    assert first["lr"] == pytest.approx(learning_rate(peak, progress))
    assert before[-1]["tokens"] == 16 * state["sequences"]
    assert found[-1]["tokens"] - found[-2]["tokens"] == 128


def test_a_report_against_tokens(tmp_path: Path) -> None:
    """A step does not say how many tokens there were: the rows do."""
    folder = make_run(tmp_path, RAMP, [(1, 5.0), (3, 4.0), (4, 3.0)])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    text = "".join(json.dumps({**row, "tokens": t}) + "\n" for row, t in zip(lines, (32, 128, 256), strict=True))
    (folder / "metrics.jsonl").write_text(text)
    ((variant,), _), logged = group(runs_of(tmp_path)), Logged()
    line = mean_line(variant, logged, "val/loss", timed=False)
    assert line is not None and variant.costs is not None
    for axis, x in (("tokens", 1.0), ("flops", variant.costs.training_flops)):
        found = on_axis(line, variant, axis, logged)
        assert found is not None and found.x.tolist() == [32 * x, 128 * x, 256 * x]
    assert on_axis(line, variant, "step", logged) == line
