"""`simplify blocks`: the zoo, one block, several side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from test_imports import HEAVY, loaded

from simplify.choices import choices, first_line
from simplify.cli import blocks
from simplify.cli.blocks import short, split_reference
from simplify.compose import compose_run, compose_zoo
from simplify.config import RunConfig
from simplify.errors import ConfigError
from simplify.zoo.counts import count_flops, count_parameters
from simplify.zoo.describe import differences, equations
from simplify.zoo.drawing import draw

Cli = Callable[..., Any]


@pytest.mark.parametrize("block", choices("block"))
def test_every_block_says_what_it_is_and_where_it_is_from(block: str) -> None:
    what, reference = split_reference(first_line("block", block))
    assert len(what) > 10 and re.search(r"arXiv \d{4}\.\d{4,5}", reference), first_line("block", block)


def test_the_table_has_every_block_with_its_counts(cli: Cli) -> None:
    out = cli("blocks").out
    for name in choices("block"):
        run = compose_run([f"block={name}"])
        (line,) = (line for line in out.splitlines() if line.startswith(f"│ {name} "))
        for number in (count_parameters, count_flops):
            assert short(number(run.block, run.model, run.data.vocab_size)) in line
    first = next(line for line in out.splitlines() if line.startswith("│"))
    assert first.startswith("│ pre_ln ")  # the baseline


def test_the_table_needs_nothing_heavy() -> None:
    assert loaded("blocks") & HEAVY == set()


def test_a_composition_of_the_zoo_is_that_of_each_block() -> None:
    words = ["model=gpt_small", "optimiser.lr=3e-4", "model.n_layers=5", "block.qk_norm=true", "train.steps=7"]
    assert compose_zoo(words) == {name: compose_run([f"block={name}", *words]) for name in choices("block")}


def test_a_users_block_composes_as_hydra_does(tmp_path: Path) -> None:
    (tmp_path / "block").mkdir()
    files = {
        "bare": "norm: post\n",
        "child": "defaults: [bare, sas, _self_]\nalpha: 0.5\n",
        "first": "defaults: [_self_, child]\nalpha: 0.25\nmlp_branch: {value: 0.3}\n",
        "unsaid": "defaults: [sas]\nalpha: 0.75\n",
        "absolute": "defaults: [/block/sas_p@_here_, _self_]\nalpha: 2\n",
        "sas": "defaults: [_skipless, _self_]\nqk_norm: true\nmlp_branch: {rule: inv_depth, value: 0.2, at_depth: 3}\n",
    }
    for name, text in files.items():
        (tmp_path / "block" / f"{name}.yaml").write_text(text)
    assert compose_zoo([], tmp_path, list(files)) == {n: compose_run([f"block={n}"], tmp_path) for n in files}
    (tmp_path / "block" / "lost.yaml").write_text("defaults: [nowhere, _self_]\n")
    (tmp_path / "block" / "garbage.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"garbage\.yaml: is no YAML text"):
        compose_zoo([], tmp_path, ["garbage"])
    with pytest.raises(ConfigError, match=r"lost\.yaml: defaults: nowhere: no such block; .*valid: .*sas_p"):
        compose_zoo([], tmp_path, ["lost"])


def test_blocks_that_do_not_fit_say_why(cli: Cli) -> None:
    found = compose_zoo(["model.n_kv_heads=2"])
    fitting = {name for name, run in found.items() if isinstance(run, RunConfig)}
    assert "pre_ln" in fitting and "sas" not in fitting
    (line,) = (line for line in cli("blocks", "model.n_kv_heads=2").out.splitlines() if line.startswith("│ sas "))
    assert "no run with these settings:" in line and line.count(" - ") == 2
    wrong = cli("blocks", "model.n_layers=x")
    assert wrong.code == 2 and wrong.err == "simplify: model.n_layers=x: needs a whole number\n"


def test_a_narrow_terminal_gets_a_list(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Console(width=80, force_terminal=False, no_color=True)
    monkeypatch.setattr(blocks, "console", lambda: narrow)
    out = cli("blocks").out
    assert max(map(len, out.splitlines())) <= 80
    for name in choices("block"):
        assert f"│ {name} " in out
    assert "arXiv 2502.02732" in out and "norm_kind=dyt" in out


def test_one_block_in_detail(cli: Cli) -> None:
    out = cli("blocks", "sas", "model=gpt_small").out
    text = re.sub(r" +", " ", out)
    for line in (
        "x1 = [1] MHA(u)",
        "y = [1] x1 + [0.1] MLP(v)",
        "head output = ([1] I + [1] A - [1] C) V",
        "A = softmax(Q K^T / sqrt(64) + M)",
        "V, layer 1 = u ([1] I + [1] dW), 768 x 768, dW = 0 at first",
        "MLP(v) = relu(v W_in) W_out, 768 -> 3072 -> 768",
        "│ W_V │ 589,826 │ 1,179,648 │",
        "x ─── N ─ MHA ─── x1 ─┴─ N ─ MLP ─(+)── y",
    ):
        assert line in text, line
    assert re.search(r"activation memory: a layer keeps \d+\.\d KiB a token", out)
    (total, *parts) = map(float, re.findall(r"(\d+\.\d\d)", out.split("training: at least")[1]))
    run = compose_run(["block=sas", "model=gpt_small"])
    weights = count_parameters(run.block, run.model, run.data.vocab_size)
    assert parts[0] == pytest.approx(16 * weights / 2**30, abs=0.005)  # weight, gradient and two moments in fp32
    assert total == pytest.approx(sum(parts), abs=0.02)


def test_two_blocks_side_by_side(cli: Cli) -> None:
    out = re.sub(r" +", " ", cli("blocks", "sas", "pre_ln").out)
    assert "│ MHA(u) │ concat(head outputs) │ concat(head outputs) W_P, 128 x 128 │" in out
    assert "│ W_P │ 0 │ 0 │ 65,536 │ 131,072 │" in out
    assert cli("blocks", "block=sas,pre_ln").out == cli("blocks", "sas", "pre_ln").out
    assert "│ K │" not in out and "│ W_in │" not in out  # what they share


def test_an_unknown_block(cli: Cli) -> None:
    done = cli("blocks", "sass")
    assert done.code == 2 and done.err.startswith(
        "simplify: sass: no such block; did you mean sas? valid: deepnorm, derf"
    )


def test_a_users_own_block(cli: Cli, here: Path) -> None:
    folder = here / "mine" / "block"
    folder.mkdir(parents=True)
    (folder / "tried.yaml").write_text("# A trial (nobody, arXiv 0000.00000)\ndefaults: [sas, _self_]\nsoft_cap: 30\n")
    out = cli("blocks", "tried", "--conf", str(here / "mine")).out
    assert "tried: A trial" in out and "30 tanh(Q K^T / sqrt(32) / 30)" in out


@pytest.mark.parametrize("block", choices("block"))
@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_every_block_can_be_described(block: str, kind: str) -> None:
    run = compose_run([f"block={block}", f"model.kind={kind}", "model.positions=alibi", "model.activation=swiglu"])
    said = equations(run.block, run.model)
    assert {"u", "y", "A", "Q", "K", "V", "MHA(u)", "MLP(v)"} <= set(said)
    assert (block == "pre_ln") == (differences(run.block, run.model) == "")
    assert ("C" in said) == (run.block.gamma is not None)
    lines = draw(run.block)
    assert sum(line.count("N") for line in lines) == _norms(run)
    assert any("MHA" in line for line in lines) and any("MLP" in line for line in lines)


def _norms(run: RunConfig) -> int:
    each = 2 if run.block.layout == "serial" else 1
    return sum(2 if place == "output" else each for place in run.block.norm_places)


def test_descriptions_differ_where_blocks_do() -> None:
    """No two blocks of the zoo have the same equations: but for initial values nothing would tell them apart."""
    said = {}
    for name, run in compose_zoo([]).items():
        assert isinstance(run, RunConfig)
        said[name] = tuple(equations(run.block, run.model).items())
    assert len(set(said.values())) == len(said)


def test_a_broken_file_leaves_the_rest_of_the_zoo(cli: Cli, here: Path) -> None:
    """Also where it is the default block; asked for by name, it is one line."""
    (here / "conf" / "block").mkdir(parents=True)
    broken = {
        "torn": ("value: {kind: identity\n", "torn.yaml, line 2, column 1: expected ',' or '}'"),
        "sas": ("alpha: [1\n", "sas.yaml, line 2, column 1: expected ',' or ']'"),
        "orphan": (
            "defaults: [nosuch, _self_]\n",
            "orphan.yaml: defaults: nosuch: no such block; valid: circle, deepnorm, ",
        ),
        "circle": ("defaults: [circle, _self_]\n", "circle.yaml: builds on itself (circle on circle)"),
        "latin": ("# caf\u00e9\n", "latin.yaml: is no YAML text"),
        "odd": ("alpha: !!int x\n", "odd.yaml: holds a value that cannot be read (ValueError: "),
        "typed": ("alpha: None\n", "block.alpha=None: did you mean null?"),
    }
    for name, (text, _) in broken.items():
        (here / "conf" / "block" / f"{name}.yaml").write_text(text, encoding="latin-1")
    whole = cli("blocks", "--conf", "conf")
    assert whole.code == 0 and "no run with these settings" in whole.out
    assert {"pre_ln", "sas_p", *broken} <= set(whole.out.replace("│", " ").split())
    for name, (_, said) in broken.items():
        for verb in (["blocks", name], ["config", f"block={name}"]):
            done = cli(*verb, "--conf", "conf")
            assert done.code == 2 and done.err.count("\n") == 1 and (said in done.err or name == "circle"), done.err
