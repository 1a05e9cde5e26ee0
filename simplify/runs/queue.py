"""Runs that wait for a lane, and who has taken them.

<run root>/.queue/<order>-<id>.json    a run to be trained, frozen: its configuration and where it was asked for
<run root>/.claims/<id>.json           which lane has it; made exclusively, so that one lane wins
<run root>/.lanes/<host>-<n>.json      a lane that lives; its lane touches it as a heartbeat
<run root>/.lanes/<host>-<n>.stopped   why a lane has left runs in the queue, in a line

Whatever reads and then writes does so under one short-held lock. A claim is worth as much as its
lane: where that is dead the claim is void, unless the run itself outlived its lane. A run's process says
under the same lock that it begins (`begin`), and only while the claim is still that of the lane that
started it. So a run whose lane was killed before that does not begin, and nothing can train it twice.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from simplify.locks import PATIENCE, held
from simplify.runs import shapes
from simplify.runs.files import read_json, take_away, write_whole
from simplify.runs.process import is_alive, process

Record = Mapping[str, Any]
LANE = "SIMPLIFY_LANE"  # the variable by which a run's process knows the lane that started it


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
    corpus: str | None = None  # its fingerprint when the run was asked for


Alive = Callable[[Job, Record], bool]


class Queue:
    """The queue of one run root."""

    def __init__(self, root: Path, patience: float = PATIENCE) -> None:
        """`patience`: seconds for its lock, where somebody else holds it."""
        self.root, self._patience = root, patience
        self._waiting, self._claims, self._lanes = root / ".queue", root / ".claims", root / ".lanes"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the queue, for milliseconds."""
        with held(self.root / ".locks" / "queue.lock", f"{self.root}: the queue", self._patience):
            yield

    def waiting(self) -> dict[str, Path]:
        """The file of each run that waits or is being trained by a lane, in order, by id; without what is damaged."""
        paths = (self._waiting / name for name in sorted(_names(self._waiting)))
        return {job.run_id: path for path in paths if (job := read_job(path))}

    def claims(self) -> dict[str, Record]:
        """Who has taken which run, by id. One that was never written to its end is an empty record."""
        return {name[:-5]: read_json(self._claims / name, shapes.Claim) or {} for name in _names(self._claims)}

    def lanes(self) -> dict[str, Record]:
        """The lanes that live, by name."""
        found = {name[:-5]: read_json(self._lanes / name, shapes.Claim) for name in _names(self._lanes)}
        return {name: lane for name, lane in found.items() if lane and is_alive(lane, self.lane_path(name))}

    def lane_path(self, name: str) -> Path:
        """The file of a lane."""
        return self._lanes / f"{name}.json"

    def words_path(self, name: str) -> Path:
        """The file with the last words of a lane."""
        return self._lanes / f"{name}.stopped"

    def last_words(self) -> dict[str, str]:
        """Why lanes that have ended left runs in the queue, by name of the lane."""
        found: dict[str, str] = {}
        for path in sorted(self._lanes.glob("*.stopped")):
            with contextlib.suppress(OSError):
                found[path.stem] = path.read_text(encoding="utf-8", errors="replace").strip()
        return found

    def add(self, jobs: Sequence[Job]) -> int:
        """Put runs at the end, but for those that wait already; returns how many were added."""
        self._waiting.mkdir(parents=True, exist_ok=True)
        with self.locked():
            there = self.waiting()
            fresh = [job for job in jobs if job.run_id not in there]
            order = time.time_ns()
            for path in self._damaged(job.run_id for job in fresh):
                take_away(path)
            for number, job in enumerate(fresh):
                path = self._waiting / f"{order + number:020d}-{job.run_id}.json"
                write_whole(path, json.dumps(asdict(job)), sync=False)
        return len(fresh)

    def _damaged(self, run_ids: Iterable[str]) -> list[Path]:
        """What lies where such runs would wait, and is none."""
        wanted = set(run_ids)
        return [self._waiting / name for name in _names(self._waiting) if name[:-5].rpartition("-")[2] in wanted]

    def take(self, lane: Record, alive: Alive, but: Container[Path] = ()) -> tuple[Job, Path] | None:
        """Claim the first run that nobody has. None: there is nothing to do, and the lane is struck off.

        `alive` says whether a run whose lane is dead is trained on; files in `but` are left to others.
        Striking off under the same lock is what lets a sweep that adds runs rely on the lanes it then sees.
        """
        with self.locked():
            claims = self.claims()
            for run_id, path in self.waiting().items():
                job = read_job(path)
                if job is None:
                    continue
                claim = claims.get(run_id)
                if path in but or (claim is not None and (self.held(claim) or alive(job, claim))):
                    continue
                self.unclaim(run_id)
                self._claim(run_id, lane)
                return job, path
            take_away(self.lane_path(lane["lane"]))
        return None

    def orphans(self, lane: Record, alive: Alive) -> list[tuple[Job, Path, Record]]:
        """Take over the runs that outlived the lane's predecessor of the same name, with their old claims.

        Its other claims go at the same moment: no process that it had started can begin any more.
        """
        found: list[tuple[Job, Path, Record]] = []
        with self.locked():
            waiting = self.waiting()
            for run_id, claim in self.claims().items():
                if claim.get("lane") != lane["lane"] or self.held(claim):
                    continue
                path = waiting.get(run_id)
                job = read_job(path) if path else None
                if path and job and alive(job, claim):
                    self.note_child(run_id, lane, claim.get("child") or {})
                    found.append((job, path, claim))
                else:
                    self.unclaim(run_id)
        return found

    def begin(self, path: Path, lane: str) -> Job | None:
        """Said by the process of a run before it trains; None: it is not to, and nothing is lost by that.

        It was cancelled, or `lane`, the mark (see `mark_of`) of the lane that started it, has it no more.
        """
        with self.locked():
            job = read_job(path)
            claim = self.claims().get(job.run_id) if job else None
            if job is None or claim is None or mark_of(claim) != lane or not self.held(claim):
                return None
            self.note_child(job.run_id, claim, process(os.getpid()))
        return job

    def note_child(self, run_id: str, lane: Record, child: Record) -> None:
        """Say which process trains a claimed run."""
        write_whole(self._claims / f"{run_id}.json", json.dumps({**lane, "child": dict(child)}), sync=False)

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
        take_away(self._claims / f"{run_id}.json")

    def held(self, claim: Record | None) -> bool:
        """Whether a claim is that of a living lane."""
        return bool(claim) and is_alive(claim, self.lane_path(str(claim.get("lane"))))

    def _claim(self, run_id: str, lane: Record) -> None:
        self._claims.mkdir(parents=True, exist_ok=True)
        path = self._claims / f"{run_id}.json"
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            with open(handle, "w", encoding="utf-8") as out:
                json.dump(dict(lane), out)
        except OSError:  # a full disk
            path.unlink(missing_ok=True)
            raise


def mark_of(lane: Record) -> str:
    """What tells the process of a lane from its predecessors of the same name."""
    return f"{lane.get('pid')} {lane.get('born')}"


def read_job(path: Path) -> Job | None:
    """A run of the queue; None if it has been taken out, or is not whole."""
    try:
        about = path.stat()
    except OSError:
        return None
    try:
        return _job(path, about.st_mtime_ns, about.st_size, about.st_ino)
    except LookupError:
        return None


@functools.lru_cache(maxsize=4096)
def _job(path: Path, *_: int) -> Job:
    """Read once, since such a file never changes; raises LookupError each time where it is not whole."""
    data = read_json(path, shapes.Waiting)
    if data is None:
        raise LookupError(path)
    return Job(**{field.name: data[field.name] for field in fields(Job) if field.name in data})


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith(".")]
    except OSError:
        return []
