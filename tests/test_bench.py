"""`simplify bench`: honest statistics, and the command."""

from __future__ import annotations

import itertools
import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, TINY_MODEL
from scipy import stats
from torch.optim.optimizer import register_optimizer_step_pre_hook

from simplify.bench.build import build_all, choose_devices
from simplify.bench.memory import certain_bytes
from simplify.bench.record import Measured, entry
from simplify.bench.rounds import Terms, Times, Work, measure, order
from simplify.bench.statistics import (
    RESOLUTION,
    UNDECIDED,
    compare,
    least_rounds,
    median,
    median_interval,
    quantile,
    spread,
)
from simplify.bench.work import TrainingStep, Variant
from simplify.compare.speed import choose, remarks, speed_table
from simplify.compose import compose_run
from simplify.display.progress import quiet_meter
from simplify.errors import ConfigError
from simplify.runs.benches import read_benches

Cli = Callable[..., Any]
SHORT = 0.002  # seconds of a unit of time


def variants(*blocks: str, settings: Sequence[str] = ()) -> dict[str, Variant]:
    """Models of a few milliseconds a step, by `block` or `block again`."""
    words = [*TINY_MODEL, "train.batch_tokens=128", "cluster.cpu_threads=1", *settings]
    configs = {name: compose_run([*words, f"block={name.split()[0]}"]) for name in blocks}
    with quiet_meter() as meter:
        return build_all(configs, choose_devices(configs), False, meter)[0]


def timed(works: dict[str, Work], rounds: int) -> Times:
    return measure(works, Terms(rounds, unit_seconds=SHORT), lambda: None)


class Sleepy:
    """A work that takes a share longer than it does."""

    def __init__(self, work: Work, share: float) -> None:
        self._work, self._share, self._seen = work, share, list[float]()

    def prepare(self) -> None:
        self._work.prepare()

    def call(self) -> None:
        begin = time.perf_counter()
        self._work.call()
        self._seen.append(time.perf_counter() - begin)
        time.sleep(self._share * median(self._seen[-101:]))


def test_the_same_block_under_two_names_stays_within_the_stated_spread() -> None:
    """20 of 20, each time with new models."""
    decided = 0
    for _ in range(20):
        works: dict[str, Work] = {n: TrainingStep(v) for n, v in variants("pre_ln", "pre_ln again").items()}
        seconds = timed(works, 20).seconds
        ratio = compare(seconds["pre_ln"], seconds["pre_ln again"])
        assert ratio.low <= 1 <= ratio.high, ratio
        decided += ratio.verdict != UNDECIDED
    assert decided <= 1  # each with a chance below 1 in 1000


def test_a_sleep_of_five_percent_is_detected() -> None:
    """With as many rounds as this machine needs: it says so itself, and never the wrong way round."""
    found = variants("sas", "sas again")
    works: dict[str, Work] = {
        "plain": TrainingStep(found["sas"]),
        "sleepy": Sleepy(TrainingStep(found["sas again"]), 0.05),
    }
    rounds = 60
    while True:
        seconds = timed(works, rounds).seconds
        ratio = compare(seconds["plain"], seconds["sleepy"])
        if ratio.verdict != UNDECIDED:
            break
        assert f"--rounds {4 * rounds}" in ratio.why or "no difference above" in ratio.why
        assert rounds < 2000, ratio
        rounds *= 2
    assert ratio.verdict == "slower" and 0.8 < ratio.median < 1


@pytest.mark.parametrize("count", [8, 11, 12, 40, 161])
@pytest.mark.parametrize("confidence", [0.95, 0.99, 0.999])
def test_the_interval_of_the_median_by_scipy(count: int, confidence: float) -> None:
    values = np.random.RandomState(count).lognormal(size=count).tolist()
    found = median_interval(values, confidence)
    assert (found is None) == (count < least_rounds(confidence))
    theirs = stats.quantile_test(values, p=0.5).confidence_interval(confidence)
    if found is None:
        assert np.isnan(theirs.low) or np.isnan(theirs.high)
        return
    assert found == (theirs.low, theirs.high)
    below = sorted(values).index(found[0])  # P(true median < the low end) is that of so few values below it
    assert 2 * stats.binom.cdf(below, count, 0.5) <= 1 - confidence < 2 * stats.binom.cdf(below + 1, count, 0.5)


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    random, inside = np.random.RandomState(0), 0
    for _ in range(2000):
        found = median_interval(random.standard_exponential(25).tolist(), 0.95)
        assert found is not None
        inside += found[0] <= np.log(2) <= found[1]
    assert stats.binomtest(inside, 2000, 0.95, alternative="less").pvalue > 0.001


