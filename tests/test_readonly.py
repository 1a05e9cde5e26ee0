"""Folders that cannot be used: a run root and a cache that are only to be read, a current folder that is gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import TINY, Result, run_folder
from report_tools import falling, make_run

from simplify.compose.base import composed

Cli = Callable[..., Result]
_VERSION = 0x20080522  # of the kernel's interface
_OVER_MODES = 0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextlib.contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """Nothing may be written in these folders meanwhile, by root neither."""
    libc, header, now = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, now)
    before = now[0]
    now[0] = before & ~_OVER_MODES
    libc.capset(header, now)
    places = [place for folder in folders for place in (folder, *folder.rglob("*")) if place.is_dir()]
    for place in places:
        place.chmod(0o555)
    try:
        yield
    finally:
        for place in places:
            place.chmod(0o755)
        now[0] = before
        libc.capset(header, now)


def test_a_run_root_that_cannot_be_written(cli: Cli, here: Path) -> None:
    words = [*TINY, "train.steps=1"]
    assert cli("train", *words).code == 0
    folder = run_folder(here)
    (folder / "loss.png").unlink()
    with read_only(here):
        again = cli("train", *words)
        assert again.code == 0 and f"already done: {folder}" in again.out and not again.err
        assert again.out.endswith("loss.png: not drawn: Permission denied\n")
        for other in (["train", *words, "seed=5"], ["train", *words, "--force"], ["sweep", *words, "seed=5"]):
            done = cli(*other)
            told = "simplify: run_root=runs: cannot be written: Permission denied; valid: a folder you may write to"
            assert done.code == 2 and done.err.count("\n") == 1 and done.err.startswith(told), done.err
        for look in (["status"], ["why", folder.name], ["clean", "--yes"]):
            assert cli(*look).code == 0
    assert (folder / "done.json").exists()


def test_a_cache_that_cannot_be_written(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = here / "cache"
    monkeypatch.setenv("SIMPLIFY_CACHE", str(cache))
    words = [*TINY, "train.steps=1"]
    assert cli("train", *words).code == 0
    with read_only(cache):
        assert cli("train", *words, "seed=2").code == 0
        done = cli("train", *words, "data.vocab_size=300")
        assert done.code == 2 and done.err.count("\n") == 1 and str(cache) in done.err and os.sep in done.err, done.err


def test_a_current_folder_that_was_removed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "elsewhere"
    for block in ("sas", "pre_ln"):
        name = make_run(root, [f"block={block}"], falling(4.0)).name
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    composed.cache_clear()  # what an earlier command of this process composed needs no folder
    told = (2, "simplify: the current folder was removed; change to one that is there (cd), then type it again\n")
    for words in (["status"], ["train", *TINY]):  # whose run root is runs/ here
        done = cli(*words)
        assert (done.code, done.err) == told
    monkeypatch.setenv("SIMPLIFY_RUNS", str(root))
    compose = (["train", *TINY], ["sweep", *TINY, "seed=1,2"], ["config"], ["blocks", "sas"], ["bench", *TINY])
    with_torch = (["probe", *TINY], ["sample", name], ["export", name, "--to", "/tmp/x"], ["export", name, "--to", "x"])
    for words in (*compose, *with_torch, ["report"], ["config", "--conf", "mine"]):
        done = cli(*words)
        assert (done.code, done.err) == told, words
    for words in (["status"], ["why", name], ["--help"], ["report", "--out", str(tmp_path / "out")]):
        assert cli(*words).code == 0, words
