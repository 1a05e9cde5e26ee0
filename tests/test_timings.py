"""Which runs share a measured step, which measurement counts, and what a plan says of times that it does not know."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_estimate import deep, estimate_seconds, timings, tiny

from simplify.cli.duration import between
from simplify.cli.plan import cost
from simplify.sweep.estimate import Estimate
from simplify.sweep.measured import TOO_LONG
from simplify.sweep.steps import How, Time
from simplify.sweep.work import work_of

__all__ = ["timings"]  # a cache for each test
Machine = Callable[..., list[float | None]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Estimates two models, on a machine where a step takes so long: None is too long, a text an error."""

    def estimated(*steps: float | str | None, busy: bool = False) -> list[float | None]:
        def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
            if "input" not in options:
                raise FileNotFoundError(words[0])
            asked = [config["model"]["n_layers"] for config in json.loads(options["input"])]
            lines = b""
            for layers in asked:
                step = steps[layers - 1]
                if step is None:
                    raise subprocess.TimeoutExpired(words, options["timeout"], output=lines)
                lines += json.dumps({"error" if isinstance(step, str) else "step_seconds": step}).encode() + b"\n"
            return subprocess.CompletedProcess(words, 0, lines, b"")

        monkeypatch.setattr("simplify.sweep.measured.subprocess.run", run)
        monkeypatch.setattr("simplify.sweep.estimate.is_busy", lambda _: busy)
        seconds = estimate_seconds(deep(*range(1, len(steps) + 1))).seconds
        validated = 1 + 1 / 8 / 3
        return [None if second is None else round(second / validated, 6) for second in seconds]

    return estimated


def ten_minutes_later(timings: Path) -> None:
    for path in timings.iterdir():
        data = json.loads(path.read_text())
        path.write_text(json.dumps({**data, **({"until": 1.0} if "until" in data else {})}))


def test_the_fastest_time_counts(machine: Machine, timings: Path) -> None:
    assert machine(4.0, 8.0, busy=True) == [4.0, 8.0]
    assert machine(1.0, 1.0) == [4.0, 8.0]  # not yet again
    ten_minutes_later(timings)
    assert machine(16.0, 6.0, busy=True) == [4.0, 6.0]
    ten_minutes_later(timings)
    assert machine(None, None, busy=True) == [4.0, 6.0]  # nothing does not replace a time
    assert machine(1.0, 1.0) == [4.0, 6.0]
    ten_minutes_later(timings)
    assert machine("out of memory", 5.0, busy=True) == [4.0, 5.0]
    ten_minutes_later(timings)
    assert machine(3.0, 7.0) == [3.0, 5.0]  # at last without other work: measured for good
    ten_minutes_later(timings)
    assert machine(1.0, 1.0) == [3.0, 5.0]


def test_what_took_too_long_is_scaled_and_said(machine: Machine, timings: Path) -> None:
    small, large = machine(4.0, None)
    assert small == 4.0 and large is not None and 4.0 < large < 8.0  # the embeddings do not double
    told = estimate_seconds(deep(1, 2)).problem
    assert told == f"1 of 2 training times is scaled from another model's: {TOO_LONG}"
    ten_minutes_later(timings)
    assert machine(1.0, 9.0) == [4.0, 9.0] and estimate_seconds(deep(1, 2)).problem is None


def test_an_error_is_no_reason_to_scale(machine: Machine) -> None:
    assert machine(4.0, "out of memory") == [4.0, None]
    assert estimate_seconds(deep(1, 2)).problem == "1 of 2 training times is unknown: out of memory"
    assert estimate_seconds(deep(1, 2, 2)).problem == "2 of 3 training times are unknown: out of memory"


def of(*seconds: float | None, how: How = "steps", factor: float = 1.0, **other: Any) -> Estimate:
    return Estimate(tuple(None if one is None else Time.around(one, how, factor) for one in seconds), **other)


def test_a_sum_of_times_that_are_not_all_known_is_a_least_one() -> None:
    assert cost(of(60.0, 30.0), 1) == "about 1:30 of training, 1:30 on 1 lane (by steps measured here)"
    known_in_part = cost(of(7200.0, None, problem="why"), 2)
    assert known_in_part.startswith("at least 2.0 device-hours, 2:00:00 on 2 lanes") and known_in_part.endswith("; why")
    assert cost(of(None, problem="why"), 1) == "why"


