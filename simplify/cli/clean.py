"""`simplify clean`: what no run needs any more."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from simplify.cli.study import is_done
from simplify.display import agreed, can_ask, tell
from simplify.errors import ConfigError, UserError
from simplify.runs.folder import root_path
from simplify.runs.queue import Queue, read_job
from simplify.runs.slurm import Array, arrays_folder, open_arrays, read_array
from simplify.runs.store import RunStore, RunView
from simplify.runs.studies import code_of, study_names

_ASIDE = re.compile(r".+-[0-9a-f]{10}\.old-\d+")
_CHECKPOINT = "step-*"


@dataclass(frozen=True)
class Waste:
    """Files and folders of one kind that can go."""

    what: str
    paths: tuple[Path, ...]

    @functools.cached_property
    def before(self) -> int:
        """Bytes before anything is removed."""
        return self.size

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(_size(path) for path in self.paths)


def clean_command(run_root: Path | None, yes: bool, checkpoints: bool) -> None:
    """Show what can go, and remove it after a yes. Runs that are being trained or wait are never touched."""
    root = root_path(str(run_root) if run_root else None)
    found = [waste for waste in _find(root, checkpoints) if waste.paths]
    if not found:
        tell(f"{root}: nothing to remove")
        return
    for waste in found:
        tell(f"{waste.before / 2**20:10,.1f} MiB  {len(waste.paths)} {waste.what}")
    if not yes:
        if not can_ask():
            raise ConfigError("clean: nothing was removed; --yes removes all of the above")
        if not agreed("remove all of this?"):
            tell("nothing was removed")
            return
    went, problems = 0, list[str]()
    for waste in found:
        problems += [problem for path in waste.paths if (problem := _remove(path))]
        went += waste.before - waste.size
    total = sum(len(waste.paths) for waste in found)
    tell(f"removed: {total - len(problems)} of {total}, {went / 2**20:,.1f} MiB")
    if problems:
        raise UserError(f"clean: {problems[0]}; {len(problems)} not removed: repair it, then the same command again")


def _find(root: Path, checkpoints: bool) -> Iterable[Waste]:
    runs, queue = RunStore(root).runs(), Queue(root)
    done = [run for run in runs if run.state == "done"]
    older = [path for run in done for path in _older_checkpoints(run)]
    yield Waste("folders set aside by --force", tuple(p for p in root.glob("*.old-*") if _ASIDE.fullmatch(p.name)))
    yield Waste("checkpoints before the last of finished runs", tuple(older))
    if checkpoints:
        last = [p for run in done for p in run.folder.checkpoints.glob("*") if p not in older]
        yield Waste("last checkpoints of finished runs", tuple(last))
    arrays = open_arrays(root)
    yield Waste("snapshots of code that no queued run needs", tuple(_unused_code(root, queue, arrays)))
    finished = {run.run_id for run in done}
    arrays = [array for mark in arrays_folder(root).glob("*/over") if (array := read_array(mark.parent))]
    over = [array.folder for array in arrays if finished >= {run_id for run_id, _ in array.runs}]
    yield Waste("files of Slurm jobs whose runs are all done", tuple(over))
    if not queue.lanes():
        lanes = [*(root / ".lanes").glob("*"), *(root / ".claims").glob("*")]
        alive = any(run.state == "running" for run in runs)
        yield Waste("files of lanes that have ended", () if alive else tuple(lanes))


def _older_checkpoints(run: RunView) -> list[Path]:
    """All files but those of the newest checkpoint."""
    files = list(run.folder.checkpoints.glob("*"))
    stems = sorted({path.name.split(".")[0] for path in files})
    return [path for path in files if path.name.split(".")[0] != stems[-1]]


def _unused_code(root: Path, queue: Queue, arrays: Iterable[Array]) -> list[Path]:
    jobs = [read_job(path) for path in queue.waiting().values()]
    jobs += [array.job(0) for array in arrays]  # all runs of an array have one code
    used = {job.code for job in jobs if job}
    used |= {code_of(root, name) or "" for name in study_names(root) if not is_done(root, name)}
    return [path for path in (root / ".code").glob("*") if str(path) not in used]


def _size(path: Path) -> int:
    try:
        if path.is_dir() and not path.is_symlink():
            return sum(_size(inner) for inner in path.iterdir())
        return path.lstat().st_size
    except OSError:
        return 0


def _remove(path: Path) -> str:
    """Remove what can be removed of a file or folder; returns why something is left, if so."""
    problems: list[str] = []

    def keep(where: object, error: BaseException) -> None:
        if not isinstance(error, FileNotFoundError):
            problems.append(f"{where}: cannot be removed: {getattr(error, 'strerror', None) or error}")

    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, onerror=lambda _, where, caught: keep(where, caught[1]))
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        keep(path, error)
    return problems[0] if problems else ""
