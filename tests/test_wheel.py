"""The wheel, installed in a fresh environment, trains from a folder whose name has a space."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from conftest import ROOT, TINY


def run(*words: str | Path, cwd: Path, **env: str) -> str:
    """A command that must succeed."""
    whole = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | env
    done = subprocess.run([str(w) for w in words], cwd=cwd, env=whole, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_in_a_fresh_environment(tmp_path: Path) -> None:
    pip = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT]
    run(sys.executable, *build, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "simplify/conf/block/sas.yaml" in names and any(n.startswith("simplify/sweeps/") for n in names)
    assert not [n for n in names if n.startswith("tests/")]

    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh", cwd=tmp_path)
    python = tmp_path / "fresh" / "bin" / "python"
    install = [*pip, "--python", python, "install", "--no-compile"]  # a run compiles the tenth part that it imports
    run(sys.executable, *install, "--constraint", ROOT / "constraints.txt", wheel, cwd=tmp_path)

    folder = tmp_path / "somewhere else"
    folder.mkdir()
    out = run(python.with_name("simplify"), "train", *TINY, "train.steps=5", cwd=folder)
    assert "validation loss" in out
    (done,) = (folder / "runs").glob("*/done.json")
    assert '"step": 5' in done.read_text()
    where = run(python, "-c", "import simplify; print(simplify.__file__)", cwd=folder)
    assert str(tmp_path / "fresh") in where
