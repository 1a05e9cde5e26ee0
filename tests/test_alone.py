"""A trained run stands on its own: without its corpus, from any folder, copied, moved and renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TINY, TINY_MODEL, run_folder

from simplify.errors import RunFolderError
from simplify.runs.files import write_json
from simplify.runs.folders import find_folder, read_folders

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
    before = cli("sample", run_folder(here).name, "--seed", "3", "--tokens", "20")
    copied = tmp_path / "my best run"
    shutil.copytree(run_folder(here), copied)
    shutil.rmtree(here / "md")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path / "cache"))
    after = cli("sample", str(copied), "--seed", "3", "--tokens", "20")
    assert (after.code, after.err) == (0, "") and after.out == before.out and len(after.out) > 10
    assert not (tmp_path / "cache").exists()
    probed = cli("probe", str(copied))  # which needs the text
    assert probed.code == 2 and probed.err.count("\n") == 1 and f"{here / 'md'}: no such folder" in probed.err


def test_text_that_was_edited_since(cli: Cli, here: Path, words: list[str]) -> None:
    assert cli("train", *words).code == 0
    (here / "md" / "0.txt").write_text("another text altogether " * 300)
    name = run_folder(here).name
    assert cli("sample", name, "--tokens", "5").code == 0
    done = cli("probe", name)
    assert done.code == 2 and "was trained on corpus" in done.err
    again = cli("train", "--config", f"runs/{name}/config.yaml")
    assert again.code == 2 and again.err.count("\n") == 1 and "its run was trained on corpus" in again.err
    assert run_folder(here).name == name
    other = cli("train", "--config", f"runs/{name}/config.yaml", "seed=7")  # asked for as another one
    assert other.code == 0 and "is a new run" not in other.out
    anew = cli("train", *words)
    assert anew.code == 0 and f"this is a new run: {name} has the same settings on another text" in anew.out
    (here / "other").mkdir()
    shutil.copy(here / "md" / "1.txt", here / "other")
    typed = cli("train", "--config", f"runs/{name}/config.yaml", "data.path=other")  # so is another text
    assert typed.code == 0, typed.err


def test_runs_without_a_tokeniser_of_their_own(cli: Cli, here: Path, words: list[str]) -> None:
    """Of an earlier version, or damaged since: the corpus' is taken and kept."""
    assert cli("train", *words).code == 0
    run = run_folder(here)
    path, whole = run / "tokenizer.json", (run / "tokenizer.json").read_text()
    before = cli("sample", run.name, "--tokens", "5").out
    for damaged in (None, whole[:900], "[1]"):
        path.unlink()
        if damaged is not None:
            path.write_text(damaged)
        assert cli("sample", run.name, "--tokens", "5").out == before and path.read_text() == whole
    path.write_text(whole.replace('"<|endoftext|>": 0', '"<|endoftext|>": 300'))
    another = cli("sample", run.name, "--tokens", "5")
    assert another.code == 2 and "it is another tokeniser; remove the file" in another.err
    path.unlink()
    shutil.rmtree(here / "md")
    gone = cli("sample", run.name, "--tokens", "5")
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


def test_a_renamed_folder_is_the_run_for_every_verb(cli: Cli, here: Path) -> None:
    assert cli("train", *TINY, "train.steps=2").code == 0
    run = run_folder(here)
    identifier = run.name[-10:]
    named = run.rename(here / "runs" / "my best run")
    assert f"already done: {named}" in cli("train", *TINY, "train.steps=2").out
    assert "my best run" in cli("status").out and "1 done" in cli("status").out
    assert "1 done" in cli("sweep", *TINY, "train.steps=2", "--plan").out
    for word in (identifier, "my best", "my best run", run.name):
        assert cli("why", word).out.startswith("my best run: done"), word
    (named / "done.json").unlink()
    assert f"run {named}, continuing from step 2" in cli("train", *TINY, "train.steps=2").out
    assert [path.name for path in (here / "runs").iterdir() if path.name[0] != "."] == ["my best run"]