def test_quantiles_by_numpy() -> None:
    values = np.random.RandomState(1).rand(17).tolist()
    for share in (0.0, 0.1, 0.33, 0.5, 0.9, 1.0):
        assert quantile(values, share) == pytest.approx(float(np.quantile(values, share)))
    assert spread(values) == pytest.approx(tuple(np.quantile(values, [0.1, 0.9])))


def test_pairing_takes_out_what_slows_a_whole_round() -> None:
    random = np.random.RandomState(2)
    mood = np.exp(random.randn(40))  # a machine that is twice as slow from one round to the next
    base, faster = mood * (1 + 0.01 * random.rand(40)), mood / 1.05 * (1 + 0.01 * random.rand(40))
    ratio = compare(base.tolist(), faster.tolist())
    assert ratio.verdict == "faster" and ratio.median == pytest.approx(1.05, abs=0.01)
    assert compare(faster.tolist(), base.tolist()).verdict == "slower"
    exact = compare([1.0] * 40, [1.0] * 40)
    assert exact.verdict == UNDECIDED and exact.high == pytest.approx(1 + RESOLUTION)
    assert compare([1.0] * 40, [1 / (1 + 0.9 * RESOLUTION)] * 40).verdict == UNDECIDED
    few = compare([2.0] * 10, [1.0] * 10)
    assert few.verdict == UNDECIDED and "10 rounds are too few" in few.why


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_variant_has_each_place_and_each_neighbour(count: int) -> None:
    names = [f"v{i}" for i in range(count)]
    rounds = [order(names, number) for number in range(2 * count)]
    for place in range(count):
        assert sorted(found[place] for found in rounds) == sorted(names * 2)
    pairs = [pair for found in rounds for pair in itertools.pairwise(found)]
    assert all(pairs.count((b, a)) == pairs.count((a, b)) for a, b in pairs)


def test_the_split_multiplies_to_the_ratio() -> None:
    seconds = [1 + 0.01 * i for i in range(20)]
    base = Measured(seconds, [2.0, 1.0], 100, 3e6)
    own = Measured([s * 1.6 for s in seconds], [2.0, 1.0], 200, 2e6)  # twice the tokens in 1.6 times the time
    found = entry(own, base, ceiling=1e9)
    assert found["ratio"]["median"] == pytest.approx(1.25) and found["split"]["flops"] == pytest.approx(1.5)
    assert found["split"]["flops"] * found["split"]["overhead"] == pytest.approx(1.25)
    assert found["mfu"] == pytest.approx(found["tokens_per_second"] * 2e6 / 1e9)
    assert entry(own, None, None)["ratio"] is None


def test_what_a_step_does_is_training() -> None:
    """The trainer's own step: it asks for every micro-batch and updates once."""
    variant = variants("sas", settings=["train.micro_batch=4"])["sas"]  # of 8 sequences
    updates, passes = [], []
    variant.trainer.model.register_forward_pre_hook(lambda *_: passes.append(1))
    hook = register_optimizer_step_pre_hook(lambda *_: updates.append(1))
    try:
        TrainingStep(variant).call()
    finally:
        hook.remove()
    assert len(passes) == 2 and len(updates) == 1


def test_the_command(cli: Cli, here: Path) -> None:
    done = cli("bench", *TINY, "block=sas,pre_ln", "--only", "train,forward,decode", "--rounds", "12")
    assert done.code == 0, done.err
    (bench,) = read_benches(here / "runs")
    record = bench.record
    assert record["baseline"] == "pre_ln" and set(record["variants"]) == {"sas", "pre_ln"}
    assert set(record["modes"]) == {"train", "forward", "decode_1", "decode_8"} and record["skipped"] == {}
    for mode in record["modes"].values():
        assert all(len(said["seconds"]) == 12 and said["first_call"] > 0 for said in mode["variants"].values())
        assert mode["variants"]["pre_ln"]["ratio"] is None and mode["variants"]["sas"]["ratio"]["median"] > 0
    for variant in record["variants"].values():
        assert variant["memory"] is None
        assert variant["key"] == {**variant["key"], "threads": 1, "precision": "fp32", "compile": "eager"}
    assert record["modes"]["decode_8"]["what"].endswith("after a prompt of 8, cached, eager")
    assert 0 < record["modes"]["train"]["variants"]["sas"]["mfu"] < 1
    assert record["code"] and record["versions"]["torch"] and record["ceiling"]["fp32"]["shape"]
    for text in ("decoding, batch 8", "baseline", "not in the times", "MFU is of"):
        assert text in done.out
    assert bench.path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    speed = choose([bench], blocks=["sas", "pre_ln"])
    assert speed is not None and [e.name for e in speed.entries] == ["pre_ln", "sas"]
    assert len(speed_table(speed, ["train"])) == 1 + 2 and not speed.footnotes
    assert all("not decided" in line for line in remarks(speed))


