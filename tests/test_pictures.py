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

from simplify.compare.canvas import NotDrawn, drawing, new_figure, save

Cli = Callable[..., Any]
DRAW = "from pathlib import Path; from simplify.compare.canvas import *\nwith drawing():\n    f = new_figure(2, 2)\n"
DRAW += "    f.add_subplot().set_title('a')\n    save(f, Path('out.svg'))"


def drawn(folder: Path, **env: str) -> bytes:
    """The bytes of a small picture that another process draws in `folder`."""
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    done = subprocess.run([sys.executable, "-c", DRAW], cwd=folder, env=whole, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return (folder / "out.svg").read_bytes()


def test_the_users_settings_change_nothing(tmp_path: Path) -> None:
    for name in ("plain", "own", "damaged"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / "matplotlibrc").write_text(
        "font.size: 40\naxes.facecolor: red\nnonsense: 3\nfont.family: None\n"
    )
    (tmp_path / "rc").write_bytes(b"\xff\xfe\x00")
    plain = drawn(tmp_path / "plain")
    assert drawn(tmp_path / "own", MPLBACKEND="module://nothing") == plain
    assert drawn(tmp_path / "damaged", MATPLOTLIBRC=str(tmp_path / "rc"), MPLCONFIGDIR="/proc/nowhere") == plain


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
