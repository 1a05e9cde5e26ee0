"""`simplify probe`: the measures, what they show at depth, and the command."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, run_folder
from torch import Tensor
from zoo_tools import perturbed, random_tokens

from simplify.choices import choices
from simplify.compose import compose_run
from simplify.diagnose import measures
from simplify.diagnose.findings import collapsed, panels, table
from simplify.diagnose.probe import Reading, probe
from simplify.zoo.loss import token_loss
from simplify.zoo.model import build_model

Cli = Callable[..., Any]
DEEP = ["model.n_layers=72", "model.d_model=64", "model.n_heads=2", "model.d_ff=256", "model.seq_len=32"]
DEEP += ["train.batch_tokens=32", "model.init_std=0.07"]  # d_model * init_std^2 as in the paper


def random(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def deep(block: str, seed: int) -> Reading:
    """A 72-layer model on random tokens."""
    config = compose_run([*DEEP, f"block={block}"])
    model = build_model(config.block, config.model, 200, seed)
    tokens = torch.randint(200, (2, 33), generator=torch.Generator().manual_seed(seed))
    return probe(model, tokens[:, :-1], tokens[:, 1:])


def numbers(values: list[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def test_rank_collapses_at_72_layers_without_skip_and_not_in_sas() -> None:
    """BLOCKS.md invariant 8, and what the picture shows; three seeds."""
    found = {name: [deep(name, seed) for seed in range(3)] for name in ("skipless_plain", "sas")}
    for reading in found["skipless_plain"]:
        cosine, apart, rank = (numbers(reading[k]) for k in ("token_cosine", "rank_one_residual", "effective_rank"))
        assert cosine[0] < 0.1 and cosine[-1] > 0.999
        assert apart[0] > 0.9 and apart[-1] < 1e-4
        assert rank[0] > 20 and rank[-1] < 1.01
    for reading in found["sas"]:
        cosine, apart, rank = (numbers(reading[k]) for k in ("token_cosine", "rank_one_residual", "effective_rank"))
        assert max(cosine) < 0.15 and min(apart) > 0.9 and min(rank) > 20
        assert numbers(reading["gradient"])[1] < 3 * numbers(reading["gradient"])[-1]  # no explosion towards layer 1
    assert set(collapsed(found)) == {"skipless_plain"}


def test_measures_of_known_streams() -> None:
    same = torch.ones(2, 5, 8) * torch.arange(1.0, 9.0)
    assert measures.token_cosine(same) == pytest.approx(1.0)
    assert measures.rank_one_residual(same) == pytest.approx(0.0, abs=1e-12)
    assert measures.effective_rank(same) == pytest.approx(1.0)
    orthogonal = torch.eye(8)[None].repeat(2, 1, 1) * 3
    assert measures.token_cosine(orthogonal) == pytest.approx(0.0, abs=1e-12)
    assert measures.effective_rank(orthogonal) == pytest.approx(8.0)
    assert measures.rms(orthogonal) == pytest.approx(3 / math.sqrt(8))
    assert measures.kurtosis(torch.ones(1, 4, 6)) == pytest.approx(1.0)
    single = torch.zeros(1, 4, 6)
    single[..., 2] = 5.0
    assert measures.kurtosis(single) == pytest.approx(6.0)
    assert measures.max_to_median(torch.tensor([[[1.0, -2.0, 3.0], [4.0, -50.0, 2.0]]])) == pytest.approx(25.0)


def test_token_cosine_by_the_double_sum() -> None:
    x = random((2, 7, 5))
    pairs = [
        torch.cosine_similarity(x[b, i], x[b, j], dim=0) for b in range(2) for i in range(7) for j in range(7) if i != j
    ]
    assert measures.token_cosine(x) == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-12)


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_attention_entropy_of_known_attention(kind: str) -> None:
    _, model = perturbed(["block=pre_ln", f"model.kind={kind}"])
    context = model.context(random_tokens((2, 9)))
    q, k = random((2, 9, 3, 4)), random((2, 9, 3, 4), 1)
    assert measures.attention_entropy(0 * q, k, context, None) == pytest.approx(1.0)
    assert measures.attention_entropy(1e6 * q, k, context, None) == pytest.approx(0.0, abs=1e-3)
    assert 0.1 < measures.attention_entropy(q, k, context, None) < 1


@pytest.mark.parametrize("name", choices("block"))
@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_a_probe_of_every_block(name: str, kind: str) -> None:
    """It changes nothing in the model, its gradients are the loss' own, and every measure has its layers."""
    _, model = perturbed([f"block={name}", f"model.kind={kind}"])
    tokens = random_tokens((2, 9))
    before = model(tokens).detach()
    reading = probe(model, tokens, tokens)
    assert torch.equal(model(tokens), before) and all(p.grad is None for p in model.parameters())
    assert len(reading["token_cosine"]) == len(reading["gradient"]) == 4 and len(reading["alpha"]) == 3
    assert None not in reading["gradient"] + reading["attention_entropy"] + reading["effective_rank"]
    loss = token_loss(before, tokens)
    assert reading["loss"] == [pytest.approx(float(loss))]
    token_loss(model(tokens), tokens).backward()
    found = model.get_submodule("blocks.1.mlp.fc_in").weight.grad
    assert isinstance(found, Tensor) and reading["gradient W_in"][1] == pytest.approx(float(found.norm()))
    block = compose_run([f"block={name}"]).block
    assert (reading["attn_ratio"][0] is None) == (not block.has("attn_skip"))
    mlp_skip = "attn_skip" if block.layout == "parallel" else "mlp_skip"
    assert (reading["mlp_ratio"][0] is None) == (not block.has(mlp_skip))
    assert {panel.key for panel in panels({name: [reading]})} >= {"token_cosine", "gradient W_in", "mlp_branch"}
    assert table({name: [reading]})[0] == ["measure", name]


