"""Bad input: one line that says what was found and what is valid, exit code 2, nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TEXT, TINY, TINY_DATA, Result, run_folder

from simplify.choices import choices
from simplify.config import OptimiserConfig

Cli = Callable[..., Result]
BLOCKS = ", ".join(choices("block"))

MESSAGES = {
    "block=sass": f"block=sass: did you mean sas? valid: {BLOCKS}",
    "block=_skipless": f"block=_skipless: did you mean skipless_plain? valid: {BLOCKS}",
    "optimiser.rl=1": "optimiser.rl: unknown key; did you mean optimiser.lr? valid in optimiser: "
    + ", ".join(sorted(OptimiserConfig.model_fields)),
    "trian.steps=3": "trian: unknown key; did you mean train? valid in the top level: block, cluster, data, model, "
    "optimiser, run_root, seed, train, wandb",
    "model.n_heads=7": "model.n_heads=7: does not divide model.d_model=768; valid: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, "
    "..., 768; change model.n_heads, or set model.d_head",
    "optimiser.lr=abc": "optimiser.lr=abc: needs a number",
    "optimiser.lr=-1": "optimiser.lr=-1: needs a number > 0.0",
    "optimiser.lr=nan": "optimiser.lr=nan: needs a finite number",
    "train.precision=fp17": "train.precision=fp17: did you mean fp16? valid: auto, fp32, bf16, fp16",
    "train.precision=fp16": "train.precision=fp16: has no use on a CPU, which has no fast fp16; valid with "
    "train.device=cpu: auto, fp32, bf16",
    "data=text": "data.path: needs a value with data.source=folder; give the folder with your text, as in "
    "data.path=DIR",
    "model.n_kv_heads=4": "model.n_kv_heads=4: block.value is identity, which needs as many key/value heads as "
    "heads; valid: null or 12; or choose a block with dense values",
    "block=sas,pre_ln": "block=sas,pre_ln: several values; valid here: one value for each key; a run of each: "
    "simplify sweep model=gpt_small train.device=cpu block=sas,pre_ln",
    "seed": "seed: not understood; valid: key=value, as in block=sas or optimiser.lr=3e-4; quote a value that holds "
    "spaces, accents or one of , = ( ) [ ] { }, as in 'data.path=\"my text\"'",
    "~seed": "~seed: settings are not deleted; give it another value, as in seed=VALUE",
    "~wandb": "~wandb: settings are not deleted; set wandb.mode=disabled",
    "~wandb.group": "~wandb.group: settings are not deleted; set null, as in wandb.group=null",
    "~block": f"~block: a run needs one; valid: block= and one of {BLOCKS}",
    "lr=1e-3": "lr: unknown key; did you mean optimiser.lr? valid in the top level: block, cluster, data, model, "
    "optimiser, run_root, seed, train, wandb",
    "optimiser.grad_clip=None": "optimiser.grad_clip=None: did you mean null? valid: a number or null",
    "wandb.entity=": "wandb.entity='': did you mean null? valid: a text or null",
    "block.first_value=none": "block.first_value=none: did you mean null? valid: dense, reparam, identity or null",
    "train.micro_batch=many": "train.micro_batch=many: needs a whole number or null",
    "block.norm_kind=foo": "block.norm_kind=foo: valid: rmsnorm, layernorm, dyt, derf, null",
    "seed=true": "seed=true: needs a number (in YAML yes and on are true, no and off false)",
    "optimiser.betas=[0.9,false]": "optimiser.betas.1=false: needs a number (in YAML yes and on are true, no and off "
    "false)",
    "block.qk_norm=1": "block.qk_norm=1: needs true or false",
    "wandb.group=${sed}": "wandb.group=${sed}: there is no setting sed; did you mean seed? valid: a full key, as in "
    "${seed} or ${optimiser.lr}, or a variable of the shell, as in ${oc.env:HOME}",
    "wandb.group=${oc.env:NOT_THERE}": "wandb.group=${oc.env:NOT_THERE}: the variable NOT_THERE is not set; set it, or "
    "give a default, as in ${oc.env:NOT_THERE,VALUE}",
    "seed=${model.n_layers}${seed}": "seed=${model.n_layers}${seed}: refers to itself",
    "seed=${optimiser.lr}": "seed=0.001: needs a whole number",
    "train.micro_batch=3": "train.micro_batch=3: does not divide the 128 sequences of a batch (train.batch_tokens / "
    "model.seq_len); valid: 1, 2, 4, 8, 16, 32, 64, 128",
    "train.batch_tokens=100": "train.batch_tokens=100: is not a multiple of model.seq_len=128; valid: 128, ...",
    "block.value.branch=0.2": "block.value.branch: block.value is identity, which has no settings of its own; set it "
    "whole, as in 'block.value={...}'",
    "=3": "=3: not understood; valid: key=value, as in block=sas or optimiser.lr=3e-4; quote a value that holds "
    "spaces, accents or one of , = ( ) [ ] { }, as in 'data.path=\"my text\"'",
    "block.trainable_gains=[alfa]": "block.trainable_gains.0=alfa: did you mean alpha? valid: attn_skip, "
    "attn_branch, mlp_skip, mlp_branch, alpha, beta, gamma, value_own, value_first",
    "block.value_own=0.5": "block.value_own=0.5: goes together with block.value_first=null; valid: two numbers, or "
    "null for both",
    "block.query=identity": "block.query_init=zero: block.query=identity has no matrix to initialise; set "
    "block.query_init=normal",
    "model.activation=swiglue": "model.activation=swiglue: did you mean swiglu? valid: relu, relu2, gelu, leaky_relu, "
    "swiglu, geglu",
    "train.mlm_probability=0.2": "train.mlm_probability=0.2: a decoder masks no tokens; valid: null, or set "
    "model.kind=encoder",
    "model.kind=both": "model.kind=both: valid: decoder, encoder",
    "block.name=a/b": "block.name=a/b: needs a name of 1 to 64 letters, digits or _ . + - that begins with "
    "none of . + -",
    "train.device=tpu": "train.device=tpu: did you mean cpu? valid: auto, cpu, cuda, mps",
}


@pytest.mark.parametrize("word", MESSAGES)
def test_one_wrong_word(cli: Cli, here: Path, word: str) -> None:
    result = cli("train", "model=gpt_small", "train.device=cpu", word, *_small_unless(word))
    assert result.err == f"simplify: {MESSAGES[word]}\n"
    assert result.code == 2
    assert not list((here / "runs").glob("*-*")) if (here / "runs").exists() else True


def _small_unless(word: str) -> list[str]:
    """fp16 is found out when the device is known, after the corpus: a small one then."""
    return TINY_DATA if word == "train.precision=fp16" else []


def test_a_group_is_no_word(cli: Cli) -> None:
    for word, meant in (("wandb=disabled", "wandb.mode=disabled"), ("wandb=null", "wandb.mode=disabled")):
        assert f"{word}: is a group of settings; did you mean {meant}? valid: one of" in cli("config", word).err
    assert "did you mean train.precision=fp16? " in cli("config", "train=fp16").err


def test_hydras_multirun_is_a_sweep(cli: Cli) -> None:
    done = cli("train", "-m", "block=sas,pre_ln", "data.path=my text")
    assert done.code == 2 and done.err.endswith("a run of each: simplify sweep block=sas,pre_ln 'data.path=my text'\n")


def test_each_wrong_setting_has_its_line(cli: Cli) -> None:
    result = cli("config", "optimiser.lr=abc", "train.stepz=3")
    assert [line.split(":")[1].strip() for line in result.err.splitlines()] == ["optimiser.lr=abc", "train.stepz"]
    assert result.code == 2


def test_settings_that_need_each_other(cli: Cli) -> None:
    for words, message in (
        (
            ["block=pre_ln_identity_vp", "optimiser.value_lr_ratio=0.1"],
            "optimiser.value_lr_ratio=0.1: block=pre_ln_identity_vp has neither W_V nor W_P; valid: 1, or choose a "
            "block that has one",
        ),
        (
            ["block=pre_ln", "block.channel_gains=true"],
            "block.channel_gains=true: has no use where the gains are fixed; add attn_branch and mlp_branch to "
            "block.trainable_gains",
        ),
        (
            ["block=no_query", "model.d_head=16"],
            "model.d_head=16: block.query is identity, which needs n_heads * d_head = d_model; valid: null or 32; or "
            "choose a block with a dense query",
        ),
    ):
        result = cli("config", *words)
        assert (result.code, result.err) == (2, f"simplify: {message}\n")


def test_missing_data_folder(cli: Cli, here: Path) -> None:
    result = cli("train", *TINY, "data.path=no/such/folder")
    assert result.err == (
        f"simplify: data.path={here}/no/such/folder: no such folder; valid: an existing folder of text files, or one "
        "text file\n"
    )
    assert result.code == 2


def test_empty_corpus(cli: Cli, here: Path) -> None:
    (here / "text").mkdir()
    (here / "text" / "empty.py").touch()
    result = cli("train", *TINY, "data.path=text")
    assert result.err == (
        f"simplify: data.pattern=*.py: 1 file below data.path={here}/text, none with text in it; valid: a pattern that "
        "matches text files, as in **/*.md\n"
    )
    assert result.code == 2


def test_pattern_outside_the_folder(cli: Cli) -> None:
    result = cli("train", *TINY, "data.pattern=/etc/*")
    assert result.err == (
        "simplify: data.pattern=/etc/*: no pattern relative to data.path; valid: one that is, as in **/*.md\n"
    )
    assert result.code == 2


def test_unwritable_cache(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "file").touch()
    monkeypatch.setenv("SIMPLIFY_CACHE", str(here / "file" / "cache"))
    result = cli("train", *TINY)
    assert result.err == (
        f"simplify: SIMPLIFY_CACHE={here}/file/cache: the corpus cannot be written: Not a directory; set "
        "SIMPLIFY_CACHE to a folder with space\n"
    )
    assert result.code == 2


def test_validation_split_smaller_than_a_batch(cli: Cli) -> None:
    result = cli("train", *TINY, "train.batch_tokens=1600000")
    assert "fewer than a batch (100000); use more text" in result.err
    assert result.err.startswith("simplify: data.val_fraction=0.3: the validation split has ")
    assert result.err.count("\n") == 1
    assert result.code == 2


def test_no_validation_split_at_all(cli: Cli, here: Path) -> None:
    (here / "text").mkdir()
    shutil.copy(TEXT / "base_events.py", here / "text" / "a.py")
    result = cli("train", *TINY, "data.path=text", "data.val_fraction=0.0001")
    assert result.err == (
        "simplify: data.val_fraction=0.0001: the validation split has 0 sequences of 16 tokens, fewer than a batch "
        "(8); use more text, a larger data.val_fraction, a shorter model.seq_len or a smaller train.batch_tokens\n"
    )
    assert result.code == 2


def test_sequence_longer_than_the_corpus(cli: Cli) -> None:
    result = cli("train", *TINY, "model.seq_len=1000000", "train.batch_tokens=1000000")
    assert result.err.startswith("simplify: model.seq_len=1000000: longer than the corpus: its training split has ")
    assert result.err.endswith(" tokens; use a shorter model.seq_len or more text\n")
    assert result.code == 2
    apart = cli("train", *TINY, "model.seq_len=65536", "train.batch_tokens=65536", "data.packing=document")
    assert apart.err.startswith(
        "simplify: model.seq_len=65536: longer than every document (data.packing=document keeps"
    )
    assert apart.code == 2 and apart.err.count("\n") == 1


def test_unwritable_run_root(cli: Cli, here: Path) -> None:
    (here / "file").touch()
    result = cli("train", *TINY, "run_root=file/runs")
    assert result.err == (
        "simplify: run_root=file/runs: cannot be written: Not a directory; valid: a folder you may write to, as in "
        "run_root=DIR\n"
    )
    assert result.code == 2


def test_checkpoint_of_another_config(cli: Cli, here: Path) -> None:
    assert cli("train", *TINY, "block=pre_ln").code == 0
    folder = run_folder(here)
    other = folder.with_name("pre_ln-other")
    folder.rename(other)
    assert cli("train", *TINY, "block=pre_ln", "seed=1").code == 0
    folder = run_folder_named(here, "pre_ln-custom", "pre_ln-gpt_nano")
    (folder / "done.json").unlink()
    shutil.rmtree(folder / "checkpoint")
    shutil.copytree(other / "checkpoint", folder / "checkpoint")
    before = (folder / "metrics.jsonl").read_bytes()
    result = cli("train", *TINY, "block=pre_ln", "seed=1")
    (described,) = (folder / "checkpoint").glob("*.json")
    mine, theirs = folder.name.rsplit("-", 1)[1], _run_of(other)
    assert result.err == (
        f"simplify: {described}: is a checkpoint of run {theirs}, but this configuration is run {mine}; remove it, or "
        "run with --force to start afresh\n"
    )
    assert result.code == 2
    assert (folder / "metrics.jsonl").read_bytes() == before


def run_folder_named(here: Path, *labels: str) -> Path:
    (found,) = [p for label in labels for p in (here / "runs").glob(f"{label}-*")]
    return found


def _run_of(folder: Path) -> str:
    return json.loads((folder / "run.json").read_text())["id"]


@pytest.mark.parametrize("verb", ["train", "config"])
def test_broken_yaml_names_line_and_column(cli: Cli, here: Path, verb: str) -> None:
    folder = here / "my conf" / "block"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("attn_skip: 0\nvalue: {kind: identity\n")
    result = cli(verb, "block=mine", "--conf", "my conf")
    assert "mine.yaml, line 3, column 1: " in result.err
    assert result.code == 2


def test_missing_overlay(cli: Cli) -> None:
    result = cli("config", "--conf", "nowhere")
    assert result.err == (
        "simplify: --conf=nowhere: no such folder; valid: a folder with block/, model/, ... and YAML files in them\n"
    )
    assert result.code == 2


def test_group_beside_a_frozen_config(cli: Cli) -> None:
    result = cli("config", "--config", "runs/x/config.yaml", "block=sas")
    assert "block=sas: a choice of a group cannot be combined with --config=runs/x/config.yaml" in result.err
    assert result.code == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no settings"),
        (b"- a\n- b\n", "holds no settings"),
        (b"\xbf\x00\xff", "is no YAML text"),
        (None, "No such file or directory"),
    ],
)
def test_config_files_that_are_none(cli: Cli, here: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (here / "garbage.yaml").write_bytes(content)
    result = cli("train", "--config", "garbage.yaml")
    assert result.err == f"simplify: --config=garbage.yaml: {problem}; valid: the config.yaml of a run folder\n"
    assert result.code == 2
