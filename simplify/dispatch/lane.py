"""A lane: one device's worker. It trains the runs of a queue one after another, each in a process of its own.

It belongs to nobody's shell: it ends when the queue is empty, and lives on when the terminal that
started it is closed. A run that crashes does not touch it. SIGTERM stops it in good order: the run
saves, and waits for the next lane.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from simplify.dispatch.cancel import cancel, terminate
from simplify.dispatch.judge import Watched, judge
from simplify.dispatch.nursery import Forked, Fresh, Nursery
from simplify.program import environment_of_a_child
from simplify.runs.facts import is_training, read_facts
from simplify.runs.files import write_json
from simplify.runs.folder import RunFolder, now
from simplify.runs.process import beating, is_alive, process, this_process
from simplify.runs.queue import Job, Queue, Record

_LOOK_EVERY = 0.2  # seconds
_PREDECESSOR = 5.0  # seconds: a lane that has just struck itself off is about to end
Environment = Mapping[str, str | None]  # None: not set


def lane_name(number: int) -> str:
    """The name of a lane of this host."""
    return f"{this_process()['host']}-{number}"


def work(root: str, number: int, device: str, environment: Environment) -> None:
    """Train what the queue of `root` holds; returns when it is empty, or if this lane runs already."""
    queue, name = Queue(Path(root)), lane_name(number)
    (queue.root / ".locks").mkdir(parents=True, exist_ok=True)
    alone = FileLock(queue.root / ".locks" / f"lane-{name}.lock")
    try:
        alone.acquire(timeout=_PREDECESSOR)
    except Timeout:
        return
    try:
        Lane(queue, name, device, environment).work()
    finally:
        alone.release()


class Lane:
    """The loop of one lane."""

    def __init__(self, queue: Queue, name: str, device: str, environment: Environment) -> None:
        self._queue, self._environment = queue, environment
        self._record = {**this_process(), "lane": name, "device": device, "since": now()}
        self._path = queue.lane_path(name)
        self._nursery = Nursery(queue.root)
        self._stopping = False

    def work(self) -> None:
        """Until there is nothing left, or a signal."""
        for number in (signal.SIGTERM, signal.SIGINT):  # submitit's own handler swallows SIGTERM
            signal.signal(number, self._stop)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, self._record)
        try:
            with beating(self._path):
                for job, path, claim in self._queue.orphans(self._record, self._is_alive):
                    self._finish(job, path, self._wait_for_orphan(job, claim))
                while not self._stopping and (taken := self._queue.take(self._record, self._is_alive)):
                    job, path = taken
                    self._finish(job, path, self._train(job, path))
        finally:
            self._path.unlink(missing_ok=True)
            self._nursery.close()

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    def _folder(self, job: Job) -> RunFolder:
        return RunFolder(self._queue.root / job.name, job.run_id)

    def _is_alive(self, job: Job, claim: Record) -> bool:
        """Whether a run is being trained, or its process is on its way there."""
        folder, child = self._folder(job).path, claim.get("child")
        starting = bool(child) and is_alive({"host": claim["host"], **child})
        return starting or is_training(read_facts(folder), folder)

    def _train(self, job: Job, path: Path) -> Watched:
        """Train one run to its end; returns what was seen of its process."""
        folder = self._folder(job)
        watched = Watched.begin(folder)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            if not (folder.path / "config.yaml").exists():  # for the case that it is refused before it begins
                folder.keep_config(job.config)
            with open(folder.log, "a", encoding="utf-8") as log:
                print(f"--- {now()} lane {self._record['lane']}", file=log, flush=True)
                words = ["job", str(path), self._record["lane"]]
                child = self._nursery.start(job, words, log, self._child_environment(job))
        except OSError as error:  # the disk is full, or the folder it was asked from is gone
            return watched.ended(None, f"cannot be started: {error.strerror or error}: {error.filename}")
        self._attend(job, child)
        return watched.ended(child.code)

    def _attend(self, job: Job, child: Fresh | Forked) -> None:
        """See a run to its end: say which process trains it, and pass on that it is to stop."""
        noted = asked = None
        while True:
            if child.pid != noted:
                noted = child.pid
                with contextlib.suppress(OSError):
                    self._queue.note_child(job.run_id, self._record, process(noted))
            if self._stopping and child.pid != asked:
                asked = child.pid
                child.terminate()
            if child.wait(_LOOK_EVERY):
                return

    def _wait_for_orphan(self, job: Job, claim: Record) -> Watched:
        """A run whose lane was killed and that went on: nothing else may use its device before it ends."""
        watched, asked = Watched.begin(self._folder(job)), False
        while self._is_alive(job, claim):
            if self._stopping and not asked:
                asked = True
                terminate(self._folder(job).path, claim)
            time.sleep(_LOOK_EVERY)
        return watched.ended(None)

    def _child_environment(self, job: Job) -> dict[str, str]:
        env = environment_of_a_child()
        changes = {
            **self._environment,
            "SIMPLIFY_RUNS": str(self._queue.root),
            "SIMPLIFY_CACHE": job.cache,
            "PYTHONUNBUFFERED": "1",
        }
        for name, value in changes.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env

    def _finish(self, job: Job, path: Path, watched: Watched) -> None:
        """Take the run out of the queue, unless it is to go on where this lane stops."""
        failed = judge(watched)
        if not self._stopping or self._folder(job).done():
            with self._queue.locked():
                path.unlink(missing_ok=True)
        self._queue.unclaim(job.run_id)
        if failed and job.fail_fast and job.sweep:
            cancel(self._queue, sweep=job.sweep)
