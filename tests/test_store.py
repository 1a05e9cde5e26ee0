"""Looking at runs: choosing them by words, tables, RunStore, what tells runs apart, cleaning up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from hypothesis import given
from hypothesis import strategies as st
from lanes_tools import until
from test_imports import HEAVY, loaded

from simplify import RunStore
from simplify.cli.table import as_columns, cells, fitted
from simplify.compare.textplot import Curve, text_plot
from simplify.errors import UserError
from simplify.runs import process
from simplify.runs.facts import read_facts
from simplify.runs.files import write_json
from simplify.runs.process import SILENT_AFTER, is_alive, this_process
from simplify.runs.queue import Job, Queue
from simplify.runs.settings import differing_settings, flat
from simplify.runs.silence import forget_ranks, rank_heartbeat, silence_note
from simplify.runs.slurm_board import SlurmBoard
from simplify.runs.state import STATES, Board

Cli = Callable[..., Any]


@pytest.fixture
def runs(cli: Cli, here: Path) -> Path:
    """Three finished runs: two blocks, one of them at two learning rates."""
    for words in (["block=pre_ln"], ["block=sas"], ["block=sas", "optimiser.lr=3e-4"]):
        assert cli("train", *TINY, "train.steps=4", *words).code == 0
    return here / "runs"


def test_status_shows_what_varies_and_words_choose(cli: Cli, runs: Path) -> None:
    out = cli("status").out
    assert f"{runs}: 3 done" in out and "optimiser.lr" in out and "seed" not in out and out.count("4/4") == 3
    told = json.loads(cli("status", "--json", "block=sas", "optimiser.lr=0.0003").out)["runs"]
    assert [(run["block.name"], run["optimiser.lr"], run["step"]) for run in told] == [("sas", 3e-4, 4)]
    assert "optimiser.lr" not in cli("status", told[0]["id"][:6]).out  # one run has nothing that varies
    assert len(json.loads(cli("status", "--json", "block=sas,pre_ln", "state=done").out)["runs"]) == 3
    assert cli("status", f"run_root={runs}", "block=pre_ln").out.count("pre_ln-") == 1
    assert len(json.loads(cli("status", "--json", "block=sas", "block=pre_ln").out)["runs"]) == 3
    assert len(json.loads(cli("status", "--json", "block.value=identity").out)["runs"]) == 2  # a matrix by its kind
    for words, message in (
        (["block.value=nil"], "block.value=nil: no run has that; found among 3 runs: dense, identity"),
        (["lr=1"], "lr=1: did you mean optimiser.lr? no run has the setting lr; valid: state, block"),
        (["block=sos"], "block=sos: no run has that; found among 3 runs: pre_ln, sas"),
        (["optimiser.rl=1"], "optimiser.rl=1: did you mean optimiser.lr? no run has the setting optimiser.rl"),
        (["zzz"], "zzz: no run of that name or id in "),
        (["none.yaml"], "none.yaml: no such file; valid: "),
    ):
        done = cli("status", *words)
        assert done.code == 2 and message in done.err and done.err.count("\n") == 1, done.err


def test_runs_are_chosen_by_path_too(cli: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `why .` is: from inside a run folder, where there is no runs/, and under another name elsewhere."""
    one, *others = sorted(path for path in runs.iterdir() if not path.name.startswith("."))
    moved = others[0].rename(runs.parent / "my best run")
    monkeypatch.chdir(one)
    assert [run["name"] for run in json.loads(cli("status", "--json", ".").out)["runs"]] == [one.name]
    out = cli("report", ".", "--out", str(runs.parent / "out"))
    assert out.code == 0 and [*(runs.parent / "out").glob("*.html")], out.err
    both = json.loads(cli("status", "--json", str(moved), f"../{others[1].name}/", "--run-root", "..").out)["runs"]
    assert {run["name"] for run in both} == {moved.name, others[1].name}
    assert cli("status", ".", "seed=7").code == 2 and cli("status", "..").code == 2


