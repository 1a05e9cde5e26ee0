"""Preparing a corpus under kills, several at once, on full and damaged disks: always the same corpus in the end."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TEXT, Result

from simplify.compose import compose_run
from simplify.data import build, parts
from simplify.data.corpus import open_corpus
from simplify.errors import DataError

PART = 30_000  # bytes of text: three of the documents below
IN_PARTS = (
    f"import sys\nfrom simplify.data import parts\nparts.PART_BYTES = {PART}\n"
    "sys.argv = ['simplify', *sys.argv[1:]]\nfrom simplify.cli import main\nif __name__ == '__main__': main()"
)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 70 documents of 10,000 characters."""
    folder = tmp_path_factory.mktemp("text")
    whole = "".join(path.read_text() for path in sorted(TEXT.glob("*.py")))
    for number, start in enumerate(range(0, len(whole), 10_000)):
        (folder / f"{number:03d}.txt").write_text(whole[start : start + 10_000])
    return folder


Prepare = Callable[..., subprocess.Popen[str]]


def settings(text: Path) -> list[str]:
    return ["data=text", f"data.path={text}", "data.vocab_size=300", "data.val_fraction=0.3"]


@pytest.fixture(scope="module")
def prepare(text: Path) -> Prepare:
    """Starts `simplify data prepare` as a process, in parts."""

    def start(cache: Path, workers: int, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", IN_PARTS, "data", "prepare", "text", *settings(text)[1:], f"--workers={workers}"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "SIMPLIFY_CACHE": str(cache)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    return start


def finish(process: subprocess.Popen[str]) -> Result:
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, out, err)


def contents(cache: Path) -> dict[str, str]:
    """SHA-256 of the files of the only corpus in a cache; nothing else is left beside it."""
    (folder,) = (p for p in (cache / "corpora").iterdir() if p.suffix != ".lock")
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, prepare: Prepare) -> dict[str, str]:
    """What a preparation comes to that nothing disturbed."""
    cache = tmp_path_factory.mktemp("undisturbed")
    done = finish(prepare(cache, 1))
    assert done.code == 0, done.err
    return contents(cache)


def whole_parts(cache: Path) -> dict[str, int]:
    """Whole parts of a build that was stopped, and when each was made."""
    return {p.name: p.stat().st_mtime_ns for p in (cache / "corpora").glob(".*.building/parts/*.json")}


@pytest.mark.parametrize(("workers", "after"), [(1, 10), (2, 5)])
def test_a_killed_preparation_goes_on(
    tmp_path: Path, prepare: Prepare, undisturbed: dict[str, str], workers: int, after: int
) -> None:
    process = prepare(tmp_path, workers)
    while len(whole_parts(tmp_path)) < after:
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()  # ends when the last process that has its output has ended: workers do by themselves
    kept = len(whole_parts(tmp_path))
    (tokeniser,) = (tmp_path / "corpora").glob(".*.building/tokenizer.json")
    trained = tokeniser.stat().st_mtime_ns
    again = finish(prepare(tmp_path, workers))
    assert again.code == 0, again.err
    assert kept >= after and f"{kept} of " in again.out and "parts are there already" in again.out
    assert contents(tmp_path) == undisturbed
    assert next((tmp_path / "corpora").glob("*/tokenizer.json")).stat().st_mtime_ns == trained