def test_branch_ratio_is_branch_over_skip() -> None:
    _, model = perturbed(["block=pre_ln", "model.n_layers=1"])
    tokens = random_tokens((2, 9))
    reading = probe(model, tokens, tokens)
    block, context = model.blocks[0], model.context(tokens)
    with torch.no_grad():
        x = model.embed(tokens, context)
        branch = block.get_submodule("attention")(block.get_submodule("attn_norm")(x), context)
        rest = block.get_submodule("mlp")(block.get_submodule("mlp_norm")(x + branch))
    assert reading["attn_ratio"] == [pytest.approx(float(branch.norm() / x.norm()))]
    assert reading["mlp_ratio"] == [pytest.approx(float(rest.norm() / (x + branch).norm()))]


def test_the_command_at_initialisation(cli: Cli, here: Path) -> None:
    done = cli("probe", *TINY, "block=pre_ln,sas", "model.n_layers=3", "--seeds", "2", "--sequences", "2")
    assert done.code == 0 and "token cosine" in done.out
    (folder,) = (here / "probes").iterdir()
    assert folder.name.startswith("pre_ln-sas-")
    assert (folder / "probe.png").read_bytes().startswith(b"\x89PNG")
    assert "token cosine" in (folder / "probe.html").read_text()
    stored = json.loads((folder / "probe.json").read_text())["readings"]
    assert set(stored) == {"pre_ln", "sas"} and [len(r) for r in stored.values()] == [2, 2]
    cosine = [reading["token_cosine"] for reading in stored["sas"]]
    assert cosine[0] != cosine[1] and len(cosine[0]) == 4


def test_the_command_on_a_trained_run(cli: Cli, here: Path) -> None:
    assert cli("train", *TINY).code == 0
    run = run_folder(here)
    done = cli("probe", run.name)
    assert done.code == 0 and f"{run.name} at step 20" in done.out
    assert {"probe.png", "probe.html", "probe.json"} <= {p.name for p in run.iterdir()}
    gains = json.loads((run / "probe.json").read_text())["readings"][run.name][0]["alpha"]
    assert all(gain != 1.0 for gain in gains)  # trained away from their start


def test_what_the_command_refuses(cli: Cli, here: Path) -> None:
    for words, message in (
        (["block=sas,post"], "block=post: did you mean post_ln?"),
        (["nothing"], "nothing: no run of that name or id"),
        (["model.n_layers=0"], "model.n_layers=0: needs a number >= 1"),
    ):
        done = cli("probe", *words)
        assert done.code == 2 and message in done.err and done.err.count("\n") == 1, done.err
    assert cli("train", *TINY, "train.steps=2").code == 0
    assert cli("train", *TINY, "train.steps=3").code == 0
    several = cli("probe", "sas-")
    assert several.code == 2 and "sas-: names 2 runs in" in several.err
    beside = cli("probe", next((here / "runs").glob("sas-*")).name, "model.n_layers=2")
    assert beside.code == 2 and "model.n_layers=2: a trained run has its settings" in beside.err
    many = cli("probe", *TINY, "--sequences", "100000")
    assert many.code == 2 and "--sequences=100000: the validation split of data=text has" in many.err
    (here / "file").write_text("")
    blocked = cli("probe", *TINY, "--seeds", "1", "--out", str(here / "file"))
    assert blocked.code == 2 and "cannot be written" in blocked.err
