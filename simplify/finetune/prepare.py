"""GLUE on this machine, for fine-tuning without the network: `simplify data prepare glue`.

CACHE/glue/<task>/<split>-00000-of-00001.parquet   the layout of the hub's `nyu-mll/glue`
CACHE/glue/<task>/meta.json                        where it was read, its examples, and the files' checksums
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from simplify.errors import DataError
from simplify.finetune.glue import HUB, Examples, Source, TaskData, open_glue, prepared_folder, read_task
from simplify.finetune.hub import check_installed, write_split
from simplify.finetune.tasks import TASKS, GlueTask
from simplify.runs.files import read_json, write_json

_META = "meta.json"


def prepare_glue(given: Path | None, check: bool) -> Iterator[str]:
    """Keep each task that is not there yet, from the folder `given` or from the hub; yields a line for each.

    A task is a folder that is whole or absent, so a preparation that was killed goes on with the one it was at.
    Raises DataError, for a task that is there but was read from elsewhere, too.
    """
    said = f"--from {given}" if given else "data prepare glue"
    check_installed(said)
    if given and not given.is_dir():
        raise DataError(f"{said}: no such folder; valid: a folder of the GLUE download, or of a copy of {HUB}")
    root, origin = prepared_folder(), str(given.resolve()) if given else HUB
    source = open_glue(origin, said, "--from")
    for task in TASKS.values():
        with _writing(root, task), FileLock(f"{root}.lock"):  # a second preparation waits for the first
            meta = read_json(root / task.name / _META) or _keep(source, task, root / task.name, origin)
        if given and meta["from"] != origin:
            raise DataError(
                f"{said}: {task.name} was prepared from {meta['from']}; to prepare it anew remove {root / task.name}"
            )
        if check:
            _check(root / task.name, meta["sha256"])
        yield _line(task, meta, check)


@contextmanager
def _writing(root: Path, task: GlueTask) -> Iterator[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            f"SIMPLIFY_CACHE={root.parent}: {task.name} cannot be written: {error.strerror or error}; make space, and "
            "the same command goes on with it, or set SIMPLIFY_CACHE to a folder with space"
        ) from None


def _keep(source: Source, task: GlueTask, folder: Path, origin: str) -> dict[str, Any]:
    """Read a task and write it aside, then rename it."""
    data = read_task(source, task)
    aside = folder.with_name(f".{task.name}")
    shutil.rmtree(aside, ignore_errors=True)  # of one that was killed
    try:
        aside.mkdir()
        for split, part in _splits(task, data):
            write_split(aside / f"{split}-00000-of-00001.parquet", task, part)
        meta = {
            "from": origin,
            "fingerprint": data.fingerprint,
            "examples": {split: len(part) for split, part in _splits(task, data)},
            "left_out": sum(part.left_out for _, part in _splits(task, data)),
            "sha256": {path.name: _digest(path) for path in sorted(aside.iterdir())},
        }
        write_json(aside / _META, meta)
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return meta


def _splits(task: GlueTask, data: TaskData) -> list[tuple[str, Examples]]:
    return [("train", data.train), *((split.hub, data.validation[split.number]) for split in task.splits)]


def _check(folder: Path, known: dict[str, str]) -> None:
    damaged = [name for name, digest in known.items() if _digest(folder / name) != digest]
    if damaged:
        raise DataError(
            f"{folder}: damaged on the disk ({', '.join(damaged)}); remove the folder, then prepare it anew"
        )


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _line(task: GlueTask, meta: dict[str, Any], checked: bool) -> str:
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["examples"].items())
    torn = f"; {meta['left_out']} torn lines left out" if meta["left_out"] else ""
    return f"{task.folder}: {counts}{torn}; fingerprint {meta['fingerprint']}{', checked' if checked else ''}"
