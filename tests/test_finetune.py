"""`simplify finetune`: GLUE's files, the head, the metrics, and what is kept of a fine-tuning."""

from __future__ import annotations

import json
import math
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from conftest import TINY, Result, run_folder
from glue_tools import write_layouts, write_sst2, write_stsb
from hypothesis import given
from hypothesis import strategies as st
from test_life import finish

from simplify.compose import compose_run
from simplify.data.tokenisers import end_of_text
from simplify.errors import ConfigError, DataError
from simplify.finetune.glue import TaskData, find_glue, read_task
from simplify.finetune.inputs import Encoder, fitted, padded
from simplify.finetune.metrics import METRICS
from simplify.finetune.model import Classifier
from simplify.finetune.recipe import read_recipe
from simplify.finetune.tasks import NUMBERS, TASKS, TITLES, chosen_tasks
from simplify.zoo.model import build_model

Cli = Callable[..., Result]
BERT = ["model.kind=encoder", "model.activation=geglu", "model.positions=sinusoidal", "model.norm=layernorm"]
BERT += ["model.embedding_norm=true", "model.init_std=0.1", "model.seq_len=32", "train.batch_tokens=512"]
PRETRAINED = [*TINY, *BERT, "block=sas", "train.steps=60", "optimiser=adamw_bert", "optimiser.lr=5e-3"]
FAST = ["lr=5e-3", "batch=16", "epochs=6", "head=32"]


@pytest.fixture
def glue(here: Path) -> Path:
    """Two tasks that can be learned."""
    write_sst2(here / "glue data")
    write_stsb(here / "glue data")
    return here / "glue data"


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((folder / "finetune").rglob("*.json"))}


def test_two_tasks_from_pre_training_to_the_table(cli: Cli, here: Path, glue: Path) -> None:
    assert cli("train", *PRETRAINED).code == 0
    folder = run_folder(here)
    words = ["finetune", folder.name, "task=sst2,stsb", "seeds=2", *FAST]
    done = cli(*words, "--glue", str(glue))
    assert done.code == 0, done.err
    found = results(folder)
    assert set(found) == {"sst2-0", "sst2-1", "stsb-0", "stsb-1"}
    for seed in (0, 1):
        assert found[f"sst2-{seed}"]["numbers"]["sst2"] > 0.9 and found[f"sst2-{seed}"]["metric"] == "accuracy"
        assert found[f"stsb-{seed}"]["numbers"]["stsb"] > 0.8 and found[f"stsb-{seed}"]["metric"] == "pearson"
    assert found["sst2-0"]["steps"] == 6 * 16 and found["sst2-0"]["examples"] == {"train": 256, "sst2": 80}
    mean = 100 * np.mean([found[f"stsb-{seed}"]["numbers"]["stsb"] for seed in (0, 1)])
    sd = 100 * np.std([found[f"stsb-{seed}"]["numbers"]["stsb"] for seed in (0, 1)], ddof=1)
    assert f"{mean:.1f} ± {sd:.1f}" in done.out and "STS-B pearson" in done.out and "not the paper's" in done.out

    lost = next((folder / "finetune").rglob("stsb-1.json"))
    lost.unlink()
    times = {path: path.stat().st_mtime_ns for path in (folder / "finetune").rglob("*.json")}
    again = cli(*words, "--glue", str(glue), "--json")
    assert again.code == 0 and all(path.stat().st_mtime_ns == was for path, was in times.items())
    assert "stsb seed 1" in again.err and "sst2" not in again.err  # only what was missing
    assert results(folder)["stsb-1"]["numbers"] == found["stsb-1"]["numbers"]
    told = json.loads(again.out)
    (row,) = told["rows"]
    assert told["schema"] == "simplify.finetune/1"
    assert row["numbers"]["stsb"]["mean"] == pytest.approx(mean / 100) and row["mean"] is None and row["failed"] == []

    both = cli("finetune", str(folder), "--show", "--glue", "elsewhere")
    assert both.code == 2 and "--glue elsewhere: has no use with --show" in both.err
    shown = cli("finetune", str(folder), "task=sst2,stsb", *FAST, "--show")  # three seeds, of which two are there
    assert shown.code == 0 and "(2/3)" in shown.out
    broken = cli("finetune", folder.name, "task=sst2", "seeds=1", *FAST, "lr=1e30", "--glue", str(glue))
    assert broken.code == 1 and "failed, and in no mean: sst2, seed 0: the loss is" in broken.out
    kept = next(one for one in results(folder).values() if one["failed"])
    assert kept["numbers"] == {} and kept["failed"]["cause"] == "non_finite" and kept["failed"]["step"] >= 1


