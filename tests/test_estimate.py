"""The time a sweep will take: seen, measured once and kept, scaled, or from FLOPs; never in the way of a plan."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, rows, run_folder

from simplify.cli.plan import busy
from simplify.compose import compose_run
from simplify.config import RunConfig
from simplify.runs.store import RunStore
from simplify.sweep.estimate import PROBES, Estimate, Terms, estimate_times
from simplify.sweep.seen import Seen, seen_in
from simplify.sweep.work import work_of
from simplify.zoo.counts import count_flops

Asked = list[list[dict[str, Any]]]
QUIET = ["train.val_every=1000000", "train.val_sequences=1"]  # next to no validation


@pytest.fixture(autouse=True)
def timings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, with nothing measured yet."""
    monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "timing"


def no_process(*_: Any, **__: Any) -> Any:
    raise AssertionError("a process was started")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the measuring process is asked; in its place a step takes n_layers seconds, and 13 layers kill it."""
    found: Asked = []

    def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        if "input" not in options:  # nvidia-smi
            raise FileNotFoundError(words[0])
        found.append(json.loads(options["input"]))
        depths = [config["model"]["n_layers"] for config in found[-1]]
        alive = depths[: depths.index(13)] if 13 in depths else depths
        lines = "".join(json.dumps({"step_seconds": float(n)}) + "\n" for n in alive)
        return subprocess.CompletedProcess(words, -9 if 13 in depths else 0, lines.encode(), b"")

    monkeypatch.setattr("simplify.sweep.measured.subprocess.run", run)
    return found


def tiny(*words: str) -> RunConfig:
    return compose_run([*TINY, *QUIET, "train.device=cpu", *words])


def estimate_seconds(configs: list[RunConfig], lanes: int = 1, **terms: Any) -> Estimate:
    """By measured steps alone."""
    return estimate_times(configs, Terms(lanes, measure=True, product=False, **terms))


def deep(*depths: int) -> list[RunConfig]:
    return [tiny("train.steps=1", f"model.n_layers={n}") for n in depths]


def torch_alone() -> float:
    """GiB that a process holds once it has loaded torch, which differs between torch's builds."""
    status = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    done = subprocess.run([sys.executable, "-c", f"import torch; {status}"], capture_output=True, text=True, check=True)
    return int(done.stdout) / 2**20


def test_a_measured_step_takes_what_a_trained_one_takes(
    here: Path, spawn: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*TINY, *QUIET, "train.device=cpu", "train.steps=100", "train.log_every=2"]
    assert spawn("train", *words).wait(timeout=60) == 0
    trained = [row["step_time"] for row in rows(run_folder(here)) if "step_time" in row]
    peaks = [row["peak_mem_gib"] for row in rows(run_folder(here))]
    own = max(peaks) - torch_alone()
    assert 0 < own < 0.15, f"a run of next to nothing holds {own} GiB beside torch: see benchmarks/resident.py"
    broken = compose_run([*words, "train.precision=fp16"])  # a CPU has none: known only to the measuring process
    first = estimate_seconds([broken, compose_run(words)])
    unknown, seconds = first.seconds
    # The fastest and the slowest, not the median: other work on the machine may hit one of the two alone.
    assert seconds is not None and min(trained) / 4 < seconds / 100 < 4 * max(trained)
    assert unknown is None and first.problem is not None
    assert first.problem.startswith("1 of 2 training times is unknown: train.precision=fp16: has no use on a CPU")
    monkeypatch.setattr("simplify.sweep.measured.subprocess.run", no_process)
    assert estimate_seconds([broken, compose_run(words)]).seconds == first.seconds
    longer = compose_run([*words, "seed=7", "optimiser.lr=1e-4", "train.steps=200"])
    assert estimate_seconds([longer]).seconds == (pytest.approx(2 * seconds, rel=1e-3),)
    # What a run here took says it better; one on two threads says nothing of one.
    seen = seen_in(here / "runs", RunStore(here / "runs").runs())
    (of_runs,) = estimate_times([longer], Terms(seen=seen)).times
    assert of_runs is not None and of_runs.how == "runs" and min(trained) < of_runs.seconds / 200 < max(trained)
    (other,) = estimate_times([compose_run([*words, "cluster.cpu_threads=2"])], Terms(seen=seen, product=False)).times
    assert other is None


def test_a_measurement_serves_encoders_small_micro_batches_and_both_precisions() -> None:
    from simplify.training.timing import step_seconds

    shallow = tiny("model.n_layers=1", "train.micro_batch=2")
    assert shallow.grad_accum == 4
    for config in (shallow, tiny("model.kind=encoder"), tiny("train.precision=bf16", "train.compile=true")):
        assert 1e-5 < step_seconds(config) < 10