def test_words_of_the_other_verbs(cli: Cli, runs: Path) -> None:
    assert "nothing to cancel" in cli("cancel", "block=sas").out
    assert "nothing to train again" in cli("retry").out
    for words, message in (
        (["cancel"], "cancel: which runs?"),
        (["why", "sas"], "names 2 runs in "),
        (["logs", "pre_ln"], "has no log.txt (done); a lane writes one"),
        (["data", "prepare", "codeparott"], "did you mean codeparrot?"),
        (["data", "fetch", "codeparrot"], "valid: simplify data prepare NAME"),
    ):
        done = cli(*words)
        assert done.code == 2 and message in done.err and done.err.count("\n") == 1, done.err
    assert "done" in cli("why", "pre_ln").out
    assert f"{runs}/pre_ln" in cli("why", "pre_ln").out


def test_looking_loads_nothing_heavy(cli: Cli, runs: Path) -> None:
    assert cli and runs
    for words in (["status"], ["why", "pre_ln"], ["status", "--json", "block=sas"], ["cancel", "block=sas"]):
        assert loaded(*words) & HEAVY == set(), words
    assert loaded("status") & {"hydra", "numpy", "tokenizers", "submitit"} == set()


def test_run_store_as_tables(runs: Path) -> None:
    store = RunStore(runs)
    frame = store.frame()
    assert sorted(frame["block.name"]) == ["pre_ln", "sas", "sas"] and set(frame["state"]) == {"done"}
    assert {"val/loss", "optimiser.lr", "seed", "id", "attempts"} <= set(frame.columns)
    metrics = store.metrics()
    assert len(metrics) == 3 * 4 and set(metrics["id"]) == set(frame["id"])
    (one,) = store.runs([str(frame["id"][0])])
    assert one.run_id == frame["id"][0] and one.share == 1.0 and one.seconds_left is None
    assert RunStore(runs / "nowhere").runs() == []


