"""A lane: one device's worker. It trains the runs of a queue one after another, each in a process of its own.

It belongs to nobody's shell: it ends when the queue is empty, and lives on when the terminal that
started it is closed. A run that crashes does not touch it. SIGTERM stops it in good order: the run
saves, and waits for the next lane. A run leaves the queue only where its folder says how it stands. What
cannot be started, or whose end cannot be written down, waits on; where the machine is the reason (a full
disk, no more processes) the lane ends and says so.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from simplify.dispatch.advance import go_on
from simplify.dispatch.cancel import cancel_the_rest, terminate
from simplify.dispatch.judge import Verdict, Watched, judge
from simplify.dispatch.nursery import Forked, Fresh, Nursery
from simplify.display import tell
from simplify.display.streams import Stream
from simplify.errors import SimplifyError
from simplify.locks import Taken, acquire
from simplify.program import environment_of_a_child
from simplify.runs.facts import is_training, read_facts
from simplify.runs.files import BROKEN, FULL, take_away, write_json, write_whole
from simplify.runs.folder import RunFolder, now
from simplify.runs.folders import folder_of
from simplify.runs.process import beating, is_alive, this_process
from simplify.runs.queue import LANE, Job, Queue, Record, mark_of

_LOOK_EVERY = 0.2  # seconds
# What ails the machine and not one run: no space, a disk that fails, no files, processes or memory to be had.
_OF_THE_MACHINE = (*FULL, *BROKEN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
_PREDECESSOR = 5.0  # seconds: a lane that has just struck itself off is about to end
Environment = Mapping[str, str | None]  # None: not set


def lane_name(number: int) -> str:
    """The name of a lane of this host."""
    return f"{this_process()['host']}-{number}"


def work(root: str, number: int, device: str, environment: Environment, shell: Environment | None = None) -> None:
    """Train what the queue of `root` holds; returns when it is empty, or if this lane runs already.

    `environment`: what its runs see; `shell`: what was changed for this process alone, as it was before.
    """
    queue, name = Queue(Path(root), patience=math.inf), lane_name(number)
    (queue.root / ".locks").mkdir(parents=True, exist_ok=True)
    try:
        alone = acquire(queue.root / ".locks" / f"lane-{name}.lock", _PREDECESSOR)
    except Taken:
        return
    with alone:
        Lane(queue, name, device, environment, shell).work()


class Lane:
    """The loop of one lane."""

    def __init__(
        self, queue: Queue, name: str, device: str, environment: Environment, shell: Environment | None = None
    ) -> None:
        self._queue, self._environment, self._shell = queue, environment, shell or {}
        self._record = {**this_process(), "lane": name, "device": device, "since": now()}
        self._path = queue.lane_path(name)
        self._nursery = Nursery(queue.root)
        self._stopping = False
        self._left: dict[Path, str] = {}  # why it has left runs in the queue

    def work(self) -> None:
        """Until there is nothing left, or a signal."""
        for number in (signal.SIGTERM, signal.SIGINT):  # submitit's own handler swallows SIGTERM
            signal.signal(number, self._stop)
        words = self._queue.words_path(self._record["lane"])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for path in (words, self._path):  # what a crash or a hand left there
                take_away(path)
            self._queue.claims()  # what cannot be read is said before anybody counts on this lane
            write_json(self._path, self._record)
            with beating(self._path):
                self._work()
        except OSError as error:
            self._left[self._path] = self._told(error)
        except SimplifyError as error:
            self._left[self._path] = str(error)
        except Exception as error:  # our own fault: who waits for this lane has to be told all the same
            self._left[self._path] = f"{type(error).__name__}: {error}"
            raise
        finally:
            with contextlib.suppress(OSError):  # the disk may be full
                self._path.unlink(missing_ok=True)
            self._nursery.close()
            self._say_why(words)

    def _say_why(self, words: Path) -> None:
        """Leave a word where runs were left."""
        said = "; ".join(dict.fromkeys(self._left.values()))
        with contextlib.suppress(OSError):  # the disk may be full for both
            if said:
                write_whole(words, said + "\n", sync=False)
                tell(f"{now()} lane {self._record['lane']}: {said}")

    def _work(self) -> None:
        for job, path, claim in self._queue.orphans(self._record, self._is_alive):
            with self._kept(job, path):
                self._finish(job, path, self._wait_for_orphan(job, claim))
        while not self._stopping and (taken := self._queue.take(self._record, self._is_alive, self._left)):
            job, path = taken
            with self._kept(job, path):
                watched = self._train(job, path)
                if self._finish(job, path, watched) == "open" and not self._stopping:
                    self._left[path] = f"{job.name} did not begin; {watched.folder.log} says why"

    @contextlib.contextmanager
    def _kept(self, job: Job, path: Path) -> Iterator[None]:
        """Leave a run in the queue that cannot be started, or whose end cannot be written down."""
        try:
            yield
        except OSError as error:
            self._left[path] = self._told(error)
            self._stopping = self._stopping or error.errno in _OF_THE_MACHINE
            self._queue.unclaim(job.run_id)

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    def _folder(self, job: Job) -> RunFolder:
        return folder_of(self._queue.root, job.run_id, job.name)  # it may have been renamed since

    def _is_alive(self, job: Job, claim: Record) -> bool:
        """Whether a run is being trained, or its process is on its way there."""
        folder, child = self._folder(job).path, claim.get("child")
        starting = bool(child) and is_alive({"host": claim["host"], **child})
        return starting or is_training(read_facts(folder), folder)

    def _train(self, job: Job, path: Path) -> Watched:
        """Train one run to its end; returns what was seen of its process. Raises OSError of the machine's."""
        folder = self._folder(job)
        watched = Watched.begin(folder)
        try:
            self._see_to_folder(job)
            with open(folder.log, "a", encoding="utf-8") as log:
                head = Stream(log)
                head.write(f"--- {now()} lane {self._record['lane']}\n")
                head.flush()
                words = ["job", str(path), self._record["lane"]]
                child = self._nursery.start(job, words, log, self._child_environment(job))
        except OSError as error:
            if error.errno in _OF_THE_MACHINE:
                raise
            # the folder it was asked from is gone, or its own is none: that is its own failure
            return watched.ended({}, problem=f"cannot be started: {self._told(error)}")
        self._attend(job, child)
        return watched.ended(child.itself, child.code)

    def _see_to_folder(self, job: Job) -> None:
        """Its folder with its configuration: all that `retry` needs, should it not come to write more."""
        folder = self._folder(job)
        folder.path.mkdir(exist_ok=True)  # no parents: a run root that was moved is not to come back empty
        if not (folder.path / "config.yaml").exists():
            folder.keep_config(job.config)

    def _attend(self, job: Job, child: Fresh | Forked) -> None:
        """See a run to its end: say which process trains it, and pass on that it is to stop."""
        asked: int | None = None
        noted: Record = {}
        while True:
            if child.itself != noted:  # it says so itself too (`Queue.begin`); older code does not
                noted = child.itself
                with contextlib.suppress(OSError):
                    self._queue.note_child(job.run_id, self._record, noted)
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
        return watched.ended(claim.get("child") or {})

    def _child_environment(self, job: Job) -> dict[str, str]:
        env = environment_of_a_child()
        changes = {
            **self._environment,
            "SIMPLIFY_RUNS": str(self._queue.root),
            "SIMPLIFY_CACHE": job.cache,
            "PYTHONUNBUFFERED": "1",
            LANE: mark_of(self._record),
        }
        for name, value in changes.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env

    def _finish(self, job: Job, path: Path, watched: Watched) -> Verdict:
        """Take the run out of the queue, unless it is to go on after this lane. Raises OSError."""
        watched = replace(watched, folder=self._folder(job))
        if not watched.folder.path.is_dir() and path.exists():  # else it was cancelled, and then removed
            watched = replace(watched, problem="its folder was removed while it was trained", cause="storage")
            self._see_to_folder(job)
        verdict = judge(watched)
        if verdict != "open" and (not self._stopping or self._folder(job).done()):
            with self._queue.locked():
                path.unlink(missing_ok=True)
        self._queue.unclaim(job.run_id)
        if verdict == "failed":
            cancel_the_rest(self._queue, job, watched.folder)
        if verdict != "open" and not self._stopping:  # before it looks for the next run: there may be more now
            go_on(self._queue.root, job.run_id, self._shell)
        return verdict

    def _told(self, error: OSError) -> str:
        where = self._queue.root if error.filename is None else os.fsdecode(error.filename)
        return f"{error.strerror or error}: {where}"
