"""Pictures are ours, whatever the user has set for his own; one that cannot be drawn costs a line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, run_folder
from report_tools import falling, make_run

from simplify.compare.canvas import NotDrawn, drawing, new_figure, save

Cli = Callable[..., Any]
DRAW = """
import sys
from pathlib import Path
from simplify.cli import main
from simplify.compare.canvas import drawing, new_figure, save

with drawing():
    figure = new_figure(2, 2)
    figure.add_subplot().set_title("a")
    save(figure, Path("out.svg"))
for words in sys.argv[1:]:
    sys.argv = ["simplify", *words.split("|")]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)
"""
PROBE = ["probe", "block=sas,pre_ln", *TINY, "--out", "probed"]
BENCH = ["bench", *TINY, "block=sas,pre_ln", "--only", "forward", "--rounds", "2"]
REPORT = ["report", "--out", "reported"]
VERBS = {"probe": PROBE, "bench": BENCH, "report": REPORT}


def drawn(folder: Path, *verbs: list[str], **env: str) -> bytes:
    """The bytes of a small picture that another process draws in `folder`, before it runs `verbs`."""
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    command = [sys.executable, "-c", DRAW, *("|".join(words) for words in verbs)]
    done = subprocess.run(command, cwd=folder, env=whole, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return (folder / "out.svg").read_bytes()


@pytest.fixture
def two_runs(here: Path) -> Path:
    """The current folder, in which two runs have ended."""
    for block in ("sas", "pre_ln"):
        make_run(here / "runs", [f"block={block}"], falling(4.0))
    return here


def test_the_users_settings_change_nothing(two_runs: Path, tmp_path: Path) -> None:
    with drawing():
        figure = new_figure(2, 2)
        figure.add_subplot().set_title("a")
        save(figure, tmp_path / "plain.svg")
    plain = (tmp_path / "plain.svg").read_bytes()
    own, damaged = tmp_path / "own", tmp_path / "rc"
    own.mkdir()
    (own / "matplotlibrc").write_text("font.size: 40\naxes.facecolor: red\nnonsense: 3\nfont.family: None\n")
    assert drawn(own, MPLBACKEND="module://nothing") == plain
    damaged.write_bytes(b"\xff\xfe\x00")
    hostile = {"MATPLOTLIBRC": str(damaged), "MPLCONFIGDIR": "/proc/nowhere", "MPLBACKEND": "module://nothing"}
    assert drawn(two_runs, REPORT, **hostile) == plain
    assert list((two_runs / "reported").glob("*.png"))


@pytest.mark.parametrize("verb", VERBS)
def test_all_but_the_picture_is_there(cli: Cli, two_runs: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    def fail() -> None:
        raise ImportError("libfreetype.so: cannot open\nshared object file")

    monkeypatch.setattr("simplify.compare.canvas.load", fail)
    found = cli(*VERBS[verb])
    told = "not drawn: ImportError: libfreetype.so: cannot open\n"
    assert found.code == 1 and found.err.count(told) == found.err.count("\n") > 0, found.err
    names = {path.name for path in two_runs.rglob("*") if path.is_file() and path.stat().st_size}
    assert not any(name.endswith((".png", ".svg", ".pdf")) for name in names)
    assert names >= {"probe": {"probe.json", "probe.html"}, "report": {"table.tex", "index.html"}}.get(verb, set())
    if verb == "bench":
        assert list((two_runs / "runs" / ".bench").glob("*.json"))


def test_whatever_goes_wrong_is_one_exception_but_for_the_disk(tmp_path: Path) -> None:
    with pytest.raises(NotDrawn, match="ValueError: a\\.\\.\\."), drawing():
        raise ValueError("a...\nb")
    with pytest.raises(FileNotFoundError), drawing():
        save(new_figure(1, 1), tmp_path / "none" / "a.png")


def test_a_run_whose_picture_cannot_be_drawn_is_done(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no such font")

    monkeypatch.setattr("simplify.compare.picture.new_figure", fail)
    found = cli("train", *TINY)
    assert found.code == 0 and found.out.endswith("loss.png: not drawn: ValueError: no such font\n")
    assert (run_folder(here) / "done.json").exists()
