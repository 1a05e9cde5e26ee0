"""What a run says of its code: the hash, the commit, the patch that brings a dirty tree back, and snapshots."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, Result, run_folder

from simplify.errors import TrainingFailed
from simplify.runs import code
from simplify.runs.code import PACKAGE, code_hash, git_state, patch_path, save_patch, snapshot
from simplify.runs.provenance import provenance

# Settings of the user's own git that would make patches which do not apply.
HOSTILE = {
    "diff.noprefix": "true",
    "diff.mnemonicPrefix": "true",
    "diff.context": "0",
    "diff.external": "false",
    "diff.renames": "copies",
    "color.ui": "always",
    "core.quotePath": "false",
}


@pytest.fixture(autouse=True)
def own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """git without the developer's settings."""
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


def git(top: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "core.autocrlf=false")
    return subprocess.run(["git", "-C", str(top), *who, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A checkout with one commit, of files that are hard on patches."""
    top = tmp_path / "it's a repo, ü"
    (top / "simplify").mkdir(parents=True)
    (top / "simplify" / "a.py").write_text("".join(f"line {i}\n" for i in range(40)))
    (top / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n")
    (top / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
    (top / "binary").write_bytes(bytes(range(256)) * 8)
    (top / "moved.py").write_text("moved\n" * 20)
    (top / "gone.py").write_text("gone\n")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "link").symlink_to("gone.py")
    git(top, "init", "--quiet")
    git(top, "add", ".")
    git(top, "commit", "--quiet", "-m", "first")
    return top


def make_dirty(top: Path) -> None:
    a = top / "simplify" / "a.py"
    a.write_text(a.read_text().replace("line 20\n", "edited\n") + "no newline at the end")
    (top / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe8\xff'\n")
    (top / "crlf.txt").write_bytes(b"one\r\n2\r\nlone\n")
    (top / "binary").write_bytes(bytes(reversed(range(256))) * 9)
    git(top, "mv", "moved.py", "name with ü.py")
    (top / "gone.py").unlink()
    (top / "run.sh").chmod(0o755)
    (top / "link").unlink()
    (top / "link").symlink_to("run.sh")
    (top / "staged.py").write_text("staged\n")
    git(top, "add", "staged.py")


def tree(top: Path) -> dict[str, Any]:
    """Every file outside .git: bytes and the executable bit, or where it links to."""
    paths = (p for p in top.rglob("*") if ".git" not in p.relative_to(top).parts)
    return {
        p.relative_to(top).as_posix(): os.readlink(p) if p.is_symlink() else (p.read_bytes(), os.access(p, os.X_OK))
        for p in paths
        if p.is_symlink() or p.is_file()
    }


def test_a_clean_tree_has_a_commit_and_no_patch(repo: Path, tmp_path: Path) -> None:
    (repo / "untracked").touch()
    assert git_state(repo) == {"commit": git(repo, "rev-parse", "HEAD").strip(), "dirty": False, "patch": None}
    assert save_patch(tmp_path / "runs", repo) is None
    assert not (tmp_path / "runs").exists()


def test_the_patch_brings_the_dirty_tree_back(repo: Path, tmp_path: Path) -> None:
    for key, value in HOSTILE.items():
        git(repo, "config", key, value)
    make_dirty(repo)
    state = git_state(repo)
    assert state is not None and state["dirty"] is True
    kept = save_patch(tmp_path / "runs", repo)
    assert kept == tmp_path / "runs" / ".patches" / f"{state['patch']}.patch"
    assert kept == patch_path(tmp_path / "runs", state["patch"]) and len(state["patch"]) == 12
    again = tmp_path / "again"
    git(tmp_path, "clone", "--quiet", str(repo), str(again))
    git(again, "checkout", "--quiet", state["commit"])
    assert tree(again) != tree(repo)
    git(again, "apply", str(kept))
    assert tree(again) == tree(repo)


def test_a_patch_is_named_by_its_content_and_written_once(repo: Path, tmp_path: Path) -> None:
    file = repo / "gone.py"
    states = []
    for text in ("one\n", "two\n", "one\n"):
        file.write_text(text)
        states.append(git_state(repo))
        kept = save_patch(tmp_path, repo)
        assert kept is not None
        if len(states) == 1:
            kept.write_text(kept.read_text() + "left as it is\n")
    assert states[0] == states[2] != states[1]
    first, second = (patch_path(tmp_path, s["patch"]).read_text() for s in states[:2] if s)
    assert first.endswith("left as it is\n") and "+two" in second
    assert len(list((tmp_path / ".patches").iterdir())) == 2, "nothing but the two patches"


def test_a_patch_that_cannot_be_kept_is_said(repo: Path, tmp_path: Path) -> None:
    (repo / "gone.py").write_text("edited\n")
    (tmp_path / ".patches").write_text("in the way")
    with pytest.raises(TrainingFailed, match="cannot be written"):
        save_patch(tmp_path, repo)


def test_where_git_gives_no_answer(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, empty, broken = (tmp_path / name for name in ("plain", "empty", "broken"))
    for folder in (plain, empty, broken):
        folder.mkdir()
    git(empty, "init", "--quiet")
    (broken / ".git").write_text("gitdir: /nowhere\n")
    for folder in (plain, tmp_path / "absent"):
        assert git_state(folder) is None and save_patch(tmp_path / "runs", folder) is None
    silent = {"commit": None, "dirty": None, "patch": None}
    for folder, problem in ((empty, "fatal: Needed a single revision"), (broken, "fatal: not a git repository: ")):
        told = git_state(folder) or {}
        assert told.pop("problem").startswith(problem) and told == silent
        assert save_patch(tmp_path / "runs", folder) is None
    monkeypatch.setenv("PATH", str(plain))  # no git
    assert git_state(repo) == {**silent, "problem": "there is no such program"}
    fake = plain / "git"
    fake.write_text("#!/bin/sh\nexec /bin/sleep 20\n")  # no Python: its path may hold a space
    fake.chmod(0o755)
    monkeypatch.setattr(code, "_TIMEOUT", 0.3)
    start = time.monotonic()
    assert git_state(repo) == {**silent, "problem": "none within 0.3 s"}
    assert time.monotonic() - start < 10


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_a_run_whose_checkout_git_does_not_know(
    cli: Callable[..., Result], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*TINY, "train.steps=1"]
    try:
        code._running.cache_clear()
        with monkeypatch.context() as without:
            without.setenv("PATH", str(here))
            told = cli("train", *words).out
        problem = "git gives no answer (there is no such program): the commit is kept nowhere, the code's hash is"
        assert told.count(problem) == 1
        first = run_folder(here)
        assert json.loads((first / "run.json").read_text())["git"]["problem"] == "there is no such program"
        code._running.cache_clear()
        assert "git gives" not in cli("train", *words, "seed=2").out
        (second,) = (path for path in (here / "runs").glob("*-*") if path != first)
        shown = cli("diff", first.name, second.name)
        assert shown.code == 0 and "problem" in shown.out and not shown.err
    finally:
        code._running.cache_clear()


def test_the_environment_of_a_hook_is_not_followed(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = git_state(repo)
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert state is not None and git_state(repo) == state


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of our package."""
    target = tmp_path / "code" / "simplify"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def test_the_hash_is_of_the_sources_alone(package: Path) -> None:
    known = code_hash(package)
    assert len(known) == 12 and code_hash(package) == known
    (package / "zoo" / "__pycache__").mkdir()
    (package / "zoo" / "__pycache__" / "x.py").touch()
    (package / "zoo" / ".#model.py").symlink_to("nowhere")
    (package / "zoo" / "loop").symlink_to(package)
    shutil.copytree(ROOT / "conf", package / "conf")  # as in a wheel
    assert code_hash(package) == known

    def changed(change: Callable[[], object]) -> bool:
        before = code_hash(package)
        change()
        return code_hash(package) != before

    page, model = package / "compare" / "assets" / "page.js", package / "zoo" / "model.py"
    assert changed(lambda: page.write_text(page.read_text() + " "))
    assert changed(lambda: model.write_text(model.read_text() + "\n"))
    assert changed(lambda: model.rename(model.with_name("model2.py")))
    assert changed(lambda: (package / "new.py").touch())


def test_a_run_notes_its_code() -> None:
    facts = provenance(["simplify", "train"])
    assert facts["code"] == code_hash() and facts["git"] == git_state()
    if (ROOT / ".git").exists() and shutil.which("git"):
        assert set(facts["git"]) == {"commit", "dirty", "patch"}


REPORT = """
import json, sys, pathlib
sys.path[0] = sys.argv[1]
from simplify.runs import code
from simplify import choices
kept = code.save_patch(pathlib.Path(sys.argv[2]) / "kept")
if len(sys.argv) > 3:
    code.snapshot(pathlib.Path(sys.argv[3]))
print(json.dumps({"package": str(code.PACKAGE), "conf": str(choices.conf_dir()), "code": code.code_hash(),
                  "git": code.git_state(), "blocks": choices.choices("block"), "patch": kept and kept.read_text()}))
"""


def report(top: Path, *words: Path) -> dict[str, Any]:
    """What a fresh process says of the code in `top`; with two words it makes a snapshot at the second."""
    command = [sys.executable, "-c", REPORT, str(top), *(str(word) for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_snapshot_is_the_code_it_was_made_from(package: Path, tmp_path: Path) -> None:
    top, into = package.parent, tmp_path / "runs" / ".code" / "a snapshot"
    shutil.copytree(ROOT / "conf", top / "conf")
    git(top, "init", "--quiet")
    git(top, "add", ".")
    git(top, "commit", "--quiet", "-m", "first")
    (package / "zoo" / "mlp.py").write_text((package / "zoo" / "mlp.py").read_text() + "# dirty\n")
    (package / "zoo" / "loop").symlink_to(package)
    (package / "zoo" / "dangling.py").symlink_to("nowhere.py")
    (package / "conf").mkdir()  # no configuration of ours: it has no config.yaml
    original = report(top, tmp_path / "one", into)
    assert original["git"]["dirty"] and "+# dirty" in original["patch"]
    assert [p.name for p in into.parent.iterdir()] == [into.name]

    (package / "zoo" / "mlp.py").write_text("edited later\n")
    copied = report(into, tmp_path / "two")
    assert copied == {**original, "package": str(into / "simplify"), "conf": str(into / "conf")}
    assert not [p for p in into.rglob("*") if p.is_symlink()]
    report(top, tmp_path / "three", into)
    assert report(into, tmp_path / "two") == copied, "a snapshot that is there is left as it is"

    (into / "simplify" / "zoo" / "mlp.py").write_text("no longer what was copied\n")
    assert report(into, tmp_path / "four")["git"] is None


def test_a_snapshot_of_an_installed_wheel(package: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf", package / "conf")
    original = report(package.parent, tmp_path, tmp_path / "into")
    copied = report(tmp_path / "into", tmp_path)
    assert original["git"] is None and original["conf"] == str(package / "conf")
    assert copied == {**original, "package": str(tmp_path / "into/simplify"), "conf": str(tmp_path / "into/conf")}


def test_a_snapshot_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[Path] = []
    copyfile = shutil.copyfile

    def full_disk(source: Path, target: Path) -> None:
        copied.append(target)
        if len(copied) > 20:
            raise OSError(28, "No space left on device", str(target))
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", full_disk)
    with pytest.raises(OSError, match="No space"):
        snapshot(tmp_path / "into" / "a")
    assert list((tmp_path / "into").iterdir()) == []


def test_of_two_snapshots_at_once_the_first_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into, write_json = tmp_path / "into", code.write_json

    def late(path: Path, data: Any) -> None:
        into.mkdir()
        (into / "theirs").touch()
        write_json(path, data)

    monkeypatch.setattr(code, "write_json", late)
    assert snapshot(into) == into
    assert [p.name for p in into.iterdir()] == ["theirs"] and [p.name for p in tmp_path.iterdir()] == ["into"]