def test_memory_is_that_of_the_model_alone(cli: Cli, here: Path) -> None:
    """Weights, gradients and moments, and little else with one short sequence; this process is larger than that."""
    words = ["model.d_model=512", "model.d_ff=2048", "train.batch_tokens=16", "block=pre_ln", "--only", "memory"]
    done = cli("bench", *TINY, *words)
    (bench,) = read_benches(here / "runs")
    found = bench.record["variants"]["pre_ln"]
    assert bench.record["modes"] == {} and "peak memory of training: pre_ln" in done.out and "picture" not in done.out
    config = compose_run([*TINY, *words[:4]])
    assert found["parameters"] > 6e6
    assert 1 <= found["memory"]["bytes"] / certain_bytes([config]) < 1.3


def test_other_axes_json_and_encoders(cli: Cli, here: Path) -> None:
    words = [*TINY, "--rounds", "2", "--json"]
    done = cli("bench", *words, "block=sas", "model.n_layers=1,2", "--only", "forward")
    assert done.code == 0
    record = json.loads(done.out)
    assert record["schema"] == "simplify.bench/1"
    assert record["baseline"] == "n_layers=1" and list(record["variants"]) == ["n_layers=1", "n_layers=2"]
    split = record["modes"]["forward"]["variants"]["n_layers=2"]["split"]
    assert 0.5 < split["flops"] < 1
    done = cli("bench", *words[:-1], "model.kind=encoder", "--only", "train,decode", "--twin")
    assert (
        done.code == 0
        and "sas again" in done.out
        and "decode_1: not measured: an encoder" in done.out
        and "training" in done.out
    )
    assert len(read_benches(here / "runs")) == 2


def test_what_is_not_the_same_gets_no_ratio(cli: Cli) -> None:
    words = ["block=sas", "train.precision=fp32,bf16", "--only", "train", "--rounds", "2", "--json"]
    record = json.loads(cli("bench", *TINY, *words).out)
    assert set(record["ceiling"]) == {"fp32", "bf16"}
    assert record["modes"]["train"]["variants"]["precision=bf16"]["ratio"] is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_bench_that_is_stopped_leaves_nothing(spawn: Cli, here: Path, how: signal.Signals) -> None:
    bench = spawn("bench", *TINY, "block=pre_ln,sas", "--only", "train", "--rounds", "1000000")
    assert bench.stdout is not None
    assert any("1000000 rounds" in line for line in bench.stdout)
    bench.send_signal(how)
    _, err = bench.communicate(timeout=30)
    assert bench.returncode != 0 and "Traceback" not in err
    assert list((here / "runs").rglob("*")) in ([], [here / "runs" / ".bench"])


def test_what_the_command_refuses(cli: Cli) -> None:
    for words, message in (
        (["block=sas,post"], "block=post: did you mean post_ln?"),
        (["sas"], "sas: not understood; valid: key=value"),
        (["--only", "trian"], "--only=trian: did you mean train? valid: train, forward, decode, memory"),
        (["--baseline", "sas_p"], "--baseline=sas_p: did you mean sas? valid: sas"),
        (["cluster.cpu_threads=1,2"], "cluster.cpu_threads=1,2: several in one bench"),
        (["train.device=cpu,auto"], "train.device=auto,cpu: several in one bench"),
        (["model.n_layers=0"], "model.n_layers=0: needs a number >= 1"),
        (["model.n_layers=96", "model.d_model=32768"], "bench: 1 models of model=gpt_nano do not fit into memory"),
    ):
        done = cli("bench", *words)
        assert done.code == 2 and message in done.err and done.err.count("\n") == 1, done.err


def test_memory_that_runs_out_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("simplify.bench.build.build_variant", full)
    with pytest.raises(ConfigError, match=r"2 models of .* do not fit into memory together: pre_ln did not; valid"):
        variants("pre_ln", "sas")
