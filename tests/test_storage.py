"""Which system errors are the disk's, and files that are whole or absent."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, Result, run_folder

from simplify.errors import UploadError
from simplify.runs.files import read_json, storage_failure, write_json
from simplify.runs.metrics import MetricsFile, read_metrics
from simplify.runs.wandb_client import talking


@pytest.mark.parametrize(
    ("number", "name", "cause"),
    [
        (errno.ENOSPC, "runs/x/run.json", "disk_full"),
        (errno.EDQUOT, "runs/x/run.json", "disk_full"),
        (errno.EIO, "runs/x/run.json", "storage"),
        (errno.ENOSPC, None, None),  # of standard output, or of a library's own file
        (errno.EIO, None, None),
        (errno.ENOSPC, "/tmp/other", "disk_full"),
        (errno.EROFS, "/dev/shm/other", "storage"),
        (errno.ENOENT, "runs/x/metrics.jsonl", "storage"),
        (errno.ENOENT, "/usr/bin/c++", None),
        (errno.ECONNREFUSED, None, None),
    ],
)
def test_only_the_disks_errors_are_the_disks(number: int, name: str | None, cause: str | None) -> None:
    found = storage_failure(OSError(number, "words", name), Path("runs/x"))
    assert (found.cause if found else None) == cause
    place = "runs/x" if name is None or name.startswith("runs/x") else name
    assert found is None or (str(found).startswith(f"{place}: ") and "checkpoint" not in str(found))  # there is none


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "done.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1} and [p.name for p in tmp_path.iterdir()] == ["done.json"]
    path.write_text('{"a": ')
    assert read_json(path) is None and read_json(tmp_path / "none.json") is None


def test_metrics_survive_torn_lines_and_go_back(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.rewind(5)  # nothing there yet
    for step in range(1, 6):
        file.append({"step": step, "train/loss": float("inf") if step == 2 else 0.5})
    with (tmp_path / "metrics.jsonl").open("a") as out:
        out.write('{"step": 6, "tra')
    found = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in found] == [1, 2, 3, 4, 5] and found[1]["train/loss"] is None
    file.rewind(3)
    file.append({"step": 4})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]


def test_what_the_disk_refuses_has_one_cause_from_the_first_file_on(cli: Callable[..., Result], here: Path) -> None:
    """Also before the first step: the folder, the attempt, the files that are cut back."""
    words = [*TINY, "train.steps=1"]
    assert cli("train", *words).code == 0
    folder = run_folder(here)
    (folder / "done.json").unlink()
    (folder / "metrics.jsonl").rename(folder / "kept")
    (folder / "metrics.jsonl").mkdir()
    for attempts in (2, 3):
        done = cli("train", *words)
        error = json.loads((folder / "error.json").read_text())
        assert done.code == 1 and error["cause"] == "storage" and str(folder) in error["message"]
        told = json.loads((folder / "job.json").read_text())["attempts"]
        assert len(told) == attempts and told[-1]["how"] == "failed"
    (folder / "metrics.jsonl").rmdir()
    (folder / "kept").rename(folder / "metrics.jsonl")
    assert cli("train", *words).code == 0 and not (folder / "error.json").exists()


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["config", "data=text", "data.path='~nosuchuser/x'"], "data.path"),
        (["config", "data.tokeniser='~nosuchuser/x'"], "data.tokeniser"),
        (["config", "--conf", "~nosuchuser/x"], "--conf"),
        (["train", "run_root='~nosuchuser/x'"], "run_root"),
        (["status", "~nosuchuser/x"], "RUN"),
        (["data", "prepare", "languini", "--from", "~nosuchuser/x"], "--from"),
        (["data", "prepare", "glue", "--from", "~nosuchuser/x"], "--from"),
        (["status"], "SIMPLIFY_RUNS"),
        (["train", *TINY], "SIMPLIFY_CACHE"),
    ],
)
def test_a_home_that_nobody_knows_is_a_line_with_the_key(
    cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, words: list[str], key: str
) -> None:
    if key.isupper() and key != "RUN":
        monkeypatch.setenv(key, "~nosuchuser/x")
    found = cli(*words)
    assert found.code == 2 and found.err.count("\n") == 1, found.err
    assert found.err.startswith(f"simplify: {key}=~nosuchuser/x: nobody knows the home folder"), found.err


def test_wandb_looks_for_a_home_that_nobody_knows() -> None:
    with (
        pytest.raises(UploadError, match="wandb: it looks for the home folder, which nobody knows; set HOME"),
        talking(),
    ):
        Path("~nosuchuser", ".config", "wandb", "settings").expanduser()