def test_all_tasks_and_two_runs_side_by_side(cli: Cli, here: Path) -> None:
    """The nine numbers and their mean, as in the paper's Table 2."""
    write_layouts(here / "glue")
    for block in ("sas", "pre_ln"):
        assert cli("train", *PRETRAINED, f"block={block}", "train.steps=2").code == 0
    names = sorted(path.name for path in (here / "runs").glob("*-*"))
    done = cli("finetune", *names, "seeds=2", "--glue", str(here / "glue"), "--json")
    assert done.code == 0, done.err + done.out
    rows = json.loads(done.out)["rows"]
    assert [row["run"] for row in rows] == names
    for row in rows:
        assert tuple(row["numbers"]) == NUMBERS
        for seed in ("0", "1"):
            nine = [row["numbers"][name]["seeds"][seed] for name in NUMBERS]
            assert row["mean"]["seeds"][seed] == pytest.approx(np.mean(nine))
    assert len(list((here / "runs" / names[0] / "finetune").glob("*.json"))) == 2 * len(TASKS)  # the paper's recipe
    shown = cli("finetune", *names, "seeds=2", "--show").out.splitlines()
    assert shown[0].split() == ["run", *(TITLES[name] for name in NUMBERS), "mean"]
    assert [line.split()[0] for line in shown[1:3]] == names and "QQP f1, MRPC f1, CoLA mcc" in shown[3]
    other = here / "glue" / "RTE" / "dev.tsv"
    other.write_text(other.read_text().replace("It is.", "It was."))
    (here / "runs" / names[0] / "finetune" / "rte-1.json").unlink()
    for asked in (names[:1], names[1:]):  # one with a seed to be done, one where all is there
        mixed = cli("finetune", *asked, "seeds=2", "--glue", str(here / "glue"))
        assert mixed.code == 2 and mixed.err.count("\n") == 1, mixed.err
        assert "rte was fine-tuned on other data (" in mixed.err and "/finetune/rte-*.json" in mixed.err
    kept = here / "runs" / names[0] / "finetune" / "rte-0.json"
    (kept.parent / "rte-1.json").write_text(kept.read_text().replace('"data": "', '"data": "0'))
    copied = cli("finetune", *names, "seeds=2", "--show")
    assert copied.code == 1 and "in no mean: rte: its seeds are of different data" in copied.out
    assert "rte: these results are of different data" in copied.out


def test_killed_in_the_middle(cli: Cli, spawn: Callable[..., Any], here: Path, glue: Path) -> None:
    assert cli("train", *PRETRAINED, "train.steps=2").code == 0
    folder = run_folder(here)
    words = ["finetune", folder.name, "task=sst2", "seeds=1", "epochs=100", "--glue", str(glue)]
    process: subprocess.Popen[str] = spawn(*words)
    second = finish_line(process)
    assert second.startswith(folder.name)
    taken = cli(*words)
    assert taken.code == 75 and "is being fine-tuned already by another process" in taken.err
    process.send_signal(signal.SIGTERM)
    stopped = finish(process)
    assert stopped.code == 75 and stopped.err.startswith("simplify: stopped; what is finished is kept")
    assert not list((folder / "finetune").rglob("*.json")) if (folder / "finetune").exists() else True


def finish_line(process: subprocess.Popen[str]) -> str:
    """The first line of progress: it is training now."""
    end = time.monotonic() + 60
    assert process.stdout is not None
    while time.monotonic() < end:
        line = process.stdout.readline()
        if "step " in line:
            return line
    raise AssertionError("it never began")


