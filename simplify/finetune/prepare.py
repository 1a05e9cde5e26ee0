"""GLUE on this machine, for fine-tuning without the network: `simplify data prepare glue`.

CACHE/glue/<task>/<split>-00000-of-00001.parquet   the layout of the hub's `nyu-mll/glue`
CACHE/glue/<task>/meta.json                        where it was read, its examples, and the files' checksums
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simplify.disk import expanded
from simplify.errors import DataError
from simplify.finetune.glue import HUB, Examples, Source, TaskData, open_glue, prepared_folder, read_task
from simplify.finetune.hub import check_installed, write_split
from simplify.finetune.tasks import TASKS, GlueTask
from simplify.locks import held
from simplify.runs.files import read_json, write_json

_META = "meta.json"


def prepare_glue(given: Path | None, check: bool) -> Iterator[str]:
    """Keep each task that is not there yet, from the folder `given` or from the hub; yields a line for each.

    A task is a folder that is whole or absent, so a preparation that was killed goes on with the one it was at.
    Raises DataError: at once where the hub does not answer or the disk is full, else of all tasks together that a
    folder lacks, that are damaged, or that were read from elsewhere. `check` alone reads what is there and fetches
    nothing.
    """
    said = f"--from {given}" if given else "data prepare glue"
    check_installed(said)
    given = expanded(given, "--from") if given else None
    if given and not given.is_dir():
        raise DataError(f"{said}: no such folder; valid: a folder of the GLUE download, or of a copy of {HUB}")
    origin = str(given.resolve()) if given else HUB
    source = None if check and not given else open_glue(origin, said, "--from")
    problems: list[str] = []
    for task in TASKS.values():
        folder = prepared_folder() / task.name
        found = _made(source, task, folder, origin)
        if isinstance(found, str) and source is not None and not given:
            raise DataError(found)
        problem = found if isinstance(found, str) else _problem(folder, found, origin if given else None, check)
        if problem:
            problems.append(problem)
        elif not isinstance(found, str):
            yield _line(task, found, check)
    if problems:
        raise DataError("\n".join(problems))


def _made(source: Source | None, task: GlueTask, folder: Path, origin: str) -> dict[str, Any] | str:
    """What is known of a task, read and kept first if it is not there; or, in words, why it cannot be read."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # a second preparation waits for the first
        with held(folder.parent.with_name(f"{folder.parent.name}.lock"), f"{folder.parent}", patience=math.inf):
            meta = read_json(folder / _META)
            if meta is not None:
                return meta
            if source is None:
                return f"{folder}: is not there, so there is nothing to check; simplify data prepare glue makes it"
            try:
                data = read_task(source, task)
            except DataError as error:
                return str(error)
            return _keep(data, task, folder, origin)
    except OSError as error:
        raise DataError(
            f"SIMPLIFY_CACHE={folder.parents[1]}: {task.name} cannot be written: {error.strerror or error}; make "
            "space, and the same command goes on with it, or set SIMPLIFY_CACHE to a folder with space"
        ) from None


def _keep(data: TaskData, task: GlueTask, folder: Path, origin: str) -> dict[str, Any]:
    """Write a task aside, then rename it. Raises OSError."""
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


def _problem(folder: Path, meta: dict[str, Any], origin: str | None, check: bool) -> str:
    """What is wrong with a task that is there; empty where nothing is."""
    if origin is not None and meta["from"] != origin:
        return f"--from {origin}: {folder.name} was prepared from {meta['from']}; to prepare it anew remove {folder}"
    digests = meta["sha256"].items() if check else ()
    damaged = ", ".join(name for name, digest in digests if _digest(folder / name) != digest)
    return f"{folder}: damaged on the disk ({damaged}); remove the folder, then prepare it anew" if damaged else ""


def _splits(task: GlueTask, data: TaskData) -> list[tuple[str, Examples]]:
    return [("train", data.train), *((split.hub, data.validation[split.number]) for split in task.splits)]


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _line(task: GlueTask, meta: dict[str, Any], checked: bool) -> str:
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["examples"].items())
    torn = f"; {meta['left_out']} torn lines left out" if meta["left_out"] else ""
    return f"{task.folder}: {counts}{torn}; fingerprint {meta['fingerprint']}{', checked' if checked else ''}"
