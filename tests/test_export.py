"""`simplify export`: what `transformers` loads gives the same logits."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, run_folder

from simplify.choices import choices
from simplify.compose import compose_run
from simplify.export import write
from simplify.runs.lookup import find_run
from simplify.training.restored import restore_run
from simplify.zoo.model import build_model

Cli = Callable[..., Any]

# Another process, as another person would: only transformers is imported by name.
LOADER = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
auto = {"decoder": AutoModelForCausalLM, "encoder": AutoModelForMaskedLM}[sys.argv[2]]
model = auto.from_pretrained(sys.argv[1], trust_remote_code=True)
tokeniser = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)
words = tokeniser("async def run(self):", return_tensors="pt")
out = model(**words, labels=words["input_ids"])
text = ""
if sys.argv[2] == "decoder":
    text = tokeniser.decode(model.generate(**words, max_new_tokens=30, do_sample=False)[0])
torch.save([words["input_ids"], out.logits.detach(), out.loss.detach(), text, tokeniser.mask_token], sys.argv[3])
"""


def loaded(folder: Path, kind: str, result: Path) -> Any:
    import torch

    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(result.parent / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", LOADER, str(folder), kind, str(result)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(result)


@pytest.mark.parametrize(
    ("kind", "positions"), [("decoder", "rope"), ("encoder", "sinusoidal")], ids=["decoder", "encoder"]
)
def test_transformers_gives_the_same_logits(cli: Cli, here: Path, kind: str, positions: str) -> None:
    """Rotary and sinusoidal codes are not saved, so they show whether they were computed anew."""
    words = [*TINY, f"model.kind={kind}", f"model.positions={positions}", "train.steps=8"]
    assert cli("train", *words).code == 0
    run = run_folder(here)
    done = cli("export", run.name, "--to", "exported model")
    assert done.code == 0 and "trust_remote_code=True" in done.out and done.err == ""
    tokens, logits, loss, text, mask = loaded(here / "exported model", kind, here / "out.pt")
    folder = find_run(run.name, run.parent)
    restored = restore_run(folder, folder.config())
    expected = restored.model(tokens).detach()
    assert (logits - expected).abs().max() == 0.0 and loss > 0
    if kind == "decoder":
        greedy = restored.model.generate(tokens, 30, temperature=0.0)[0].tolist()
        assert text.startswith("async def run(self):") and len(text) > 30
        assert text.startswith(restored.tokeniser.decode(greedy[: 16 - tokens.shape[1]]))
    assert mask == ("<|mask|>" if kind == "encoder" else None)


@pytest.mark.parametrize("block", choices("block"))
def test_every_block_survives_the_format(block: str, tmp_path: Path) -> None:
    import torch

    from simplify.export.huggingface import SimplifyConfig, SimplifyForCausalLM

    words = ["model.n_layers=2", "model.d_model=16", "model.n_heads=2", "model.d_ff=24", "model.positions=alibi"]
    run = compose_run([f"block={block}", *words, "data.vocab_size=300"])
    built = build_model(run.block, run.model, 300, 0)
    wrapped = SimplifyForCausalLM(SimplifyConfig.of(run))
    wrapped.transformer.load_state_dict(built.state_dict())
    wrapped.save_pretrained(tmp_path)
    again = SimplifyForCausalLM.from_pretrained(tmp_path)
    tokens = torch.arange(10)[None]
    assert torch.equal(again(tokens).logits, built(tokens))


def test_padding_reaches_the_model() -> None:
    import torch

    from simplify.export.huggingface import SimplifyConfig, SimplifyForMaskedLM

    run = compose_run(["block=pre_ln", "model=bert_nano", "data.vocab_size=300"])
    wrapped = SimplifyForMaskedLM(SimplifyConfig.of(run))
    wrapped.transformer.load_state_dict(build_model(run.block, run.model, 300, 0).state_dict())
    tokens, mask = torch.arange(12)[None].repeat(2, 1), torch.ones(2, 12, dtype=torch.long)
    mask[:, 8:] = 0
    tokens[1, 8:] = 250
    out = wrapped(tokens, attention_mask=mask).logits
    assert torch.allclose(out[0, :8], out[1, :8], atol=1e-6)
    assert not torch.allclose(wrapped(tokens).logits[0, :8], out[0, :8], atol=1e-4)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, cli: Cli, here: Path) -> None:
    assert cli("train", *TINY, "train.steps=2").code == 0
    monkeypatch.setattr(write, "find_spec", lambda _: None)
    done = cli("export", run_folder(here).name, "--to", "there")
    assert done.code == 2 and done.err == (
        "simplify: export: needs transformers and safetensors; install the extra: pip install '.[hub]' in simplify's "
        "folder\n"
    )


def test_what_the_command_refuses(cli: Cli, here: Path) -> None:
    assert cli("train", *TINY, "train.steps=2").code == 0
    run = run_folder(here)
    assert cli("export", "zzz", "--to", "there").err.startswith("simplify: zzz: no run of that name or id")
    (here / "full").mkdir()
    (here / "full" / "something").write_text("")
    for folder in ("full", "full/something"):
        done = cli("export", run.name, "--to", folder)
        assert done.code == 2 and "exists and is not empty" in done.err
    assert (here / "full" / "something").read_text() == ""
    for file in (run / "checkpoint").iterdir():
        file.unlink()
    bare = cli("export", run.name, "--to", "there")
    assert bare.code == 2 and "has no checkpoint yet" in bare.err and not (here / "there").exists()


def _file_size_limit() -> None:
    """Files of at most 40 KiB: the config fits, the weights do not. What a quota does to one file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (40 * 1024, 40 * 1024))


def test_a_full_disk_leaves_nothing(cli: Cli, here: Path, spawn: Callable[..., subprocess.Popen[str]]) -> None:
    assert cli("train", *TINY, "train.steps=2").code == 0
    process = spawn("export", run_folder(here).name, "--to", "there", preexec_fn=_file_size_limit)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2 and "there: cannot be written:" in error and "Traceback" not in error
    assert [p.name for p in here.iterdir()] == ["runs"]


def test_a_copy_is_exported_without_its_text(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("train", *TINY, "train.steps=2").code == 0
    shutil.copytree(run_folder(here), here / "my best run")
    shutil.rmtree(here / "runs")
    monkeypatch.setenv("SIMPLIFY_CACHE", str(here / "cache"))
    assert cli("export", "my best run", "--to", "out").code == 0
    assert (here / "out" / "tokenizer.json").is_file() and not (here / "cache").exists()
