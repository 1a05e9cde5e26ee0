"""Runs that wait for a lane, and who has taken them.

<run root>/.queue/<order>-<id>.json    a run to be trained, frozen: its configuration and where it was asked for
<run root>/.claims/<id>.json           which lane has it; made exclusively, so that one lane wins
<run root>/.lanes/<host>-<n>.json      a lane that lives; its lane touches it as a heartbeat

Whatever reads and then writes does so under one short-held lock. A claim is worth as much as its
lane: where that is dead the claim is void, unless the run itself outlived its lane.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from simplify.runs.files import read_json, write_whole
from simplify.runs.process import is_alive

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A run to be trained, complete: what is edited later does not reach it."""

    run_id: str
    name: str  # of its folder
    config: dict[str, Any]
    command: list[str]  # that asked for it
    cwd: str  # which relative paths in the configuration start from
    code: str  # folder that holds the package to train with
    cache: str  # SIMPLIFY_CACHE
    sweep: str | None = None
    fail_fast: bool = False


Alive = Callable[[Job, Record], bool]


class Queue:
    """The queue of one run root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._waiting, self._claims, self._lanes = root / ".queue", root / ".claims", root / ".lanes"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the queue, for milliseconds."""
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "queue.lock"):
            yield

    def waiting(self) -> dict[str, Path]:
        """The file of each run that waits or is being trained by a lane, in order, by id."""
        return {name[:-5].rpartition("-")[2]: self._waiting / name for name in sorted(_names(self._waiting))}

    def claims(self) -> dict[str, Record]:
        """Who has taken which run, by id. One that was never written to its end is an empty record."""
        return {name[:-5]: read_json(self._claims / name) or {} for name in _names(self._claims)}

    def lanes(self) -> dict[str, Record]:
        """The lanes that live, by name."""
        found = {name[:-5]: read_json(self._lanes / name) for name in _names(self._lanes)}
        return {name: lane for name, lane in found.items() if lane and is_alive(lane, self.lane_path(name))}

    def lane_path(self, name: str) -> Path:
        """The file of a lane."""
        return self._lanes / f"{name}.json"

    def add(self, jobs: Sequence[Job]) -> int:
        """Put runs at the end, but for those that wait already; returns how many were added."""
        self._waiting.mkdir(parents=True, exist_ok=True)
        with self.locked():
            there = self.waiting()
            fresh = [job for job in jobs if job.run_id not in there]
            order = time.time_ns()
            for number, job in enumerate(fresh):
                path = self._waiting / f"{order + number:020d}-{job.run_id}.json"
                write_whole(path, json.dumps(asdict(job)), sync=False)
        return len(fresh)

    def take(self, lane: Record, alive: Alive) -> tuple[Job, Path] | None:
        """Claim the first run that nobody has. None: there is nothing to do, and the lane is struck off.

        `alive` says whether a run whose lane is dead is trained on. Striking off under the same lock
        is what lets a sweep that adds runs rely on the lanes it then sees.
        """
        with self.locked():
            claims = self.claims()
            for run_id, path in self.waiting().items():
                job = read_job(path)
                if job is None:  # torn by a power cut; the sweep that asked for it will ask again
                    path.unlink(missing_ok=True)
                    continue
                claim = claims.get(run_id)
                if claim is not None and (self.held(claim) or alive(job, claim)):
                    continue
                self.unclaim(run_id)
                self._claim(run_id, lane)
                return job, path
            self.lane_path(lane["lane"]).unlink(missing_ok=True)
        return None

    def orphans(self, lane: Record, alive: Alive) -> list[tuple[Job, Path, Record]]:
        """Take over the runs that outlived the lane's predecessor of the same name, with their old claims."""
        found: list[tuple[Job, Path, Record]] = []
        with self.locked():
            waiting = self.waiting()
            for run_id, claim in self.claims().items():
                path = waiting.get(run_id)
                job = read_job(path) if path else None
                if path and job and claim.get("lane") == lane["lane"] and not self.held(claim) and alive(job, claim):
                    self.note_child(run_id, lane, claim.get("child") or {})
                    found.append((job, path, claim))
        return found

    def note_child(self, run_id: str, lane: Record, child: Record) -> None:
        """Say which process trains a claimed run."""
        write_whole(self._claims / f"{run_id}.json", json.dumps({**lane, "child": dict(child)}))

    def drop(self, run_ids: Iterable[str]) -> list[str]:
        """Take runs out of the queue; returns those that were in it. Claims stay until their lane lets go."""
        with self.locked():
            there = self.waiting()
            found = [run_id for run_id in run_ids if run_id in there]
            for run_id in found:
                there[run_id].unlink(missing_ok=True)
        return found

    def unclaim(self, run_id: str) -> None:
        """Let go of a run; it is free again if it is still in the queue."""
        (self._claims / f"{run_id}.json").unlink(missing_ok=True)

    def held(self, claim: Record | None) -> bool:
        """Whether a claim is that of a living lane."""
        return bool(claim) and is_alive(claim, self.lane_path(str(claim.get("lane"))))

    def _claim(self, run_id: str, lane: Record) -> None:
        self._claims.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._claims / f"{run_id}.json", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        with open(handle, "w", encoding="utf-8") as out:
            json.dump(dict(lane), out)


def read_job(path: Path) -> Job | None:
    """A run of the queue; None if it has been taken out, or is not whole."""
    data = read_json(path)
    try:
        return Job(**data) if data else None
    except TypeError:  # of another version
        return None


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith(".")]
    except OSError:
        return []