def test_two_preparations_at_once(tmp_path: Path, prepare: Prepare, undisturbed: dict[str, str]) -> None:
    results = [finish(process) for process in [prepare(tmp_path, workers) for workers in (2, 1)]]
    assert [done.code for done in results] == [0, 0], [done.err for done in results]
    assert results[0].out.splitlines()[-3:] == results[1].out.splitlines()[-3:]
    assert sum("waiting for it" in done.out for done in results) == 1
    assert contents(tmp_path) == undisturbed


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, prepare: Prepare, undisturbed: dict[str, str]) -> None:
    process = prepare(tmp_path, 2, start_new_session=True)
    while len(whole_parts(tmp_path)) < 3:
        assert process.poll() is None
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: also to the workers
    stopped = finish(process)
    assert stopped.code == 130 and "Traceback" not in stopped.err, stopped.err
    assert len(whole_parts(tmp_path)) >= 3
    assert finish(prepare(tmp_path, 1)).code == 0
    assert contents(tmp_path) == undisturbed


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
def test_a_worker_that_was_killed_is_told(tmp_path: Path, prepare: Prepare, undisturbed: dict[str, str]) -> None:
    process = prepare(tmp_path, 2)
    while len(whole_parts(tmp_path)) < 3:
        assert process.poll() is None
        time.sleep(0.001)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(int(workers[0]), signal.SIGKILL)  # as the system does when memory runs out
    told = finish(process)
    assert told.code == 2 and told.err.count("\n") == 1, told.err
    assert "a worker process was killed" in told.err and "--workers 1" in told.err
    assert finish(prepare(tmp_path, 1)).code == 0
    assert contents(tmp_path) == undisturbed


def limit(size: int) -> Callable[[], None]:
    """Files of at most `size` bytes. What a quota does to one file."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_keeps_whole_parts_alone(
    tmp_path: Path, prepare: Prepare, undisturbed: dict[str, str], workers: int
) -> None:
    full = finish(prepare(tmp_path, workers, preexec_fn=limit(60_000)))  # parts fit, not their sum
    assert full.code == 2 and full.err.count("\n") == 1, full.err
    assert "the corpus cannot be written: File too large; make space, and the same command goes on" in full.err
    kept = whole_parts(tmp_path)
    assert kept and not [p for p in (tmp_path / "corpora").glob(".*.building/**/.*") if p.is_file()]
    again = finish(prepare(tmp_path, workers))
    assert again.code == 0 and f"{len(kept)} of " in again.out
    assert contents(tmp_path) == undisturbed


def test_a_disk_that_is_full_at_once_keeps_nothing(tmp_path: Path, prepare: Prepare) -> None:
    full = finish(prepare(tmp_path, 1, preexec_fn=limit(2_000)))  # not even the tokeniser fits
    assert full.code == 2 and full.err.count("\n") == 1, full.err
    assert [p.suffix for p in (tmp_path / "corpora").iterdir()] == [".lock"]


class Stop(Exception):
    """Ends a build in its middle."""


@pytest.fixture
def stopped(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build that ended before the fourth part was copied; its folder."""
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path))
    monkeypatch.setattr(parts, "PART_BYTES", PART)
    join, calls = build._join, []

    def until(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) > 3:
            raise Stop
        join(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(build, "_join", until)
        open_corpus(compose_run(settings(text)).data)
    (folder,) = (tmp_path / "corpora").glob(".*.building")
    return folder


def test_a_part_that_was_damaged_is_made_again(
    text: Path, tmp_path: Path, stopped: Path, undisturbed: dict[str, str]
) -> None:
    (tokens,) = (stopped / "parts").glob("*.tokens")
    tokens.write_bytes(bytes(len(tokens.read_bytes())))
    open_corpus(compose_run(settings(text)).data)
    assert contents(tmp_path) == undisturbed


def test_what_was_copied_and_then_damaged_is_found(
    text: Path, tmp_path: Path, stopped: Path, undisturbed: dict[str, str]
) -> None:
    joined = stopped / "train.bin"
    joined.write_bytes(bytes(len(joined.read_bytes())))
    with pytest.raises(DataError, match=r"train.bin of a corpus was changed or damaged on the disk"):
        open_corpus(compose_run(settings(text)).data)
    assert not stopped.exists()
    open_corpus(compose_run(settings(text)).data)
    assert contents(tmp_path) == undisturbed


def test_parts_of_other_documents_are_not_taken(
    text: Path, tmp_path: Path, stopped: Path, undisturbed: dict[str, str]
) -> None:
    plan = stopped / "plan.json"
    plan.write_text(plan.read_text().replace('"train": ', '"train": 1'))  # another number of documents
    (old,) = (stopped / "parts").glob("*.tokens")
    old.write_bytes(b"of another text")
    open_corpus(compose_run(settings(text)).data)
    assert contents(tmp_path) == undisturbed
