"""The code that runs: its hash, what git says of it, and copies of both that outlive an edit.

<run root>/.patches/<hash>.patch    what a checkout held beyond its commit; `git apply` on the commit brings it back
<snapshot>/simplify, conf           the code itself, for runs that start later
<snapshot>/provenance.json          its hash and what git said where it was copied; provenance.patch beside it
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simplify.choices import conf_dir
from simplify.runs.files import read_json, storage_failure, write_json, write_whole

PACKAGE = Path(__file__).resolve().parents[1]
_TIMEOUT = 10.0  # seconds that git may take for an answer
_FACTS, _PATCH = "provenance.json", "provenance.patch"
# The user's own settings of git must not reach the patch: some of them make patches that do not apply.
_DIFF = (
    *("-c", "diff.relative=false", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames"),
    *("--binary", "--full-index", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/"),
    *("--submodule=short", "--ignore-submodules=dirty"),
)

_State = dict[str, Any]


def code_hash(package: Path | None = None) -> str:
    """Twelve digits over the package's sources, the same in a checkout, a snapshot and an installed wheel.

    None: of the running code, as it was when first asked. The YAML files are left out: what they came to is in a run's
    config.yaml.
    """
    return _running_hash() if package is None else _hash(package)


def _hash(package: Path) -> str:
    digest = hashlib.sha256()
    for name in sorted(_files(package)):
        if not name.endswith(".py") and "assets" not in name.split("/"):
            continue
        try:
            with open(os.path.join(package, name), "rb") as file:
                data = file.read()
        except FileNotFoundError:  # an editor's passing file
            continue
        digest.update(os.fsencode(f"{name}\0{len(data)}\0") + data)
    return digest.hexdigest()[:12]


def git_state(top: Path | None = None) -> _State | None:
    """Commit, whether tracked files differ from it (dirty), and the patch's hash if they do.

    Of the folder `top` that holds the package; None: that of the running code, as it was when first
    asked. Returns None where neither a checkout nor a snapshot of one is; where git gives no answer there
    is no commit, and `problem` says why.
    """
    return _code_at(top)[0]


def git_silence() -> str | None:
    """A line where the running code is a checkout of which git says nothing."""
    problem = (git_state() or {}).get("problem")
    return f"git gives no answer ({problem}): the commit is kept nowhere, the code's hash is" if problem else None


def save_patch(root: Path, top: Path | None = None) -> Path | None:
    """Keep the patch of `git_state(top)` below the run root; returns its file, or None where there is no patch.

    The file is named by its content, so one that is there is left as it is. Raises TrainingFailed
    where the disk is full or broken.
    """
    state, patch = _code_at(top)
    if state is None or not patch:
        return None
    path = patch_path(root, state["patch"])
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, patch)
    except OSError as error:
        raise storage_failure(error, root) or error from None
    return path


def patch_path(root: Path, patch: str) -> Path:
    """Where the patch with that hash lies below a run root, if it was kept."""
    return root / ".patches" / f"{patch}.patch"


def snapshot(into: Path) -> Path:
    """Copy the running package and our YAML files to the folder `into`, whole or not at all; returns it.

    With sys.path[0]=into the copy runs, finds its conf/, and reports the hash and git state of the code
    it was made from. A folder that is there is left as it is. Links are followed, so that the copy needs
    nothing outside itself. Raises OSError.
    """
    if into.exists():
        return into
    into.parent.mkdir(parents=True, exist_ok=True)
    state, patch = _look(PACKAGE.parent)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.") as aside:
        copy = Path(aside) / "copy"  # one deeper: the temporary folder itself is closed to others
        conf = conf_dir()
        _copy(PACKAGE, copy / PACKAGE.name, leave_out=conf)  # in a wheel conf is in the package
        _copy(conf, copy / "conf")
        if patch:
            (copy / _PATCH).write_bytes(patch)
        write_json(copy / _FACTS, {"code": code_hash(copy / PACKAGE.name), "git": state})
        try:
            copy.rename(into)
        except OSError:
            if not into.is_dir():  # else another process was first
                raise
    return into


def _files(folder: Path) -> Iterator[str]:
    """The files below `folder` that are no by-products, by relative path. A link to a parent is not followed."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if name != "__pycache__" and not name.startswith(".") and not _leads_up(os.path.join(place, name))
        ]
        inside = Path(place).relative_to(folder).as_posix()
        for name in names:
            hidden = name.startswith(".") or name.endswith(".pyc")
            if not hidden and os.path.isfile(os.path.join(place, name)):  # a link may lead nowhere
                yield name if inside == "." else f"{inside}/{name}"


def _leads_up(path: str) -> bool:
    """Whether it is a link to a folder that holds it."""
    return os.path.islink(path) and Path(path).parent.resolve().is_relative_to(Path(path).resolve())


def _copy(source: Path, target: Path, leave_out: Path | None = None) -> None:
    for name in _files(source):
        if leave_out is None or not (source / name).is_relative_to(leave_out):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def _code_at(top: Path | None) -> tuple[_State | None, bytes]:
    return _running() if top is None else _look(top)


@functools.cache
def _running_hash() -> str:
    return _hash(PACKAGE)


@functools.cache
def _running() -> tuple[_State | None, bytes]:
    """Looked up once: an edit made later does not change what this process runs."""
    return _look(PACKAGE.parent)


def _look(top: Path) -> tuple[_State | None, bytes]:
    """The state of the code in `top`, and its patch."""
    if not (top / ".git").exists():
        return _from_snapshot(top)
    try:
        commit = _git(top, "rev-parse", "--verify", "HEAD").decode().strip()
        patch = _git(top, *_DIFF, commit, "--")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return {"commit": None, "dirty": None, "patch": None, "problem": _why(error)}, b""
    return {"commit": commit, "dirty": bool(patch), "patch": _short_hash(patch) if patch else None}, patch


def _from_snapshot(top: Path) -> tuple[_State | None, bytes]:
    """What a snapshot says of itself, unless its code was edited since."""
    facts = read_json(top / _FACTS) or {}
    state = facts.get("git")
    if not isinstance(state, dict) or facts.get("code") != code_hash(top / PACKAGE.name):
        return None, b""
    try:
        patch = (top / _PATCH).read_bytes()
    except OSError:
        patch = b""
    return state, patch if _short_hash(patch) == state.get("patch") else b""


def _git(top: Path, *words: str) -> bytes:
    """git's answer; nothing in the environment may send it to another repository (GIT_DIR in a hook)."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k.startswith("GIT_CONFIG")}
    return subprocess.run(
        ["git", "-c", f"safe.directory={top}", "-C", str(top), *words],  # also of a checkout that is another user's
        env={**ours, "GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT,
        check=True,
    ).stdout


def _why(error: Exception) -> str:
    """git's own first line, or the system's word."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"none within {error.timeout:g} s"
    if isinstance(error, FileNotFoundError):
        return "there is no such program"
    told = os.fsdecode(getattr(error, "stderr", None) or b"").strip().splitlines()
    return told[0][:200] if told else getattr(error, "strerror", None) or str(error)


def _short_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
