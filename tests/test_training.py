"""Schedules, parameter groups, accumulation, precision, clocks, and finding what is not finite."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Result, rows, run_folder, untimed
from hypothesis import given
from hypothesis import strategies as st

from simplify.compose import compose_run
from simplify.config import OptimiserConfig
from simplify.data.batches import Batches
from simplify.data.corpus import open_corpus
from simplify.display import short_time
from simplify.training.clock import StepTimer
from simplify.training.device import Device
from simplify.training.finite import culprit
from simplify.training.optimisers import AdamW, parameter_groups
from simplify.training.schedules import SCHEDULES, Budget, learning_rate
from simplify.training.trainer import Trainer

Cli = Callable[..., Result]


def trainer(*words: str) -> Trainer:
    config = compose_run([*TINY, *words])
    return Trainer(config, Batches(open_corpus(config.data), config), Device("cpu", "fp32"))


def step(subject: Trainer, number: int = 0) -> tuple[float, float]:
    loss, norm = subject.step(number, 1e-3, lambda _: None)
    return float(loss), float(norm)


@given(st.floats(0, 1), st.sampled_from(sorted(SCHEDULES)), st.floats(0, 0.9))
def test_the_rate_warms_up_linearly_and_never_leaves_its_range(spent: float, name: str, warmup: float) -> None:
    warmup = 0.0 if name == "triangle" else warmup  # it rises by itself
    config = OptimiserConfig.model_validate({"schedule": name, "warmup": warmup, "lr": 2.0})
    rate = learning_rate(config, spent)
    assert 0.0 <= rate <= 2.0
    if spent < warmup:
        assert rate == pytest.approx(2.0 * spent / warmup)


def test_schedules_at_known_points() -> None:
    def at(name: str, spent: float) -> float:
        return learning_rate(OptimiserConfig.model_validate({"schedule": name, "warmup": 0.2, "lr": 1.0}), spent)

    assert [at(n, 0.2) for n in ("linear", "cosine", "constant")] == [1.0, 1.0, 1.0]
    assert [at(n, 0.6) for n in ("linear", "cosine", "constant")] == pytest.approx([0.5, 0.5, 1.0])
    assert [at(n, 1.0) for n in ("linear", "cosine", "constant")] == pytest.approx([0.0, 0.0, 1.0])
    assert at("cosine", 0.4) == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 4))


def test_budgets_end_where_they_should() -> None:
    steps = Budget.of(compose_run(["train.tokens=5000"]))
    assert [steps.spent(n, 1e9) for n in range(4)] == [False, False, False, True]
    assert [steps.progress(n, 0.0) for n in range(3)] == pytest.approx([1 / 6, 0.5, 5 / 6])
    hours = Budget.of(compose_run(["train.hours=0.5"]))
    assert [hours.spent(10**9, seconds) for seconds in (0.0, 1799.0, 1801.0)] == [False, False, True]
    assert hours.progress(5, 900.0) == 0.5 and hours.progress(5, 3600.0) == 1.0


def test_the_papers_parameter_groups() -> None:
    model = trainer("block=sas").model
    decayed, free = parameter_groups(model, compose_run([]).optimiser)
    names = {id(p): n for n, p in model.named_parameters()}
    free_names = {names[id(p)] for p in free["params"]}
    assert free["weight_decay"] == 0.0 and decayed["weight_decay"] == 0.1
    assert free_names == {n for n in names.values() if "gain" in n or "norm" in n or "bias" in n}
    assert "blocks.0.attention.value.branch.gain" in free_names
    assert len(names) == len(decayed["params"]) + len(free["params"])


@pytest.mark.parametrize("block", ["pre_ln", "sas_p"])
def test_micro_batches_of_4_twice_equal_8_once(block: str) -> None:
    whole, parts = trainer(f"block={block}"), trainer(f"block={block}", "train.micro_batch=4")
    for number in range(3):
        assert step(whole, number) == pytest.approx(step(parts, number), rel=1e-5)
    for (name, one), other in zip(whole.model.named_parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6, msg=name)
    assert whole.validate() == pytest.approx(parts.validate(), rel=1e-6)


def test_decay_shrinks_matrices_only() -> None:
    subject = trainer("block=sas", "optimiser.weight_decay=1000")
    before = {n: p.detach().clone() for n, p in subject.model.named_parameters()}
    subject.step(0, 1e-3, lambda _: None)
    after = dict(subject.model.named_parameters())
    shrunk = {n for n in before if after[n].norm() < 0.5 * before[n].norm()}
    assert shrunk and all(before[n].ndim == 2 for n in shrunk)


def test_clipping_bounds_the_update_and_null_does_not(cli: Cli) -> None:
    free, bound = trainer("optimiser.grad_clip=null"), trainer("optimiser.grad_clip=1e-3")
    assert step(free) == step(bound)  # the norm is logged before clipping
    assert cli("config", "optimiser.grad_clip=0").code == 2


def test_restored_state_continues_bit_for_bit() -> None:
    one = trainer("block=sas")
    for number in range(3):
        step(one, number)
    two = trainer("block=sas", "seed=0")
    two.restore(copy.deepcopy(one.state()))
    assert [step(one, n) for n in (3, 4)] == [step(two, n) for n in (3, 4)]


def test_culprit_names_weight_output_and_gradient() -> None:
    last = torch.nn.Linear(3, 1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), last)
    x = torch.ones(2, 3)
    assert culprit(model, lambda: model(x)) is None
    last.weight.grad = torch.full((1, 3), float("nan"))
    assert culprit(model, lambda: model(x)) == "gradient of 1.weight"
    assert culprit(model, lambda: model(x * float("inf"))) == "output of 0"
    with torch.no_grad():
        last.bias.fill_(float("nan"))
    assert culprit(model, lambda: model(x)) == "weight 1.bias"


def test_the_timer_leaves_out_warm_up_and_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("simplify.training.clock.time.perf_counter", lambda: now[0])
    timer = StepTimer(lambda: None)
    assert timer.read() is None
    for seconds in (50.0, 30.0, 2.0, 4.0):  # two steps of warm-up, two that count
        now[0] += seconds
        timer.stepped(int(90 / seconds))  # batches may differ
    with timer.paused():
        now[0] += 1000.0
    pace = timer.read()
    assert pace is not None and pace.step_time == pytest.approx(3.0) and pace.tokens_per_sec == pytest.approx(67 / 6)
    assert timer.read() is None


def test_short_time() -> None:
    assert [short_time(s) for s in (5, 65, 3661, 86400 * 3)] == ["0:05", "1:05", "1:01:01", "3.0 days"]


@pytest.mark.parametrize("extra", [["train.precision=bf16"], ["train.compile=true", "model.n_layers=1"]])
def test_other_ways_to_compute_learn_the_same(spawn: Callable[..., Any], here: Path, extra: list[str]) -> None:
    same_model = [word for word in extra if word.startswith("model")]
    runs = [spawn("train", *TINY, *extra, "run_root=other"), spawn("train", *TINY, *same_model)]
    outputs = [process.communicate(timeout=240)[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0]
    (folder,) = (here / "other").glob("*-*")
    other, exact = rows(folder), rows(run_folder(here))
    assert other[-1]["val/loss"] == pytest.approx(exact[-1]["val/loss"], rel=2e-2)
    assert exact[-1]["val/loss"] < exact[0]["train/loss"]
    # The compiler cannot link against a torch whose path has a space; then the run says so.
    compiled = json.loads((folder / "done.json").read_text())["compiled"]
    possible = "train.compile=true" in extra and " " not in torch.__file__
    assert compiled == ("compiled" if possible else False) and ("torch.compile: failed" in outputs[0]) == (
        "train.compile=true" in extra and not possible
    )


def test_without_a_compiler_the_run_warns_once_and_trains(spawn: Callable[..., Any], here: Path) -> None:
    missing = {"CXX": str(here / "no compiler"), "TORCHINDUCTOR_CACHE_DIR": str(here / "cold")}
    process = spawn("train", *TINY, "model.n_layers=1", "train.compile=true", env=missing)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert out.count("torch.compile: failed (") == 1 and "training without it" in out and "Traceback" not in out + err
    assert json.loads((run_folder(here) / "done.json").read_text())["compiled"] is False


def test_hours_as_budget(cli: Cli, here: Path) -> None:
    words = [word for word in TINY if not word.startswith("train.steps")]
    assert cli("train", *words, "train.hours=0.0005").code == 0  # 1.8 s
    done = rows(run_folder(here))
    assert 1.8 <= done[-1]["seconds"] < 10 and done[-1]["step"] > 2
    assert done[-1]["lr"] < max(row["lr"] for row in done) and "val/loss" in done[-1]
    assert untimed(done)[0]["step"] == 1


def test_values_and_projections_can_learn_slower() -> None:
    """Fig 9: the matrices W_V and W_P with a share of the learning rate; none at a ratio of 0."""
    words = ["block=skipless_trainable_vp", "optimiser.value_lr_ratio=0", "train.steps=4"]
    slow = trainer(*words)
    before = {n: p.detach().clone() for n, p in slow.model.named_parameters()}
    for step in range(3):
        slow.step(step, 1e-2, lambda _: None)
    still = {n for n, p in slow.model.named_parameters() if torch.equal(p, before[n])}
    # dW stays 0, so the gains on it have no gradient either.
    assert still == {n for n in before if n.endswith(("delta", "value.branch.gain", "projection.branch.gain"))}
    halves = trainer("block=pre_ln", "optimiser.value_lr_ratio=0.5", "optimiser.weight_decay=0")
    whole = trainer("block=pre_ln", "optimiser.weight_decay=0")
    start = {n: p.detach().clone() for n, p in whole.model.named_parameters()}
    for one in (halves, whole):
        one.step(0, 1e-2, lambda _: None)
    for (name, p), q in zip(halves.model.named_parameters(), whole.model.parameters(), strict=True):
        ratio = 0.5 if ".value." in name or ".projection." in name else 1.0
        assert torch.allclose(p - start[name], ratio * (q - start[name]), atol=1e-6), name


def test_our_adamw_is_torchs_bit_for_bit() -> None:
    """Its steps and its state; either goes on from the other's state."""
    models = [torch.nn.Linear(7, 5, dtype=torch.float32) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    settings: dict[str, Any] = {"lr": 0.01, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1, "fused": True}
    kinds = [AdamW, torch.optim.AdamW]
    ours, theirs = (kind(model.parameters(), **settings) for kind, model in zip(kinds, models, strict=True))
    for step in range(6):
        for model, optimiser in zip(models, (ours, theirs), strict=True):
            model(torch.arange(21.0).reshape(3, 7)).square().mean().backward()
            optimiser.step()
            optimiser.zero_grad()
        if step == 2:
            states = ours.state_dict(), theirs.state_dict()
            ours.load_state_dict(states[1])
            theirs.load_state_dict(states[0])
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))
    mine, other = ours.state_dict(), theirs.state_dict()
    assert mine["param_groups"] == other["param_groups"] and list(mine) == list(other)
    for number, values in mine["state"].items():
        assert all(torch.equal(values[name], other["state"][number][name]) for name in values)
    assert all(p.grad is None and p.requires_grad for p in models[0].parameters())
