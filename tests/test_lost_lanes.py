"""Lanes that die at any moment, and disks that are full: no run leaves the queue unless its folder says why."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Result, rows
from lanes_tools import background, folders, job, lanes, simplify, until

from simplify.compose import compose_run
from simplify.dispatch import launch, local
from simplify.dispatch.judge import Watched, judge
from simplify.dispatch.lane import Lane
from simplify.runs.files import write_json
from simplify.runs.folder import RunFolder
from simplify.runs.process import process, this_process
from simplify.runs.queue import Job, Queue, mark_of

assert simplify  # a fixture
ID = "0123456789"
NOBODY = lambda *_: False  # noqa: E731


def frozen(root: Path, number: int = 0, **facts: Any) -> Job:
    """A run in a queue that nobody can train: its configuration is empty."""
    run_id = f"{number:010x}"
    told = {"config": {}, "command": [], "cwd": "/", "code": str(root), "cache": str(root), **facts}
    return Job(run_id=run_id, name=f"sas-nano-{run_id}", **told)


def dead_process() -> dict[str, Any]:
    """One of this host that has ended."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    known = process(pid)
    os.waitpid(pid, 0)
    return known


@pytest.mark.usefixtures("simplify")
def test_a_lane_dies_before_its_run_is_forked(cli: Callable[..., Result], here: Path) -> None:
    """The order already lies in the pipe. The run is trained once, by the next lane, and the other one too."""
    assert cli("sweep", *TINY, "train.steps=30", "seed=0,1").code == 0
    until(lambda: Queue(here / "runs").claims())
    nursery = until(lambda: [p for p in background(here) if b"cli.nursery" in Path(f"/proc/{p}/cmdline").read_bytes()])
    os.kill(nursery[0], signal.SIGSTOP)
    os.kill(next(iter(lanes(here).values()))["pid"], signal.SIGKILL)
    assert "1 lane works" in cli("retry").out
    os.kill(nursery[0], signal.SIGCONT)
    until(lambda: not background(here), 120)
    assert [run["state"] for run in json.loads(cli("status", "--json").out)["runs"]] == ["done", "done"]
    spans: list[tuple[str, str]] = []
    for folder in folders(here):
        (attempt,) = job(folder)["attempts"]
        assert [row["step"] for row in rows(folder)] == list(range(1, 31))
        spans.append((attempt["started"], attempt["ended"]))
    (_, first), (second, _) = sorted(spans)
    assert first <= second  # one lane, one after the other


def test_a_run_begins_only_for_the_living_lane_that_has_it(tmp_path: Path) -> None:
    queue, mine = Queue(tmp_path), {**this_process(), "lane": "here-0"}
    queue.add([frozen(tmp_path)])
    before = {**mine, **dead_process()}  # the lane of the same name before
    taken = queue.take(before, NOBODY)
    assert taken and queue.begin(taken[1], mark_of(before)) is None  # dead: the next lane has it
    assert queue.begin(taken[1], mark_of(mine)) is None  # not its own
    again = queue.take(mine, NOBODY)
    assert again == taken and queue.begin(taken[1], mark_of(before)) is None
    assert queue.begin(taken[1], mark_of(mine)) == taken[0]
    assert queue.claims()[taken[0].run_id]["child"]["pid"] == os.getpid()
    queue.drop([taken[0].run_id])  # cancelled
    assert queue.begin(taken[1], mark_of(mine)) is None


def test_what_a_dead_lane_had_not_begun_is_free_at_once(tmp_path: Path) -> None:
    """Else its process could begin between two looks of the next lane, beside another run of that lane."""
    queue, mine = Queue(tmp_path), {**this_process(), "lane": "here-0"}
    queue.add([frozen(tmp_path, number) for number in range(2)])
    before = {**mine, **dead_process()}
    taken = queue.take(before, NOBODY)
    assert taken and queue.orphans(mine, NOBODY) == [] and queue.claims() == {}
    queue.take(before, NOBODY)
    ((job_, path, claim),) = queue.orphans(mine, lambda *_: True)
    assert (job_, path) == taken and claim["born"] == before["born"] and queue.held(queue.claims()[job_.run_id])


def test_how_a_run_stands_whose_process_has_ended(tmp_path: Path) -> None:
    """Over or failed only where its folder says so."""
    folder = RunFolder(tmp_path / f"sas-nano-{ID}", ID)
    folder.path.mkdir()
    gone = dead_process()
    verdicts = [judge(Watched.begin(folder).ended(gone)), judge(Watched.begin(folder).ended(gone, 75))]
    write_json(folder.path / "job.json", {"attempts": [{**this_process(), **gone}]})
    verdicts += [judge(Watched.begin(folder).ended(gone)), judge(Watched.begin(folder).ended({"pid": 1}, 75))]
    write_json(folder.path / "job.json", {"attempts": [this_process()]})  # somebody else trains it
    verdicts += [judge(Watched.begin(folder).ended({"pid": 1}, 75))]
    assert verdicts == ["open", "open", "over", "open", "over"]
    assert judge(Watched.begin(folder).ended(gone, 0)) == "failed"  # it says that all is well, and there is no result
    assert (folder.error() or {})["cause"] == "no_result"
    assert judge(Watched.begin(folder).ended(gone, -signal.SIGKILL)) == "failed"
    assert "before its first step" in (folder.error() or {})["message"]
    watched = Watched.begin(folder)
    (folder.path / "error.json").unlink()
    folder.path.chmod(0o500)
    with as_nobody(), pytest.raises(OSError):
        judge(watched.ended(gone, 1))
    folder.path.chmod(0o700)
    folder.end("done", {"step": 1})
    assert judge(watched.ended(gone, 1)) == "over"