def test_hours_need_no_measurement(timings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simplify.sweep.measured.subprocess.run", no_process)
    hours = tiny("train.steps=null", "train.hours=1.5")
    assert estimate_seconds([hours, hours]).seconds == (5400.0, 5400.0)
    assert estimate_seconds([]) == estimate_times([]) == Estimate(())
    assert not timings.exists()


def test_a_few_sizes_are_measured_and_the_others_scaled(asked: Asked) -> None:
    depths = [10, 1, 9, 2, 3, 4, 5, 6, 7, 8]
    configs = deep(*depths)
    estimate = estimate_seconds(configs)
    assert [c["model"]["n_layers"] for c in asked[0]] == [1, 4, 7, 10]  # at most PROBES, small ones first
    assert len(asked) == 1 and len(asked[0]) == PROBES and estimate.problem is None
    flops = {n: count_flops(c.block, c.model, c.data.vocab_size) for n, c in zip(depths, configs, strict=True)}
    found = dict(zip(depths, estimate.seconds, strict=True))
    validated = 1 + 1 / 8 / 3  # one sequence at the end, of the 8 of a step, a third of its cost
    assert [found[n] for n in (1, 4, 7, 10)] == pytest.approx([n * validated for n in (1, 4, 7, 10)])
    assert found[9] == pytest.approx(10 * validated * flops[9] / flops[10])
    assert found[6] == pytest.approx(7 * validated * flops[6] / flops[7])
    assert estimate_seconds(configs).seconds == estimate.seconds and len(asked) == 1
    hows = [time and (time.how, time.low < time.seconds < time.high) for time in estimate.times]
    assert hows == [("steps" if n in (1, 4, 7, 10) else "similar", True) for n in depths]


def test_measuring_is_announced_and_only_then(asked: Asked) -> None:
    told: list[str] = []
    estimate_seconds(deep(1, 2), note=told.append)
    assert told[0] == "measuring a step of 2 models on this machine, once; big models take up to a minute or two"
    estimate_seconds(deep(1, 2), note=told.append)
    assert len(told) == len(asked) == 1


def test_times_are_not_scaled_from_another_device(asked: Asked) -> None:
    slow, fast = deep(2)[0], tiny("train.steps=1", "model.n_layers=4", "cluster.cpu_threads=2")
    estimate_seconds([slow, *deep(3, 4, 5, 6), fast])
    assert sorted((c["cluster"]["cpu_threads"], c["model"]["n_layers"]) for c in asked[0]) == [(1, 2), (1, 6), (2, 4)]
    many = [tiny("train.steps=1", f"cluster.cpu_threads={n}") for n in range(1, 8)]
    estimate = estimate_seconds(many)
    assert estimate.seconds.count(None) == 3 and "nothing is known of this device" in str(estimate.problem)


def test_lanes_share_the_threads(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("machine", "sweep.places"):
        monkeypatch.setattr(f"simplify.{module}.cores", lambda: 8)
    free = tiny("cluster.cpu_threads=null")
    same = [estimate_seconds([free], lanes).seconds for lanes in (1, 2, 4)]
    assert len(asked) == 1 and len(set(same)) == 1  # OMP_NUM_THREADS is said by the shell: the lanes do not change it
    (alone,), (crowd,) = same[0], estimate_seconds([free], 16).seconds  # two of them on each core
    assert alone and crowd == pytest.approx(2 * alone)
    monkeypatch.delenv("OMP_NUM_THREADS")
    for lanes in (1, 2, 4, 2):
        estimate_seconds([free], lanes)
    assert len(asked) == 4


def test_one_that_kills_its_process_does_not_lose_the_others(asked: Asked) -> None:
    estimate = estimate_seconds(deep(12, 13, 14))
    assert [second is None for second in estimate.seconds] == [False, True, False]
    assert "signal 9 (most likely for want of memory)" in str(estimate.problem)
    assert [[c["model"]["n_layers"] for c in question] for question in asked] == [[12, 13, 14], [14]]
    again = estimate_seconds(deep(12, 13, 14))
    assert again.seconds == estimate.seconds and len(asked) == 2  # nor is it tried again at once


def test_a_damaged_file_is_measured_again(timings: Path, asked: Asked) -> None:
    good = estimate_seconds(deep(2))
    (file,) = timings.iterdir()
    for text in ("", "{", "[]", '{"step_seconds": -1.0}', '{"step_seconds": "x"}', '{"error": "old", "until": 1.0}'):
        file.write_text(text)
        assert estimate_seconds(deep(2)).seconds == good.seconds
    assert len(asked) == 7


def test_a_cache_that_cannot_be_written_is_no_error(timings: Path, asked: Asked) -> None:
    timings.parent.mkdir()
    timings.write_text("a file where the folder belongs")
    assert estimate_seconds(deep(2)).problem is None
    assert estimate_seconds(deep(2)).problem is None and len(asked) == 2


@pytest.mark.parametrize("failure", ["timeout", "no program", "no torch"])
def test_what_cannot_be_measured_is_unknown(failure: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def late(words: list[str], **options: Any) -> Any:
        if "input" not in options:
            raise FileNotFoundError(words[0])
        raise subprocess.TimeoutExpired(words, options["timeout"], output=b'{"step_seconds": 2.0}\n{"step_')

    if failure == "timeout":
        monkeypatch.setattr("simplify.sweep.measured.subprocess.run", late)
    elif failure == "no program":
        monkeypatch.setattr("simplify.sweep.measured.sys.executable", str(tmp_path / "python"))
    else:
        (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    estimate = estimate_seconds(deep(2, 3))
    # Of the one that took too long only the measured one's time is known, and that it is scaled.
    known = {"timeout": [True, True], "no program": [False, False], "no torch": [False, False]}[failure]
    assert [second is not None for second in estimate.seconds] == known
    reason = {"timeout": "longer than 120 s", "no program": "cannot be started", "no torch": "No module named 'torch'"}
    assert reason[failure] in str(estimate.problem) and "\n" not in str(estimate.problem)


def test_without_a_step_flops_and_one_product_answer_at_once(timings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The product is real; so what is told of a step is held against one that is made in this process."""
    from simplify.training.timing import step_seconds

    small, big = compose_run(["train.device=cpu", "model=gpt_nano", "train.micro_batch=4"]), deep(1)[0]
    paper = compose_run(["train.device=cpu", "model=gpt_small", "model.n_layers=72"])
    times = estimate_times([small, big, paper], Terms()).times
    assert [time and time.how for time in times] == ["flops"] * 3 and len(list(timings.iterdir())) == 1
    known = times[0]
    assert known is not None and small.total_steps
    step = step_seconds(small)
    assert known.low / small.total_steps / 2 < step < 4 * known.high / small.total_steps  # others compute here too
    monkeypatch.setattr("simplify.sweep.measured.subprocess.run", no_process)
    assert estimate_times([small], Terms(own_load=100)).seconds == estimate_times([small]).seconds


def test_what_was_seen_of_other_models_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simplify.sweep.measured.subprocess.run", no_process)
    (near,), (far,) = deep(2), deep(40)
    device = {"kind": "cpu", "precision": "fp32", "cpu_threads": 1}

    def estimated(*steps: tuple[RunConfig, float], in_a_run: bool = True, **other: Any) -> list[Any]:
        seen = [Seen(config, work_of(config), {**device, **other}, second, in_a_run) for config, second in steps]
        return [
            time and (time.how, round(time.seconds / time.low, 2))
            for time in estimate_times([near, far], Terms(seen=seen, product=False)).times
        ]

    assert estimated() == estimated((near, 1.0), kind="cuda") == [None, None]
    assert estimated((near, 1.0), precision="bf16") == estimated((near, 1.0), cpu_threads=3) == [None, None]
    assert estimated((near, 1.0)) == [("runs", 1.15), ("similar", 1.75)]  # 20 times as much work is less sure
    assert estimated((deep(3)[0], 1.0)) == [("similar", 1.5), ("similar", 1.75)]
    assert estimated((near, 1.0), in_a_run=False)[0] == ("steps", 1.3)


def test_other_work_on_the_machine_is_said_and_makes_times_less_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simplify.sweep.places.cores", lambda: 2)
    (config,) = deep(2)
    seen = [Seen(config, work_of(config), {"kind": "cpu", "precision": "fp32", "cpu_threads": 1}, 1.0, False)]
    found: list[float] = []
    for load in (0.0, 0.8, 2.0, 60.0):
        monkeypatch.setattr("simplify.sweep.places.os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        estimate = estimate_times([config], Terms(seen=seen))
        assert estimate.load == (load if load > 1 else 0.0) and len(busy(estimate)) == (load > 1)
        found += [time.high / time.seconds for time in estimate.times if time]
        assert estimate_times([config], Terms(seen=seen, own_load=load)).load == 0.0  # that is ourselves
    assert found == pytest.approx([1.3, 1.3 * 1.4, 1.3 * 2, 1.3 * 3])


def test_estimating_loads_no_torch() -> None:
    code = "import sys, simplify.sweep.estimate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0