def test_what_is_not_sure_lies_between_two_times() -> None:
    told = cost(of(19000.0, 19000.0, how="flops", factor=1.75), 2)
    alone, more = "from FLOPs and a matrix product here alone", "; --measure tells more exactly)"
    assert told == f"between 6 and 18 device-hours; between 3 and 9.2 hours on 2 lanes ({alone}{more}"
    mixed = Estimate((*of(60.0, how="runs").times, *of(90.0, 90.0, how="similar", factor=3).times))
    assert cost(mixed, 1) == (
        "between 2 and 10 minutes on 1 lane (1 by runs of the same models here, 2 scaled by FLOPs from other models "
        f"here{more}"
    )


BETWEEN = {
    (3 * 3600, 9 * 3600): "between 3 and 9 hours",
    (40, 150): "between 40 seconds and 2.5 minutes",
    (50, 80): "between 50 and 80 seconds",
    (2400, 7200): "between 40 minutes and 2 hours",
    (3100, 7200): "between 52 minutes and 2 hours",
    (0.2, 3.0): "between 0.2 and 3 seconds",
    (86400, 40 * 86400): "between 1 and 40 days",
    (615 * 86400, 5612 * 86400): "between 620 and 5,600 days",
}


@pytest.mark.parametrize("bounds", BETWEEN)
def test_two_times_in_words(bounds: tuple[float, float]) -> None:
    assert between(*bounds) == BETWEEN[bounds]


ALIKE = [
    (["block=v_skipinit"], ["block.mlp_branch=0.3", "block.attn_branch=0.05"]),
    (["block=sas"], ["block.mlp_branch=0.3", "block.alpha=0.7", "block.gamma=0.2", "block.input_gain=1"]),
    (
        ["block=pre_ln"],
        [
            "block.init_scale=0.5",
            "block.output_init_scale=0.1",
            "block.value={kind:dense,init:orthogonal}",
            "model.init_std=0.01",
            "model.seed=3",
        ],
    ),
    (["block=pre_ln"], ["block.query_init=zero", "optimiser.lr=0.1", "seed=9", "model.norm_eps=1e-5"]),
    (["block=pre_ln", "block.soft_cap=30"], ["block.soft_cap=50"]),
    (["block=pre_ln", "block.attn_skip=0.5"], ["block.attn_skip={rule:inv_sqrt_depth,value:0.4,at_depth:18}"]),
    (["block=pre_ln", "model.activation=leaky_relu", "model.leaky_slope=0.1"], ["model.leaky_slope=0.2"]),
]
OTHER = [
    (["block=pre_ln"], ["block.attn_skip=0"]),  # no skip
    (["block=pre_ln"], ["block.attn_skip=0.5"]),  # a multiplication
    (["block=pre_ln"], ["block.input_gain=0.5"]),
    (["block=pre_ln"], ["block.trainable_gains=all"]),
    (["block=pre_ln", "block.trainable_gains=[attn_branch]"], ["block.trainable_gains=[attn_branch,mlp_branch]"]),
    (["block=pre_ln"], ["block.beta=1"]),
    (["block=pre_ln"], ["block.soft_cap=30"]),
    (["block=pre_ln"], ["block.value={kind:reparam}"]),
    (["block=pre_ln", "block.value={kind:reparam}"], ["block.value.branch=0"]),  # no dW
    (["block=pre_ln", "block.value={kind:reparam}"], ["block.value.init=orthogonal"]),
    (["block=pre_ln", "block.attn_skip=0.5"], ["block.attn_skip={rule:inv_sqrt_layer,value:1,at_depth:1}"]),  # 1, 0.7
    (["block=pre_ln"], ["model.activation=gelu"]),
    (["block=pre_ln"], ["model.d_ff=96"]),
    (["block=pre_ln"], ["train.batch_tokens=64"]),
]


@pytest.mark.parametrize(("words", "more"), ALIKE)
def test_equal_work_is_one_measurement(words: list[str], more: list[str]) -> None:
    assert work_of(tiny(*words)) == work_of(tiny(*words, *more)), more


@pytest.mark.parametrize(("words", "more"), OTHER)
def test_other_work_is_another(words: list[str], more: list[str]) -> None:
    assert work_of(tiny(*words)) != work_of(tiny(*words, *more)), more