@contextlib.contextmanager
def as_nobody() -> Any:
    """Without root's right to write everywhere, where the tests run as root."""
    if os.getuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def lane_in_a_fork(root: Path, limit: int | None) -> None:
    """Let a lane work on a queue to its end, in a process whose files may not grow beyond `limit` bytes."""
    pid = os.fork()
    if not pid:
        code = 1
        with contextlib.suppress(BaseException):
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            Lane(Queue(root), "here-0", "cpu", {}).work()
            code = 0
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("limit", [0, 300])  # at the lane's own file; at that of its first run
def test_a_full_disk_leaves_all_in_the_queue(tmp_path: Path, limit: int) -> None:
    queue = Queue(tmp_path)
    queue.add([frozen(tmp_path, number, config={"text": "x" * 500}) for number in range(3)])
    lane_in_a_fork(tmp_path, limit)
    assert len(queue.waiting()) == 3 and queue.claims() == {} and queue.lanes() == {}
    said = queue.last_words().get("here-0", "")
    assert said.startswith(f"File too large: {tmp_path}/sas-nano-0000000000") if limit else not said


def test_a_folder_that_is_gone_is_its_runs_own_failure(tmp_path: Path) -> None:
    """And a file where a run's folder should be, so that not even its error can be written: that run waits on."""
    queue, gone = Queue(tmp_path), tmp_path / "gone"
    queue.add([frozen(tmp_path, number, cwd=str(gone)) for number in range(3)])
    names = [frozen(tmp_path, number).name for number in range(3)]
    (tmp_path / names[1]).write_text("no folder")
    lane_in_a_fork(tmp_path, None)
    for name in (names[0], names[2]):
        error = json.loads((tmp_path / name / "error.json").read_text())
        assert error["cause"] == "refused" and f"No such file or directory: {gone}" in error["message"]
    assert list(queue.waiting()) == [frozen(tmp_path, 1).run_id] and queue.claims() == {}
    assert f"File exists: {tmp_path / names[1]}" in queue.last_words()["here-0"]


def test_a_process_that_comes_to_another_run_refuses(cli: Callable[..., Result], here: Path) -> None:
    """The text was edited between the sweep and the run's start: what was asked for cannot be trained any more."""
    config = compose_run(TINY).model_dump(mode="json")
    queue = Queue(here / "runs")
    queue.add([frozen(here, 1, config=config, corpus="fedcba9876543210", command=["simplify", "sweep", "a b.yaml"])])
    (path,) = queue.waiting().values()
    done = cli("job", str(path), "here-0")
    assert (
        done.code == 2
        and done.err.count("\n") == 1
        and "was asked for as corpus fedcba9876543210, but data=text" in done.err
    )
    assert "simplify retry 0000000001, or ask for the run as it is now: simplify sweep 'a b.yaml'" in done.err
    assert folders(here) == []


def test_what_waits_in_no_queue_is_told_with_its_command(
    cli: Callable[..., Result], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "start_lanes", lambda *_: launch.Started(0, 0))
    words = [*TINY, "seed=0,1", "cluster.lanes=2"]
    assert cli("sweep", *words).code == 0
    (run_id, path), _ = Queue(here / "runs").waiting().items()
    path.write_text("{torn")
    out = cli("retry").out
    again = shlex.join(["simplify", "sweep", *words])
    assert "1 of its runs have not begun and wait in no queue" in out and f"they come back with {again}\n" in out
    assert cli(*shlex.split(again)[1:]).code == 0 and run_id in Queue(here / "runs").waiting()
    assert "in no queue" not in cli("retry").out


@pytest.mark.usefixtures("simplify")
def test_why_lanes_have_ended_is_told_at_once(cli: Callable[..., Result], here: Path) -> None:
    """Not after a minute, and not in a file alone."""
    with pytest.MonkeyPatch().context() as patched:
        patched.setattr(local, "start_lanes", lambda *_: launch.Started(0, 0))
        assert cli("sweep", *TINY).code == 0
    (here / "runs" / ".claims").write_text("no folder")
    done = cli("retry")
    why = f"Not a directory: {here / 'runs' / '.claims'}"
    assert done.code == 2 and f"lanes: ended at once: {why}" in done.err
    assert why in cli("why", "sas").out


def test_a_full_disk_is_said_before_lanes_are_started(
    cli: Callable[..., Result], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(local, "start_lanes", lambda *_: launch.Started(0, 0))
        assert cli("sweep", *TINY).code == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        done = cli("retry")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.code == 2 and f"{here / 'runs'}: cannot be written: File too large; nothing is lost" in done.err
    assert len(Queue(here / "runs").waiting()) == 1


def test_a_folder_that_is_removed_in_mid_run_is_told(tmp_path: Path) -> None:
    """And one that was cancelled first does not come back."""
    queue = Queue(tmp_path)
    queue.add([frozen(tmp_path, number) for number in range(2)])
    lane = Lane(queue, "here-0", "cpu", {})
    for job_, path in zip([frozen(tmp_path, number) for number in range(2)], queue.waiting().values(), strict=True):
        folder = RunFolder(tmp_path / job_.name, job_.run_id)
        watched = Watched.begin(folder).ended(dead_process(), 1)
        if job_.run_id.endswith("1"):
            queue.drop([job_.run_id])
            with pytest.raises(FileNotFoundError):
                lane._finish(job_, path, watched)
            assert not folder.path.exists()
        else:
            assert lane._finish(job_, path, watched) == "failed" and (folder.path / "config.yaml").exists()
            assert (folder.error() or {})["message"] == "its folder was removed while it was trained"
    assert queue.waiting() == {}
