"""`train.precision=auto` on processors with and without bf16: what it comes to, that it says so, and that it stays."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, run_folder

from simplify.compose import compose_run
from simplify.runs.precision import Speed, auto_on_cpu
from simplify.training.bf16 import measure_bf16
from simplify.training.device import choose_device

Cli = Callable[..., Any]
AUTO = [*TINY, "train.precision=auto", "train.steps=2"]
FAST, SLOW = Speed(1.8, 1.7), Speed(0.01, 0.01)


@pytest.fixture
def cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives this machine another processor, of which nothing is known yet: with instructions for bf16 or without."""

    def become(*flags: str, speed: Speed = FAST) -> None:
        text = f"processor : 0\nmodel name : A CPU\nflags : fpu avx512f avx512_bf16x {' '.join(flags)}\n"
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr("simplify.machine._CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.setenv("SIMPLIFY_CACHE", str(tmp_path / f"cache {speed}"))
        for place in ("simplify.training.device", "simplify.cli.plan_time"):
            monkeypatch.setattr(f"{place}.measure_bf16", lambda: speed)

    return become


def decided(root: Path, measure: Callable[[], Speed | None], *words: str, keep: bool = True) -> tuple[str, str]:
    return auto_on_cpu(root, compose_run([*AUTO, *words]), measure, keep)[:2]


@pytest.mark.parametrize(
    ("flags", "speed", "words", "precision", "why"),
    [
        ("", FAST, [], "fp32", "this processor has neither amx_bf16 nor avx512_bf16"),
        ("avx512_bf16", FAST, [], "bf16", "has avx512_bf16, and a product of matrices is 1.8 times as fast in bf16"),
        ("amx_bf16 avx512_bf16", FAST, [], "bf16", "this processor has amx_bf16, and"),
        ("avx512_bf16", Speed(1.1, 1.05), [], "fp32", "is 1.1 times as fast in bf16 as in fp32: not clearly faster"),
        ("avx512_bf16", Speed(1.5, 0.8), [], "fp32", "not clearly faster"),
        ("avx512_bf16", None, [], "fp32", "but no product could be measured"),
        ("avx512_bf16", FAST, ["cluster=slurm"], "fp32", "a cluster's CPUs may differ"),
    ],
)
def test_bf16_where_it_is_clearly_faster(
    cpu: Any, tmp_path: Path, flags: str, speed: Speed | None, words: list[str], precision: str, why: str
) -> None:
    cpu(*flags.split())
    assert decided(tmp_path, lambda: speed, *words)[0] == precision
    found = decided(tmp_path, lambda: speed, *words)  # the same, if kept
    assert found[0] == precision and why in found[1]
    if speed is None:  # which is no answer for ever
        assert decided(tmp_path, lambda: FAST)[0] == "bf16"


def test_all_lanes_come_to_one_answer(cpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu("avx512_bf16")
    monkeypatch.setenv("SIMPLIFY_CACHE", "/proc/nowhere")  # so that each would measure for itself
    speeds = iter([Speed(1.3, 1.2), *[SLOW] * 7])
    with ThreadPoolExecutor(8) as lanes:
        answers = list(lanes.map(lambda _: decided(tmp_path, lambda: next(speeds)), range(8)))
    assert len(set(answers)) == 1 and answers[0][0] == "bf16"
    assert decided(tmp_path, lambda: SLOW, keep=False) == answers[0]
    cpu()  # another processor on the same disk has an answer of its own
    assert decided(tmp_path, lambda: FAST)[0] == "fp32"


def test_what_a_run_root_has_already_is_not_mixed(cpu: Any, cli: Cli, here: Path) -> None:
    cpu()
    assert cli("train", *AUTO).code == 0
    cpu("avx512_bf16")
    done = cli("train", *AUTO, "seed=1")
    assert (
        "train.precision=auto: fp32 (as the run on a CPU that this run root had already; train." in done.err + done.out
    )
    assert cli("train", *AUTO, "seed=1", "run_root=other").code == 0
    (other,) = (here / "other").glob("*/run.json")
    assert json.loads(other.read_text())["device"]["precision"] == "bf16"


def test_a_run_keeps_its_precision_on_another_machine(cpu: Any, cli: Cli, here: Path) -> None:
    cpu("avx512_bf16")
    first = cli("train", *AUTO)
    assert "on cpu in bf16: " in first.err + first.out and "train.precision=auto: bf16 (this" in first.err + first.out
    folder = run_folder(here)
    assert "precision: auto" in (folder / "config.yaml").read_text()
    (folder / "done.json").unlink()  # as where it was killed before it said so
    cpu()
    again = cli("train", *AUTO)
    assert again.code == 0 and "on cpu in bf16: " in again.err + again.out
    assert "train.precision=auto: bf16 (the run began in it)" in again.err + again.out
    assert json.loads((folder / "run.json").read_text())["device"]["precision"] == "bf16"
    assert choose_device(compose_run(AUTO), None).precision == "fp32"


def test_the_plan_says_which_and_why(cpu: Any, cli: Cli, here: Path) -> None:
    words = ["sweep", *AUTO, "train.steps=null", "train.hours=1", "seed=0,1", "--plan"]
    cpu("avx512_bf16")
    plan = cli(*words)
    assert "train.precision=auto: bf16 (this processor has avx512_bf16, and" in " ".join(plan.out.split())
    assert not (here / "runs").exists()  # a plan decides nothing
    told = json.loads(cli(*words[:-1], "--json").out)["auto_precision"]
    assert told["precision"] == "bf16" and told["why"].startswith("this processor has")
    cpu("avx512_bf16", speed=SLOW)
    assert "train.precision=auto: fp32 (this processor has" in " ".join(cli(*words).out.split())
    assert json.loads(cli(*words[:-1], "train.precision=fp32", "--json").out)["auto_precision"] is None


def test_the_measurement_is_cheap_and_leaves_nothing_behind() -> None:
    threads, begin = torch.get_num_threads(), time.thread_time()
    torch.set_num_threads(2)
    try:
        speed = measure_bf16()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert time.thread_time() - begin < 0.3 and 0 < speed.quarter <= speed.median