def test_the_files_of_each_task(tmp_path: Path) -> None:
    """As GLUE's download has them and as the hub has them: the same examples."""
    import datasets

    write_layouts(tmp_path / "download")
    ours = {name: read_task(find_glue(str(tmp_path / "download")), task) for name, task in TASKS.items()}
    assert ours["cola"].train.texts == [("They drank the pub.",), ('The "car" honked down the road.',)]
    assert ours["cola"].train.labels.tolist() == [1, 0]
    assert ours["mrpc"].train.texts == [('He said " yes .', "Yes , he said .")]
    assert ours["qqp"].train.left_out == 1 and ours["qqp"].train.labels.tolist() == [1, 0]
    assert ours["mnli"].train.labels.tolist() == [0, 2] and ours["rte"].train.labels.tolist() == [1]
    assert ours["stsb"].train.labels.tolist() == [4.75]
    assert list(ours["mnli"].validation) == ["mnli-m", "mnli-mm"]
    assert ours["mnli"].validation["mnli-mm"].texts == [("Mismatched.", "Yes.")]
    for name, task in TASKS.items():
        for split, part in [("train", ours[name].train), *hub_splits(ours[name], name)]:
            columns = dict(zip(task.hub_texts, zip(*part.texts, strict=True), strict=True))
            table = datasets.Dataset.from_dict({**{k: list(v) for k, v in columns.items()}, "label": part.labels})
            (tmp_path / "hub" / name).mkdir(parents=True, exist_ok=True)
            table.to_parquet(str(tmp_path / "hub" / name / f"{split}-00000-of-00001.parquet"))
    theirs = {name: read_task(find_glue(str(tmp_path / "hub")), TASKS[name]) for name in ("mnli", "stsb", "cola")}
    for name, data in theirs.items():
        assert data.fingerprint == ours[name].fingerprint


def hub_splits(data: TaskData, name: str) -> list[tuple[str, Any]]:
    return [(split.hub, data.validation[split.number]) for split in TASKS[name].splits]


def test_what_is_wrong_is_said(cli: Cli, here: Path, glue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="task=mnl: did you mean mnli"):
        chosen_tasks("mnl")
    with pytest.raises(ConfigError, match="seeds=0: needs a whole number"):
        read_recipe(["seeds=0"])
    with pytest.raises(ConfigError, match="epoch: unknown key; did you mean epochs"):
        read_recipe(["epoch=3"])
    with pytest.raises(DataError, match=r"--glue ./nowhere: no such folder"):
        find_glue("./nowhere")
    monkeypatch.setenv("SIMPLIFY_GLUE", str(glue))
    with pytest.raises(DataError, match=r"SIMPLIFY_GLUE=.*: CoLA/train.tsv cannot be read: No such file"):
        read_task(find_glue(None), TASKS["cola"])
    (glue / "SST-2" / "dev.tsv").write_text("sentence\tlabel\nfine\t2\n")
    with pytest.raises(DataError, match=r"dev.tsv, line 2: has the label '2'; valid: 0, 1, as in the GLUE download"):
        read_task(find_glue(None), TASKS["sst2"])
    (glue / "SST-2" / "dev.tsv").write_text("sentence\tscore\nfine\t1\n")
    with pytest.raises(DataError, match=r"dev.tsv: has no column label"):
        read_task(find_glue(None), TASKS["sst2"])
    (glue / "SST-2" / "dev.tsv").write_text("")
    with pytest.raises(DataError, match=r"dev.tsv: is empty; valid: the file of that name"):
        read_task(find_glue(None), TASKS["sst2"])
    for score in ("x", "5.5", "nan"):
        (glue / "STS-B" / "train.tsv").write_text(f"sentence1\tsentence2\tscore\na\tb\t5.0\n\na\tb\t{score}\n")
        with pytest.raises(
            DataError, match=f"train.tsv, line 4: has the label '{score}'; valid: a number from 0 to 5,"
        ):
            read_task(find_glue(None), TASKS["stsb"])
    assert cli("train", *TINY, "train.steps=2").code == 0
    folder = run_folder(here)
    decoder = cli("finetune", folder.name)
    assert decoder.code == 2 and "is a decoder (model.kind=decoder); valid: an encoder" in decoder.err
    none = cli("finetune", "task=mnli")
    assert none.code == 2 and "finetune: names no run" in none.err


