"""`simplify data prepare glue`: from files to the cache, cut off and gone on with, and found by fine-tuning."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result
from glue_tools import write_layouts

from simplify.errors import DataError
from simplify.finetune import prepare
from simplify.finetune.glue import find_glue, open_glue, read_task
from simplify.finetune.tasks import TASKS

Cli = Callable[..., Result]


@pytest.fixture
def cache(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and GLUE's download in `here`."""
    write_layouts(here / "the download")
    monkeypatch.setenv("SIMPLIFY_CACHE", str(here / "cache"))
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # for processes of their own
    monkeypatch.delenv("SIMPLIFY_GLUE", raising=False)
    return here / "cache" / "glue"


def test_prepared_once_and_found_by_fine_tuning(cli: Cli, here: Path, cache: Path) -> None:
    done = cli("data", "prepare", "glue", "--from", "the download")
    assert done.code == 0, done.err
    assert "MNLI: 2 train, 1 validation_matched, 1 validation_mismatched; fingerprint " in done.out
    assert "QQP: 2 train, 1 validation; 1 torn lines left out; fingerprint " in done.out
    assert sorted(path.name for path in cache.iterdir()) == sorted(TASKS)
    before = {name: read_task(open_glue("the download", ""), task).fingerprint for name, task in TASKS.items()}
    shutil.rmtree(here / "the download")
    found = {name: read_task(find_glue(None), task).fingerprint for name, task in TASKS.items()}
    assert (
        found == before == {name: json.loads((cache / name / "meta.json").read_text())["fingerprint"] for name in TASKS}
    )
    again = cli("data", "prepare", "glue", "--check")
    assert again.code == 0 and again.out.count(", checked") == len(TASKS)


def test_damage_and_another_origin_are_said(cli: Cli, here: Path, cache: Path) -> None:
    assert cli("data", "prepare", "glue", "--from", "the download").code == 0
    write_layouts(here / "other")
    other = cli("data", "prepare", "glue", "--from", "other")
    assert other.code == 2 and other.err.count("\n") == len(TASKS)
    assert f"mnli was prepared from {here / 'the download'}; to prepare it anew remove {cache / 'mnli'}" in other.err
    for name in ("rte", "cola"):
        path = cache / name / "train-00000-of-00001.parquet"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(DataError, match=f"{name} cannot be loaded: .*simplify data prepare glue --check"):
            read_task(find_glue(None), TASKS[name])
    damaged = cli("data", "prepare", "glue", "--check")
    assert damaged.code == 2 and damaged.err.count("\n") == 2 and damaged.out.count(", checked") == len(TASKS) - 2
    assert "rte: damaged on the disk (train-00000-of-00001.parquet); remove the folder" in damaged.err


def test_a_folder_that_lacks_tasks_gives_the_others(cli: Cli, here: Path, cache: Path) -> None:
    write_layouts(here / "part")
    for name in ("MNLI", "CoLA"):
        shutil.rmtree(here / "part" / name)
    done = cli("data", "prepare", "glue", "--from", "part")
    assert done.code == 2 and done.err.count("\n") == 2, done.err
    assert "--from part: MNLI/train.tsv cannot be read: No such file" in done.err and "CoLA/train.tsv" in done.err
    assert sorted(path.name for path in cache.iterdir()) == sorted(set(TASKS) - {"mnli", "cola"})
    assert read_task(find_glue(None, [TASKS["rte"]]), TASKS["rte"]).train.labels.tolist() == [1]
    with pytest.raises(DataError, match="--glue is not given; nyu-mll/glue: cola cannot be loaded"):
        read_task(find_glue(None, [TASKS["cola"]]), TASKS["cola"])
    two = [TASKS["cola"], TASKS["rte"]]
    with pytest.raises(DataError, match=r"not given, of the tasks only rte is prepared here \(task=rte\); "):
        read_task(find_glue(None, two), TASKS["cola"])
    with pytest.raises(DataError, match="--glue nothere: no folder of that name here, and from the hub rte cannot be"):
        read_task(find_glue("nothere"), TASKS["rte"])
    checked = cli("data", "prepare", "glue", "--check")
    assert checked.code == 2 and f"{cache / 'mnli'}: is not there, so there is nothing to check" in checked.err


def test_goes_on_with_the_task_it_was_at(here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote, write = [], prepare.write_split

    def full(path: Path, *args: object) -> None:
        wrote.append(path.parent.name)
        if path.parent.name == ".rte":
            raise OSError(28, "No space left on device")
        write(path, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "write_split", full)
    with pytest.raises(DataError, match="rte cannot be written: No space left on device; make space, and the same"):
        list(prepare.prepare_glue(here / "the download", False))
    assert sorted(path.name for path in cache.iterdir()) == ["mnli", "sst2", "stsb"]
    (cache / ".rte").mkdir()  # as kill -9 leaves it
    monkeypatch.setattr(
        prepare, "write_split", lambda path, *args: (wrote.append(path.parent.name), write(path, *args))
    )
    wrote.clear()
    assert len(list(prepare.prepare_glue(here / "the download", False))) == len(TASKS)
    assert set(wrote) == {".rte", ".qnli", ".qqp", ".mrpc", ".cola"}


def test_two_at_once(here: Path, cache: Path) -> None:
    words = [sys.executable, "-m", "simplify", "data", "prepare", "glue", "--from", "the download", "--check"]
    both = [subprocess.Popen(words, cwd=here, stderr=subprocess.PIPE, env=None, text=True) for _ in range(2)]
    for process in both:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    assert sorted(path.name for path in cache.iterdir()) == sorted(TASKS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "data prepare glue: mnli cannot be loaded: "),
        (
            ["--from", "nowhere"],
            "--from nowhere: no such folder; valid: a folder of the GLUE download, or of a copy of",
        ),
        (["--workers", "2"], "--workers 2: has no meaning with data prepare glue"),
        (["data.vocab_size=9"], "data.vocab_size=9: has no meaning with data prepare glue"),
    ],
)
def test_what_is_wrong_is_one_line(cli: Cli, here: Path, cache: Path, words: list[str], said: str) -> None:
    assert here
    done = cli("data", "prepare", "glue", *words)
    assert done.code == 2 and done.err.count("\n") == 1 and said in done.err, done.err
    assert "--from" in done.err and not list(cache.glob("*/meta.json"))