def test_run_store_without_pandas(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(UserError, match="needs pandas; pip install pandas"):
        RunStore(runs).frame()


def test_states_from_files(tmp_path: Path) -> None:
    """Each state from the files that make it, and in doubt never `running`."""
    folder = tmp_path / "sas-nano-0123456789"
    folder.mkdir()

    def state() -> str:
        return Board(tmp_path).state("0123456789", folder)

    me = this_process()
    seen = [state()]
    write_json(folder / "job.json", {"attempts": [{**me, "started": "now", "from_step": 0}]})
    seen.append(state())
    dead = {**me, "born": "another-boot-1"}  # the pid lives, but it is another process: as after a reboot
    write_json(folder / "job.json", {"attempts": [dead]})
    seen.append(state())
    elsewhere = {**me, "host": "elsewhere"}
    write_json(folder / "job.json", {"attempts": [elsewhere]})
    seen.append(state())  # nothing was ever heard from there
    (folder / "heartbeat").touch()
    seen.append(state())
    old = (folder / "heartbeat").stat().st_mtime - SILENT_AFTER - 1
    os.utime(folder / "heartbeat", (old, old))
    seen.append(state())
    write_json(folder / "job.json", {"attempts": [{**me, "ended": "then"}]})
    seen.append(state())
    write_json(folder / "cancelled.json", {})
    seen.append(state())
    write_json(folder / "error.json", {"cause": "exception"})
    seen.append(state())
    job = Job("0123456789", folder.name, {}, [], "/", "/", "/")
    assert Queue(tmp_path).add([job]) == 1 and Queue(tmp_path).add([job]) == 0
    seen.append(state())
    write_json(folder / "done.json", {})
    seen.append(state())
    assert seen == [
        *("new", "running", "lost", "lost", "running", "lost", "stopped", "cancelled", "failed", "queued", "done")
    ]
    assert set(seen) == set(STATES) - {"unknown"}  # only Slurm can be asked in vain
    assert is_alive(me) and not is_alive({**me, "pid": 2**22 + 1})


def test_claims_are_exclusive_and_worth_as_much_as_their_lane(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    queue.add([Job(f"{n:010x}", f"sas-nano-{n:010x}", {}, [], "/", "/", "/") for n in range(3)])
    living = {**this_process(), "lane": "here-0"}
    dead = {**living, "born": "another-boot-1", "lane": "here-1"}
    nobody = lambda *_: False  # noqa: E731
    first, second = queue.take(living, nobody), queue.take(dead, nobody)
    assert first and second and (first[0].run_id, second[0].run_id) == ("0000000000", "0000000001")
    again = queue.take(living, nobody)  # the dead lane's claim is void
    assert again and again[0].run_id == "0000000001"
    queue.unclaim("0000000001")
    (tmp_path / ".claims" / "0000000001.json").write_text("")  # killed while it was being written
    assert (queue.take(living, nobody) or again)[0].run_id == "0000000001"
    next(iter(queue.waiting().values())).write_text("{torn")
    queue.unclaim("0000000000")
    last = queue.take(living, nobody)
    assert last and last[0].run_id == "0000000002"
    assert queue.take(living, nobody) is None and "0000000000" not in queue.waiting()


def test_what_tells_runs_apart() -> None:
    def config(block: str, alpha: float, layers: int, seed: int) -> dict[str, Any]:
        return {
            "block": {"name": block, "alpha": alpha},
            "model": {"name": "nano", "n_layers": layers},
            "seed": seed,
            "cluster": {"lanes": seed},
            "train": {"steps": 1},
        }

    found = differing_settings([config("a", 1, 4, 0), config("b", 2, 4, 0), config("b", 2, 16, 1)])
    assert found == [
        {"block": "a", "model.n_layers": 4, "seed": 0},
        {"block": "b", "model.n_layers": 4, "seed": 0},
        {"block": "b", "model.n_layers": 16, "seed": 1},
    ]
    assert differing_settings([config("a", 1, 4, 0), config("a", 2, 4, 0)]) == [{"block.alpha": 1}, {"block.alpha": 2}]
    assert differing_settings([config("a", 1, 4, 0), {}])[1]["model"] is None
    some = [{"block": {"w": value}} for value in ({"kind": "reparam", "init": "identity"}, None)]
    assert differing_settings(some) == [{"block.w": "reparam"}, {"block.w": None}]
    assert flat({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b": {"c": 1}, "d": 2}


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=0, max_size=30), max_size=4),
    st.integers(1, 80),
    st.integers(2, 20),
)
def test_any_curve_is_drawn_inside_its_frame(values: list[list[float]], width: int, height: int) -> None:
    curves = [Curve(list(range(len(ys))), ys, "red") for ys in values]
    lines = text_plot(curves, width, height, "loss").plain.splitlines()
    if any(len(ys) > 1 for ys in values):
        assert len(lines) == height + 2
        assert any("\u2800" < c <= "\u28ff" for line in lines for c in line)
    else:
        assert lines == ["loss: not enough logged yet"]


def test_clean_shows_asks_and_keeps_what_is_needed(cli: Cli, runs: Path) -> None:
    assert cli("train", *TINY, "train.steps=4", "block=pre_ln", "--force").code == 0
    done = cli("clean")
    assert done.code == 2 and "1 folders set aside by --force" in done.out and "--yes removes" in done.err
    assert len(list(runs.glob("*.old-1"))) == 1
    assert "removed" in cli("clean", "--yes").out
    assert not list(runs.glob("*.old-1")) and len(list(runs.glob("*/checkpoint/*.pt"))) == 3
    assert cli("sample", "pre_ln", "--tokens", "2").code == 0
    assert "last checkpoints" in cli("clean", "--yes", "--checkpoints").out
    assert not list(runs.glob("*/checkpoint/*.pt")) and len(list(runs.glob("*/done.json"))) == 3
    assert "nothing to remove" in cli("clean", "--checkpoints").out


def test_a_data_set_that_is_not_here_is_named_with_its_command(cli: Cli, here: Path) -> None:
    pytest.importorskip("datasets")
    out = cli("sweep", *TINY[5:], "data=codeparrot", "block=pre_ln,sas", "--plan")
    line = "data=codeparrot: is not on this machine yet; simplify data prepare codeparrot gets it"
    assert out.code == 2 and f"simplify: left out: {line}\n" in out.err
    assert "pre_ln-gpt_nano-?" in out.out
    own = cli("sweep", *TINY[5:], "data=languini", "--plan").err
    assert "simplify data prepare languini --from DIR makes it from files of yours" in own
    started = cli("sweep", *TINY[5:], "data=codeparrot", "block=pre_ln,sas", "--yes")
    assert started.code == 2 and "simplify data prepare codeparrot gets it" in started.err
    assert not (here / "runs").exists()


def test_a_narrow_screen_shows_whole_numbers_or_none(runs: Path) -> None:
    """Columns go one after another, those that matter last; no number is ever cut."""
    whole = as_columns(cells(RunStore(runs).runs()))
    assert fitted(whole, 200) == (whole, [])
    found = fitted(whole, 100)
    assert found is not None
    narrow, gone = found
    assert {"run", "state", "step", "block", "lr"} <= set(narrow) and gone[0] == "device"
    assert {name.removeprefix("optimiser.") for name in whole} == {*narrow, *gone}
    least = fitted(whole, 56)
    assert least is not None and list(least[0]) == ["id", "block", "lr", "state", "step"]
    assert fitted(whole, 30) is None


def test_data_prepare(cli: Cli) -> None:
    out = cli("data", "prepare", "text", *TINY[1:5])
    assert out.code == 0 and "tokens (train " in out.out and "fingerprint" in out.out, out.err


def test_clean_says_what_it_could_not_remove(cli: Cli, here: Path) -> None:
    """A disk that may only be read: one line, and nothing is called removed that is there."""
    old = here / "runs" / "sas-0123456789.old-1"
    (old / "checkpoint").mkdir(parents=True)
    (old / "checkpoint" / "step-1.pt").write_bytes(bytes(2**21))
    if os.getuid():
        (old / "checkpoint").chmod(0o555)
        undo = ["chmod", "755", str(old / "checkpoint")]
    else:
        undo = ["umount", str(old)]
        if subprocess.run(["mount", "-o", "bind,ro", str(old), str(old)], capture_output=True).returncode:
            pytest.skip("needs the right to mount")
    try:
        done = cli("clean", "--yes")
    finally:
        subprocess.run(undo, check=True)
    assert done.code == 2 and "removed: 0 of 1, 0.0 MiB" in done.out
    assert "cannot be removed: " in done.err and len(done.err.splitlines()) == 1
    assert done.err.endswith("1 not removed: repair it, then the same command again\n")
    assert "removed: 1 of 1, 2.0 MiB" in cli("clean", "--yes").out and not old.exists()


def test_a_process_that_hangs_among_several_is_named(tmp_path: Path) -> None:
    for rank, seconds in ((1, 5), (2, 400), (11, 500)):
        path = rank_heartbeat(tmp_path, rank)
        path.touch()
        os.utime(path, (time.time() - seconds, time.time() - seconds))
    said = silence_note("0" * 10, tmp_path, read_facts(tmp_path), SlurmBoard(tmp_path))
    assert re.sub(r"\d\d:\d\d", "AT", said) == "process 2 silent since AT; process 11 silent since AT"
    forget_ranks(tmp_path)
    assert silence_note("0" * 10, tmp_path, read_facts(tmp_path), SlurmBoard(tmp_path)) == ""


def test_a_process_that_lives_and_does_nothing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its heartbeat goes on whatever its work does."""
    monkeypatch.setattr(process, "BEAT_EVERY", 0.02)
    monkeypatch.setattr(process, "_STILL_AFTER", 1.0)
    heartbeat, pulse = tmp_path / "heartbeat", process.Pulse()
    heartbeat.write_text("1")  # of an attempt that was killed

    def note() -> str:
        return silence_note("0" * 10, tmp_path, read_facts(tmp_path), SlurmBoard(tmp_path))

    with process.beating(heartbeat, pulse):
        pulse.on()
        assert note() == ""
        until(note)
        assert re.fullmatch(r"lives, but has stood still since \d\d:\d\d", note())
        assert abs((process.still_since(heartbeat) or 0) - time.time()) < 60
        pulse.on()
        until(lambda: not note() and not heartbeat.read_text())
