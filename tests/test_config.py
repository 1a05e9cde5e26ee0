"""Composition: the override grammar, the user's own folder, and the shipped YAML files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Result
from hypothesis import given
from hypothesis import strategies as st

from simplify.choices import GROUPS, choices, first_line
from simplify.compose import axes, compose_points, compose_run
from simplify.config import Identity, RunConfig, gain_at, show
from simplify.config.gains import DepthGain
from simplify.errors import ConfigError
from simplify.sweep.file import read_sweep
from simplify.sweep.points import points_of

Cli = Callable[..., Result]


def test_defaults_are_what_the_readme_says() -> None:
    run = compose_run([])
    assert (run.block.name, run.model.name, run.data.name, run.optimiser.name, run.cluster.name) == (
        "sas",
        "gpt_nano",
        "python_stdlib",
        "adamw",
        "local",
    )
    assert run.wandb.mode == "offline" and run.seed == 0


@pytest.mark.parametrize(("group", "name"), [(g, n) for g in GROUPS for n in choices(g)])
def test_every_choice_composes_and_says_what_it_is(group: str, name: str) -> None:
    extra = ["data.path=."] if name == "text" else []
    run = compose_run([f"{group}={name}", *extra])
    path = ROOT / "conf" / group / f"{name}.yaml"
    stated = [line.partition(": ")[2] for line in path.read_text().splitlines() if line.startswith("name: ")]
    assert group == "optimiser" or not stated  # an optimiser's name is its update rule, which several files may set
    assert getattr(run, group).name == (stated or [name])[0]
    assert len(first_line(group, name)) > 20
    settings = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "defaults"))]
    assert len(settings) <= (9 if group == "data" else 8)


def test_hydra_grammar_at_the_edge() -> None:
    run = compose_run(["block=sas", "+seed=3", "++train.steps=7", "optimiser.betas=[0.8,0.9]", "wandb.tags=['a b',c]"])
    assert (run.seed, run.train.steps, run.optimiser.betas, run.wandb.tags) == (3, 7, (0.8, 0.9), ("a b", "c"))
    run = compose_run(["block.value={kind:reparam,init:orthogonal,branch:0.3}", "block.first_value=null"])
    assert run.block.value.kind == "reparam" and run.block.value_of(0) == run.block.value
    assert compose_run(["block.value=dense", "train.val_every=${train.steps}"]).train.val_every == 600
    assert compose_run(["seed=1", "seed=2"]).seed == 2


def test_one_budget_replaces_another() -> None:
    tokens = compose_run(["train.tokens=10000"])
    assert tokens.train.steps is None and tokens.total_steps == 5  # 10,000 / 2,048 rounded up
    assert compose_run(["train.hours=0.5"]).total_steps is None
    with pytest.raises(ConfigError, match=r"found train\.steps=2, train.tokens=3; valid: exactly one of the three"):
        compose_run(["train.steps=2", "train.tokens=3"])


def test_the_users_folder_wins_and_builds_on_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "mine.yaml").write_text("# mine\ndefaults: [sas, _self_]\nmlp_branch: 0.7\n")
    (tmp_path / "block" / "pre_ln.yaml").write_text("# shadowed\nnorm: post\n")
    mine = compose_run(["block=mine"], tmp_path)
    assert mine.block.name == "mine" and mine.block.mlp_branch == 0.7 and mine.block.projection == Identity()
    assert compose_run(["block=pre_ln"], tmp_path).block.norm == "post"
    assert compose_run(["block=pre_ln"]).block.norm == "pre"
    monkeypatch.setenv("SIMPLIFY_CONF", str(tmp_path))
    assert "mine" in choices("block", tmp_path) and compose_run(["block=mine"]) == mine


def test_a_models_own_rate_yields_to_whatever_states_one(tmp_path: Path) -> None:
    for model in ("gpt_nano", "bert_nano"):
        rate = compose_run([f"model={model}"]).optimiser.lr
        assert f"optimiser.lr={rate:.0e}".replace("e-0", "e-") in first_line("model", model)
        assert compose_run([f"model={model}", "optimiser=adamw"]).optimiser.lr == rate  # which states none
        assert compose_run([f"model={model}", "optimiser=adamw_bert"]).optimiser.lr == 1e-3  # the paper's
        assert compose_run([f"model={model}", "optimiser.lr=5e-4"]).optimiser.lr == 5e-4
    (tmp_path / "optimiser").mkdir()
    (tmp_path / "optimiser" / "mine.yaml").write_text("# mine\nname: adamw\nlr: 7e-4\n")
    assert compose_run(["optimiser=mine"], tmp_path).optimiser.lr == 7e-4
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("set: {model: gpt_nano, optimiser.lr: 2e-3}\ngrid: {seed: [0]}\n")
    for typed, rate in ((["optimiser.lr=4e-3"], 4e-3), ([], 2e-3)):
        (run,) = compose_points(points_of(read_sweep(sweep), axes(typed, None)))
        assert isinstance(run, RunConfig) and run.optimiser.lr == rate
    assert compose_run(["model=gpt_small"]).optimiser.lr == 1e-3  # the paper's


def test_config_prints_what_train_would_run(cli: Cli, here: Path) -> None:
    printed = cli("config", "block=sas", "seed=5")
    assert printed.code == 0
    assert RunConfig.model_validate(yaml.safe_load(printed.out)) == compose_run(["block=sas", "seed=5"])
    assert printed.out.endswith("# parameters: 951,486 (1.0M)\n")
    (here / "frozen.yaml").write_text(printed.out)
    assert cli("config", "--config", "frozen.yaml").out == printed.out
    assert compose_run(["seed=6"], base=Path("frozen.yaml")).seed == 6


def test_config_diff_shows_only_what_differs(cli: Cli) -> None:
    out = cli("config", "block=sas", "--diff").out.splitlines()
    assert "block.attn_skip: 0.0    # default: 1.0" in out
    assert "block.value: {kind:identity}    # default: {kind:dense}" in out
    assert [line for line in out if line.startswith("optimiser")] == ["optimiser.lr: 0.003    # default: 0.001"]
    assert not [line for line in out if line.startswith(("wandb", "block.norm"))]
    assert not [line for line in cli("config", "block=pre_ln", "--diff").out.splitlines() if line.startswith("block")]


def test_depth_rules_give_the_papers_gains() -> None:
    sas = compose_run(["block=sas"]).block
    assert gain_at(sas.mlp_branch, 18) == pytest.approx(0.1)  # PAPER: 0.1 at 18 layers
    assert gain_at(DepthGain(rule="inv_sqrt_depth", value=0.2, at_depth=18), 72) == pytest.approx(0.1)  # Fig 6
    assert gain_at(0.3, 7) == 0.3


@given(st.recursive(st.none() | st.booleans() | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_shown_values_can_be_typed_again(value: object) -> None:
    from simplify.compose import parse

    (override,) = parse([f"key={show(value)}"])
    assert override.value() == value


def test_help_lists_groups_choices_and_every_setting(cli: Cli) -> None:
    out = cli("train", "--help", "all").out
    for words in ("block=", "sas_p_no_norm", "optimiser.lr", "0.003", "train.micro_batch", "wandb.mode", "run_root"):
        assert words in out
    assert "SAS, Simplified Attention Sub-block" in out and "simplify[hub]" in out
    settings = {words[0]: words[1] for line in out.splitlines() if len(words := line.split()) > 1}
    run = compose_run([])
    assert settings["train.steps"] == str(run.train.steps) and settings["block.value"] == "identity"
    assert settings["optimiser.betas"] == "[0.9,0.999]" and settings["data.source"] == "stdlib"


@pytest.mark.parametrize("width", [60, 80, 109, 110, 200])
def test_help_fits_the_screen_and_breaks_no_key(cli: Cli, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    overview, group = cli("train", "--help").out, cli("train", "--help", "block").out
    for text in (overview, group):
        assert max(map(len, text.splitlines())) <= width
        assert len(text.splitlines()) < 200  # by two letters a line it were thousands
    names = overview.split()
    assert {"sas_p_no_norm", "additional_parameters", "lr", "optimiser.", "Options"} < {*names, "Options"}
    assert all(word in group.split() for word in ("block.trainable_gains", "sas_p_no_norm"))
    assert "optimiser.lr" not in group and "Usage" not in group and "SAS, Simplified Attention Sub-block" in group


def test_help_finds_settings_by_a_part_of_their_keys(cli: Cli) -> None:
    assert "model.n_layers" in cli("config", "block=sas", "--help", "n_layers").out
    assert "train.steps" in cli("sweep", "-h", "train.").out and " block= " not in cli("sweep", "--help").out
    both = cli("bench", "--help", "optimiser", "wandb").out
    assert "optimiser.peak" in both and "wandb.tags" in both and "train.steps" not in both
    assert "Usage" in cli("train", "--help", "block=sas").out
    wrong = cli("train", "--help", "optimizer")
    assert wrong.code == 2 and wrong.err.startswith("simplify: --help optimizer: did you mean optimiser? valid: ")
