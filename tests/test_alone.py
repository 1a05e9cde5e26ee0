"""A trained run stands on its own: without its corpus, from any folder, copied, moved and renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TINY_MODEL, run_folder

Cli = Callable[..., Any]
Text = Callable[..., list[str]]


@pytest.fixture
def words(here: Path) -> list[str]:
    """A tiny run on text of its own in ./md, by a relative path."""
    (here / "md").mkdir()
    for number in range(8):
        (here / "md" / f"{number}.txt").write_text(f"a text of its own, number {number}; " * 60)
    data = ["data=text", "data.path=md", "data.pattern=*.txt", "data.vocab_size=300", "data.val_fraction=0.3"]
    train = ["train.batch_tokens=64", "train.steps=2", "train.val_sequences=4", "wandb.mode=disabled"]
    return [*data, *TINY_MODEL, *train, "cluster.cpu_threads=1"]


def test_a_copy_writes_without_its_text(
    cli: Cli, here: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine: an empty cache, another folder, and of the text there is nothing."""
    assert cli("train", *words).code == 0
    before = cli("sample", run_folder(here).name, "--seed", "3")
    copied = tmp_path / "my best run"
    shutil.copytree(run_folder(here), copied)
    shutil.rmtree(here / "md")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path / "cache"))
    after = cli("sample", str(copied), "--seed", "3")
    assert (after.code, after.err) == (0, "") and after.out == before.out and len(after.out) > 20
    assert not (tmp_path / "cache").exists()
    probed = cli("probe", str(copied))  # which needs the text
    assert probed.code == 2 and probed.err.count("\n") == 1 and f"{here / 'md'}: no such folder" in probed.err


def test_text_that_was_edited_since(cli: Cli, here: Path, words: list[str]) -> None:
    assert cli("train", *words).code == 0
    (here / "md" / "0.txt").write_text("another text altogether " * 300)
    name = run_folder(here).name
    assert cli("sample", name).code == 0
    done = cli("probe", name)
    assert done.code == 2 and "was trained on corpus" in done.err


def test_runs_without_a_tokeniser_of_their_own(cli: Cli, here: Path, words: list[str]) -> None:
    """Of an earlier version, or damaged since: the corpus' is taken and kept."""
    assert cli("train", *words).code == 0
    run = run_folder(here)
    path, whole = run / "tokenizer.json", (run / "tokenizer.json").read_text()
    before = cli("sample", run.name).out
    for damaged in (None, "", whole[:900], "[1]"):
        path.unlink()
        if damaged is not None:
            path.write_text(damaged)
        assert cli("sample", run.name).out == before and path.read_text() == whole
    path.write_text(whole.replace('"<|endoftext|>": 0', '"<|endoftext|>": 300'))
    another = cli("sample", run.name)
    assert another.code == 2 and "it is another tokeniser; remove the file" in another.err
    path.unlink()
    shutil.rmtree(here / "md")
    gone = cli("sample", run.name)
    assert gone.code == 2 and gone.err.count("\n") == 1 and "tokenizer.json: cannot be read" in gone.err
    assert "its corpus cannot be opened instead: data.path=" in gone.err


def test_a_run_that_goes_on_gets_its_tokeniser(cli: Cli, here: Path, words: list[str]) -> None:
    assert cli("train", *words).code == 0
    run = run_folder(here)
    (run / "tokenizer.json").unlink()
    (run / "done.json").unlink()
    assert cli("train", *words).code == 0 and (run / "tokenizer.json").is_file()


def test_paths_in_a_configuration_are_absolute_and_change_no_id(cli: Cli, here: Path, words: list[str]) -> None:
    assert cli("train", *words).code == 0
    run = run_folder(here)
    kept = yaml.safe_load((run / "config.yaml").read_text())
    assert kept["data"]["path"] == str(here / "md") and "run_root" not in kept
    again = cli("train", *words[:1], f"data.path='{here / 'md'}'".replace("it's", "it\\'s"), *words[2:])
    assert again.code == 0 and f"already done: {run}" in again.out
    shutil.copyfile(run / "tokenizer.json", here / "own.json")
    told = yaml.safe_load(cli("config", *words, "data.tokeniser=own.json").out)
    assert told["data"]["tokeniser"] == str(here / "own.json")
    assert yaml.safe_load(cli("config", *words, "data.tokeniser=gpt2").out)["data"]["tokeniser"] == "gpt2"


def test_a_configuration_is_bound_to_no_run_root(
    cli: Cli, here: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions kept an absolute run_root in it, which would be written to from any copy."""
    assert cli("train", *words).code == 0
    run = run_folder(here)
    home = tmp_path / "home"
    shutil.copytree(here / "runs", home / "runs")
    copied = home / "runs" / run.name
    with open(copied / "config.yaml", "a") as file:
        file.write(f'run_root: "{here / "runs"}"\n')
    monkeypatch.chdir(home)
    done = cli("train", "--config", str(copied / "config.yaml"))
    assert done.code == 0 and f"already done: {copied}" in done.out
    forced = cli("train", "--config", str(copied / "config.yaml"), "--force")
    assert forced.code == 0 and (home / "runs" / f"{run.name}.old-1").is_dir()
    assert [p.name for p in (here / "runs").glob("*-*")] == [run.name]
    typed = cli("train", "--config", str(copied / "config.yaml"), "run_root=there")
    assert typed.code == 0 and (home / "there" / run.name / "done.json").is_file()