def test_the_papers_recipe() -> None:
    recipe, task, seeds = read_recipe([])
    assert (recipe.epochs, recipe.lr, recipe.batch, recipe.dropout, task, seeds) == (5, 1.5e-4, 32, 0.1, "glue", 3)
    settings = recipe.optimiser()
    assert (settings.eps, settings.schedule, settings.grad_clip) == (1e-6, "cosine", None) and recipe.folder == ""
    assert read_recipe(["lr=1e-4"])[0].folder != "" and read_recipe(["lr=0.00015"])[0].folder == ""
    assert TITLES["mnli-mm"] == "MNLI-mm" and TITLES["stsb"] == "STS-B"
    assert NUMBERS == ("mnli-m", "mnli-mm", "sst2", "stsb", "rte", "qnli", "qqp", "mrpc", "cola")


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_metrics_against_their_definitions(pairs: list[tuple[int, int]]) -> None:
    labels, found = (np.array(column) for column in zip(*pairs, strict=True))
    tp, tn = int((labels & found).sum()), int(((1 - labels) & (1 - found)).sum())
    fp, fn = int(((1 - labels) & found).sum()), int((labels & (1 - found)).sum())
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert METRICS["mcc"](labels, found) == pytest.approx((tp * tn - fp * fn) / root if root else 0.0)
    assert METRICS["f1"](labels, found) == pytest.approx(2 * tp / (2 * tp + fp + fn) if tp else 0.0)
    assert METRICS["accuracy"](labels, found) == sklearn.metrics.accuracy_score(labels, found)
    noise = np.array([random.Random(n).random() for n in range(len(labels))])
    pearson = METRICS["pearson"](labels.astype(float), noise)
    if labels.min() == labels.max():
        assert math.isnan(pearson)
    else:
        assert pearson == pytest.approx(np.corrcoef(labels, noise)[0, 1])


@given(st.lists(st.integers(0, 30), min_size=1, max_size=2), st.integers(1, 30))
def test_the_longer_text_gives_way(lengths: list[int], room: int) -> None:
    kept = fitted(lengths, room)
    assert all(0 <= after <= before for after, before in zip(kept, lengths, strict=True))
    assert sum(kept) == min(sum(lengths), room)
    for text, other in zip(kept, reversed(kept), strict=True):
        if text < lengths[kept.index(text)] and len(kept) == 2 and text != other:
            assert text >= other - 1  # what was cut is no shorter than what was not


def test_padding_changes_nothing_and_dropout_acts_in_training_alone(tmp_path: Path) -> None:
    from simplify.data.corpus import open_corpus

    config = compose_run(PRETRAINED)
    tokeniser = open_corpus(config.data, masked=True).tokeniser()
    write_layouts(tmp_path)
    data = read_task(find_glue(str(tmp_path)), TASKS["mnli"])
    encode = Encoder(tokeniser, 32)
    texts = encode(data.train)
    end = end_of_text(tokeniser)
    assert all(one[0] == one[-1] == end and (one == end).sum() == 3 for one in texts)
    encoder = build_model(config.block, config.model, config.data.vocab_size, 0)
    model = Classifier(encoder, read_recipe([])[0], 3, 0.1, seed=0).eval()
    short, long = texts[0][:9], texts[1]
    both = padded([short, long], end)
    assert both.valid is not None and both.valid.sum(1).tolist() == [9, len(long)]
    alone = model(*padded([short], end))
    assert padded([short], end).valid is None
    torch.testing.assert_close(model(*both)[:1], alone, rtol=1e-4, atol=1e-5)
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model(*both), model(*both))
    plain = Classifier(
        build_model(config.block, config.model, config.data.vocab_size, 0), read_recipe(["dropout=0"])[0], 3, 0.1, 0
    )
    assert torch.equal(plain(*both), plain(*both))
    assert torch.equal(plain.head.weight, model.head.weight)
    assert not torch.equal(plain.head.weight, Classifier(encoder, read_recipe(["dropout=0"])[0], 3, 0.1, 1).head.weight)
