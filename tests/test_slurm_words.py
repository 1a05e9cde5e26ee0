"""What Slurm's commands say, parsed: lines as seen from Slurm 22.05, and what they come to."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Result
from hypothesis import given
from hypothesis import strategies as st
from report_tools import falling, make_run

from simplify.compose import compose_run
from simplify.config import ClusterConfig, RunConfig, validate
from simplify.dispatch.batch import Request, explained
from simplify.dispatch.cancel import cancel
from simplify.dispatch.site import parse_partitions
from simplify.dispatch.slurm import requests
from simplify.errors import ConfigError
from simplify.runs.folder import RunFolder
from simplify.runs.last_word import LastWord
from simplify.runs.queue import Job, Queue
from simplify.runs.scheduler import Told, merge, parse_sacct, parse_squeue
from simplify.runs.slurm import Array, new_array, read_array
from simplify.runs.slurm_board import SlurmBoard
from simplify.runs.slurm_board import _why_it_waits as _why
from simplify.runs.verdict import Traces, verdict


def _why_it_waits(told: Told, begun: bool) -> str:
    return _why(told, "70_3", 4, begun)


SQUEUE = """\
70_0|PENDING|BeginTime||2026-11-25T13:22:13|NONE
70_3|PENDING|JobArrayTaskLimit||N/A|N/A
70_2|RUNNING|None|127.0.0.11|2026-11-25T13:22:07|NONE
71|COMPLETED|None|127.0.0.12|2026-11-25T13:22:04|2026-11-25T13:22:04
slurm_load_jobs error: something else
"""
SACCT = """\
70_0|REQUEUED|None|127.0.0.11|2026-11-25T13:22:00|2026-11-25T13:22:01
70_0.batch|CANCELLED||127.0.0.11|2026-11-25T13:22:00|2026-11-25T13:22:01
70_[4-5,7%2]|CANCELLED by 0|JobArrayTaskLimit|None assigned|Unknown|2026-11-25T13:22:08
72|FAILED|None|127.0.0.13|2026-11-25T13:22:00|2026-11-25T13:22:01
72.0|OUT_OF_MEMORY||127.0.0.13|2026-11-25T13:22:00|2026-11-25T13:22:01
73|PENDING|None|None assigned|Unknown|Unknown
"""


def test_lines_of_squeue_and_sacct() -> None:
    live, ended = parse_squeue(SQUEUE), parse_sacct(SACCT)
    assert live["70_2"] == Told("RUNNING", "", "127.0.0.11", "2026-11-25T13:22:07", "")
    assert live["70_3"].waits and live["70_3"].start == "" and live["70_2"].active and not live["71"].active
    assert ended["70_5"].state == ended["70_7"].state == "CANCELLED" and "70_6" not in ended
    assert ended["72"].state == "OUT_OF_MEMORY"  # the step says it, the job does not
    both = merge(live, ended)
    assert both["70_0"].state == "PENDING"  # accounting is late
    assert both["72"].state == "OUT_OF_MEMORY" and both["71"].state == "COMPLETED"
    assert "73" not in both  # waits, says accounting; but squeue, which would know, does not


@given(st.text(alphabet="0123456789_|-[],%.\nRUNIGPEDabc ", max_size=200))
def test_any_output_is_survived(text: str) -> None:
    both = merge(parse_squeue(text), parse_sacct(text))
    assert all(isinstance(told, Told) for told in both.values()) and isinstance(parse_partitions(text, text), list)


def test_a_node_failure_is_not_the_end_at_once() -> None:
    """Slurm says NODE_FAIL for some seconds before it says PENDING."""
    ago = [(datetime.now() - timedelta(seconds=s)).isoformat(timespec="seconds") for s in (3, 600)]
    fresh, old = (Told("NODE_FAIL", end=moment) for moment in ago)
    assert fresh.active and fresh.waits and not old.active
    assert _why_it_waits(fresh, begun=True) == "its node failed; Slurm starts it again"


def test_why_it_waits_in_words() -> None:
    today = datetime.now().replace(hour=23, minute=58, second=0, microsecond=0)
    begin = Told("PENDING", "BeginTime", start=today.isoformat())
    assert _why_it_waits(begin, begun=True) == "requeued, eligible at 23:58"
    assert _why_it_waits(Told("PENDING", "Priority"), begun=False) == "pending: Priority: others come first"
    assert _why_it_waits(Told("PENDING", "Unheard"), begun=False) == "pending: Unheard"
    assert _why_it_waits(Told("PENDING"), begun=False) == "pending: not looked at yet"
    hopeless = _why_it_waits(Told("PENDING", "DependencyNeverSatisfied"), begun=False)
    assert hopeless == "will not begin: DependencyNeverSatisfied: the job it waits for has failed"
    later = Told("PENDING", "Resources", start=(today + timedelta(days=3)).isoformat())
    assert _why_it_waits(later, begun=False).endswith(f"expected at {today + timedelta(days=3):%d %b %H:%M}")


def traces(folder: Path, setup: bool = False) -> Traces:
    (folder / "run").mkdir(exist_ok=True)
    return Traces(folder / "run", folder / "out", LastWord(folder / "0.word"), setup)


NOISE = """\
srun: Job step aborted: Waiting up to 6 seconds for job step to finish.
srun: error: n1: task 0: Exited with exit code 2
srun: launch/slurm: _step_signal: Terminating StepId=5.0
slurmstepd-n1: error: *** STEP 5.0 ON n1 CANCELLED AT 2026-11-25T13:22:08 DUE TO JOB REQUEUE ***
srun: got SIGCONT
srun: Force Terminated StepId=5.0
"""


@pytest.mark.parametrize(
    ("out", "begun", "cause", "message"),
    [
        (NOISE, False, "never_began", "it said nothing: can the node read and write"),
        ("simplify: /x: cannot be entered on this node\n" + NOISE, False, "refused", "/x: cannot be entered on this"),
        ("srun: error: n1: task 0: Killed\n" + NOISE, True, "killed", "process 0 on n1: killed (SIGKILL: kill -9, or"),
        ("old\n--- start of job 5\n" + NOISE, True, "storage", "it could write nothing: was its disk full or read-"),
        ("", True, "killed", "ended (FAILED) without a word"),
        ("OSError: [Errno 28] No space left on device\n" + NOISE, False, "disk_full", "No space left on device"),
        ("OSError: [Errno 30] Read-only file system: 'x'\n" + NOISE, True, "storage", "Read-only file system"),
        ("slurmstepd: error: execve(): /x/python: No such file\n" + NOISE, False, "never_began", "execve(): /x/python"),
    ],
)
def test_a_cause_is_no_noise(tmp_path: Path, out: str, begun: bool, cause: str, message: str) -> None:
    (tmp_path / "out").write_text(out)
    error = verdict(Told("FAILED"), KILLED if begun else None, traces(tmp_path)).error
    assert error is not None and error["cause"] == cause and message in error["message"], error
    if cause == "never_began" and "nothing" in message:
        error = verdict(Told("FAILED"), None, traces(tmp_path, setup=True)).error
        assert error is not None and error["message"].endswith("it said nothing: look at cluster.setup")


def test_a_last_word_and_a_folder_that_is_gone(tmp_path: Path) -> None:
    there = traces(tmp_path)
    assert not there.last_word.begun
    there.last_word.make_room()
    assert there.last_word.begun and there.last_word.read() is None
    there.last_word.say({"cause": "disk_full", "message": "x" * 9000, "traceback": ["no"]})
    error = verdict(Told("FAILED"), KILLED, there).error
    assert error is not None and error["cause"] == "disk_full" and there.last_word.path.stat().st_size == 4096
    there.folder.rmdir()
    error = verdict(Told("FAILED"), None, there).error
    assert error is not None and error["cause"] == "storage" and "was removed or renamed" in error["message"]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            "QOSMaxWallDurationPerJobLimit",
            "will not begin: REASON: the QOS lets no job have so much time (cluster.timeout)",
        ),
        (
            "AssocMaxCpuPerJobLimit",
            "will not begin: REASON: the account lets no job have so many CPUs (cluster.cpus_per_task)",
        ),
        ("QOSMaxGRESPerNode", "will not begin: REASON: the QOS lets no job have so many GPUs (cluster.gpus_per_node)"),
        ("QOSMinMemory", "will not begin: REASON: the QOS takes no job that asks for so little memory (cluster.mem)"),
        (
            "QOSMaxJobsPerUserLimit",
            "pending: REASON: until others of yours have ended: the QOS lets one user have only so many",
        ),
        (
            "AssocGrpCPUMinutesLimit",
            "pending: REASON: until others have ended: the account lets all its jobs together have",
        ),
        (
            "JobArrayTaskLimit",
            "pending: REASON: until others of its sweep have ended: cluster.max_parallel=4 at a time",
        ),
        ("JobHeldUser", "pending: REASON: held by its owner: scontrol release 70_3 lets it begin"),
        ("JobHeldAdmin", "pending: REASON: held by an administrator, who alone may release it"),
        ("launch failed requeued held", "pending: REASON: held since it was requeued too often: scontrol release 70_3"),
    ],
)
def test_reasons_are_sentences(reason: str, said: str) -> None:
    assert _why_it_waits(Told("PENDING", reason), begun=False).startswith(said.replace("REASON", reason))


STOPPED = {"array": "a", "ended": "2026-11-25T13:22:00Z", "how": "stopped"}
KILLED = {"array": "a"}
ENDS: list[tuple[str | None, dict[str, Any] | None, str, str, str | None]] = [
    ("CANCELLED", KILLED, "", "cancelled", None),
    ("CANCELLED", None, "", "ended", None),
    ("FAILED", STOPPED, "", "ended", None),
    ("COMPLETED", None, "", "ended", None),
    (None, None, "", "ended", None),
    (None, KILLED, "", "ended", None),
    ("OUT_OF_MEMORY", KILLED, "", "failed", "out_of_memory"),
    ("FAILED", KILLED, "slurmstepd: error: Step 5.0 exceeded virtual memory limit", "failed", "out_of_memory"),
    ("FAILED", KILLED, "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=5.0", "failed", "out_of_memory"),
    (None, KILLED, "slurmstepd: error: Exceeded job memory limit", "failed", "out_of_memory"),
    ("TIMEOUT", KILLED, "", "failed", "time_limit"),
    ("NODE_FAIL", KILLED, "", "failed", "node_failure"),
    ("PREEMPTED", KILLED, "", "failed", "preempted"),
    ("PREEMPTED", STOPPED, "", "ended", None),
    ("FAILED", None, "python: command not found", "failed", "never_began"),
    (None, None, "python: command not found", "failed", "never_began"),
]


@pytest.mark.parametrize(("state", "attempt", "out", "now", "cause"), ENDS)
def test_what_an_end_comes_to(
    tmp_path: Path, state: str | None, attempt: dict[str, Any] | None, out: str, now: str, cause: str | None
) -> None:
    (tmp_path / "out").write_text(out)
    found = verdict(Told(state) if state else None, attempt, traces(tmp_path))
    assert found.state == now and (found.error or {}).get("cause") == cause
    if cause == "never_began":
        assert found.error is not None and "command not found" in found.error["message"]


def slurm(**words: Any) -> RunConfig:
    config = compose_run([*TINY, "cluster=slurm"])
    cluster = validate(ClusterConfig, {**config.cluster.model_dump(), **words})
    return config.model_copy(update={"cluster": cluster})


def asked(*configs: RunConfig) -> list[tuple[RunFolder, RunConfig]]:
    return [(RunFolder(Path(f"r-{n:010x}"), f"{n:010x}"), config) for n, config in enumerate(configs)]


def shape(found: list[Request]) -> list[tuple[int, int | None, int | None]]:
    return [(len(request.runs), request.parallel, request.after) for request in found]


def test_one_array_for_each_request_below_the_largest() -> None:
    same, big = slurm(), slurm(mem="9G")
    assert shape(requests(asked(*[same] * 5, big), 1001)) == [(5, None, None), (1, None, None)]
    assert shape(requests(asked(*[same] * 5), 2)) == [(2, None, None), (2, None, None), (1, None, None)]
    six = slurm(max_parallel=6)
    assert shape(requests(asked(*[six] * 5), 2)) == [(2, 2, None), (2, 2, None), (1, 1, None)]  # 6 at most
    one = slurm(max_parallel=2)
    assert shape(requests(asked(*[one] * 5), 2)) == [(2, 1, None), (2, 1, None), (1, 1, 0)]  # the third waits


def test_arrays_of_one_sweep_share_what_may_run_at_a_time(tmp_path: Path) -> None:
    """A second submission takes what the first leaves of max_parallel, or begins after it."""

    def array(runs: int, parallel: int) -> Array:
        job = Job("0123456789", "r-0123456789", {}, [], "/", "/", "/", sweep="s")
        made = new_array(tmp_path, "s", [job] * runs, parallel)
        made.note_id("77")
        assert read_array(made.folder) == made
        return made

    four = asked(*[slurm(max_parallel=4)] * 6)
    (request,) = requests(four, 1001, [array(5, 3)], ended=1)
    assert (request.parallel, request.behind) == (1, ())
    (request,) = requests(four, 1001, [array(5, 3)], ended=4)  # one is left, whatever it might have run at a time
    assert (request.parallel, request.behind) == (3, ())
    (request,) = requests(four, 1001, [array(5, 4)], ended=1)
    assert (request.parallel, request.behind) == (4, ("77",))
    (request,) = requests(asked(*[slurm()] * 6), 1001, [array(5, 4)], ended=1)
    assert (request.parallel, request.behind) == (None, ())


def test_times_and_settings() -> None:
    times = {"1:30": 90, "12:00:00": 43200, "2-00:00:00": 172800, "1-12": 129600, "1-02:30": 95400}
    assert {text: slurm(timeout=text, signal_seconds=60).cluster.seconds for text in times} == times
    for words, message in (
        ({"timeout": 45000}, r"cluster.timeout=45000: valid: a time in quotes, as in .*base 60"),
        ({"timeout": "soon"}, "cluster.timeout=soon: valid: a time in quotes"),
        ({"lanes": 2}, "cluster.lanes=2: has no use with cluster.kind=slurm; valid: cluster.max_parallel"),
        ({"kind": "local", "mem": "1G"}, "cluster.mem=1G: has no use with cluster.kind=local; valid: cluster=slurm"),
        ({"gres": "gpu:1", "gpus_per_node": 1}, "both ask for GPUs"),
        ({"mem": "lots"}, "cluster.mem=lots: valid: a number with its unit, as in 64G"),
        ({"timeout": "1:30"}, "cluster.signal_seconds=120: a run would be told to save before it has begun"),
        ({"partition": "a\n#SBATCH --uid=0"}, "partition"),
    ):
        with pytest.raises(ConfigError, match=message):
            slurm(**words)


def test_refusals_name_the_setting() -> None:
    request = Request(slurm(qos="fast").cluster, (), None)
    text = "sbatch: error: Batch job submission failed: Invalid qos specification"
    assert explained(text, request).startswith("cluster.qos=fast: Slurm refuses it: Invalid qos specification; valid: ")
    assert explained("sbatch: error: first\nsbatch: error: Batch job submission failed: so", request) == "sbatch: first"


def test_limits_say_how_many_runs_are_left_out() -> None:
    many = Request(slurm(timeout="2:00:00").cluster, asked(*[slurm()] * 3), None)
    said = explained("sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job", many)
    assert said.startswith("sbatch: AssocMaxSubmitJobLimit: 3 runs left out; nothing is lost: the same command later")
    said = explained(
        "sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed: Job", many
    )
    assert said.startswith("cluster.timeout=2:00:00: Slurm refuses it: QOSMaxWallDurationPerJobLimit; valid: ")


def test_without_slurm_it_is_one_line(cli: Any, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("PATH", str(here))
    for words in (["train", *TINY], ["sweep", *TINY, "seed=0,1"], ["sweep", *TINY, "--plan"], ["doctor"]):
        done: Result = cli(*words, "cluster=slurm")
        assert done.code == 2, done.err
        assert done.err == (
            "simplify: cluster.kind=slurm: sbatch is not on this machine; valid here: cluster=local, or run this "
            "command on the cluster's login node\n"
        )
    assert not list(here.glob("runs/*-*"))


def test_a_run_that_is_renamed_while_it_waits(tmp_path: Path) -> None:
    """Its files are read where they are, and a cancellation names the folder that is there."""
    ended, stopped = (make_run(tmp_path, [f"seed={n}"], falling(4.0), end) for n, end in enumerate(("done", "stopped")))
    jobs = [Job(folder.name[-10:], folder.name, {}, [], "/", "/", "/") for folder in (ended, stopped)]
    array = new_array(tmp_path, "s", jobs)
    for folder, name in ((ended, "kept"), (stopped, "my favourite")):
        folder.rename(tmp_path / name)
    board = SlurmBoard(tmp_path)
    assert [board.folder(element).name for _, element in board.elements()] == ["kept", "my favourite"]
    assert cancel(Queue(tmp_path), {job.run_id for job in jobs}).dequeued == ["my favourite"]
    assert not array.cancelled(0).exists() and array.cancelled(1).exists()