def test_copies_are_told_and_left_alone(cli: Cli, here: Path) -> None:
    """Copies whose names come first, come last, and do not look like a run; and a link, which is no copy."""
    assert cli("train", *TINY, "train.steps=2").code == 0
    run = run_folder(here)
    (run / "done.json").unlink()
    names = (f"backup-{run.name}", f"zz-{run.name}", f"{run.name} copy")
    for name in names:
        shutil.copytree(run, run.with_name(name))
        shutil.rmtree(run.with_name(name) / "checkpoint")
    (run.with_name("best")).symlink_to(run.name)
    told = f"{run.name}: is this run's folder; left alone as copies of it: {names[0]}, {names[2]}, {names[1]}\n"
    done = cli("train", *TINY, "train.steps=2")
    assert done.out.startswith(told) and f"run {run}, continuing from step 2" in done.out
    shown = cli("status")
    assert shown.err == f"simplify: {told}" and "1 done" in shown.out and "backup" not in shown.out
    assert not any((run.with_name(name) / "done.json").exists() for name in names)
    assert cli("why", names[0]).out.startswith(f"{names[0]}: ")  # a copy is found by its whole name
    for name in names[1:]:
        shutil.rmtree(run.with_name(name))
    shutil.rmtree(run)  # one copy is left: it is the run now
    assert f"run {run.with_name(names[0])}" in cli("train", *TINY, "train.steps=2").out


def test_where_only_copies_are_left_the_user_chooses(cli: Cli, here: Path) -> None:
    assert cli("train", *TINY, "train.steps=2").code == 0
    run = run_folder(here)
    for name in ("b", "a"):
        shutil.copytree(run, run.with_name(name))
    shutil.rmtree(run)
    told = f"several folders are run {run.name[-10:]}: a, b; left out until all but one of them are moved elsewhere\n"
    for verb in (["train"], ["sweep", "--plan"]):
        done = cli(verb[0], *TINY, "train.steps=2", *verb[1:])
        assert done.code == 2 and told in done.err and done.err.count("\n") == 1, done.err
    assert cli("status").err == f"simplify: {here / 'runs'}: {told}"
    assert not run.exists() and cli("sample", "b").code == 0
    (here / "runs" / "b").rename(run)
    assert f"already done: {run}" in cli("train", *TINY, "train.steps=2").out


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ({"sas-m-ID": "sas"}, "sas-m-ID"),
        ({"sas-m-ID": None}, "sas-m-ID"),  # it waits, and has no run.json yet
        ({"sas-m-ID": None, "renamed": "sas"}, "renamed"),
        ({"mine-m-ID": "mine"}, "mine-m-ID"),  # the same settings under another label
        ({"mine-m-ID": "mine", "sas-m-ID": "mine"}, "mine-m-ID"),
        (
            {"mine-m-ID": "mine", "sas-m-ID": "sas"},
            "sas-m-ID",
        ),  # of two run roots put together: the label that is asked
        ({"sas-m-ID.old-1": "sas"}, "sas-m-ID"),  # set aside: a new one is begun
        ({"a": "sas", "b": "sas"}, None),
        ({}, "sas-m-ID"),
    ],
    ids=str,
)
def test_one_rule_for_those_who_look_and_those_who_train(
    tmp_path: Path, there: dict[str, str | None], chosen: str | None
) -> None:
    identifier = "0123456789"
    for name, block in there.items():
        folder = tmp_path / name.replace("ID", identifier)
        folder.mkdir()
        if block is not None:
            model = {"name": "m", "n_layers": 1, "d_model": 1, "seq_len": 1}
            config = {"block": {"name": block}, "model": model, "data": {"name": "d"}, "train": {"batch_tokens": 1}}
            write_json(folder / "run.json", {"id": identifier, "created": "", "config": config})
    name = f"sas-m-{identifier}"
    if chosen is None:
        with pytest.raises(RunFolderError, match=f"several folders are run {identifier}: a, b;"):
            find_folder(tmp_path, identifier, name)
        assert read_folders(tmp_path).runs == {}
        return
    assert find_folder(tmp_path, identifier, name).path == tmp_path / chosen.replace("ID", identifier)
    assert read_folders(tmp_path).find(identifier, name).path.name == chosen.replace("ID", identifier)
