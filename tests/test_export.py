"""`simplify export`: what `transformers` loads gives the same logits."""

from __future__ import annotations

import json
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

import simplify
from simplify.choices import choices
from simplify.compose import compose_run
from simplify.errors import ConfigError
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
    umask = os.umask(0o027)
    try:
        done = cli("export", run.name, "--to", "exported model")
    finally:
        os.umask(umask)
    umask = 0o027
    assert done.code == 0 and "trust_remote_code=True" in done.out and done.err == ""
    for file in (here / "exported model").iterdir():
        assert file.stat().st_mode & 0o777 == 0o666 & ~umask, file  # a group can read what it may
    kept = json.loads((here / "exported model" / "tokenizer.json").read_text())
    assert kept["truncation"] is None and kept["padding"] is None
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


def wrapped(*words: str, kind: str = "decoder") -> Any:
    """A tiny exported model in this process, its weights far from those it starts with."""
    import torch

    from simplify.export.huggingface import SimplifyConfig, SimplifyForCausalLM, SimplifyForMaskedLM

    size = ["model.n_layers=2", "model.d_model=16", "model.n_heads=2", "model.d_ff=24", "model.seq_len=12"]
    run = compose_run([*size, f"model.kind={kind}", "train.batch_tokens=12", "data.vocab_size=300", *words])
    model = (SimplifyForCausalLM if kind == "decoder" else SimplifyForMaskedLM)(
        SimplifyConfig.of(run, eos_token_id=0, pad_token_id=0)
    )
    model.transformer.load_state_dict(build_model(run.block, run.model, 300, 0).state_dict())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "scaled_sinusoidal", "rope", "alibi", "none"])
def test_a_batch_padded_on_the_left_gives_the_same_as_each_text_alone(positions: str) -> None:
    """Also beyond the context, where the oldest tokens are dropped."""
    import torch

    model = wrapped(f"model.positions={positions}")
    texts = [[5, 6, 7, 8, 9], [250], [41, 42, 43]]
    alone = [model.generate(torch.tensor([text]), max_new_tokens=12, do_sample=False)[0, len(text) :] for text in texts]
    tokens = torch.tensor([[0] * (5 - len(text)) + text for text in texts])
    mask = torch.tensor([[0] * (5 - len(text)) + [1] * len(text) for text in texts])
    for use_cache in (False, True):
        found = model.generate(
            tokens, attention_mask=mask, max_new_tokens=12, do_sample=False, eos_token_id=299, use_cache=use_cache
        )
        for row, single in zip(found[:, 5:].tolist(), alone, strict=True):
            assert row[: len(single)] == single.tolist()  # alone, it ends where the model ends its text
    right = model(torch.tensor([[5, 6, 7, 1, 1]]), attention_mask=torch.tensor([[1, 1, 1, 0, 0]])).logits
    assert torch.allclose(right[:, :3], model(torch.tensor([[5, 6, 7]])).logits, atol=1e-5)


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_arguments_are_obeyed_or_refused_by_name(kind: str) -> None:
    import torch

    model, tokens = wrapped("block=pre_ln", kind=kind), torch.arange(8).repeat(2, 1)
    plain = model(tokens).logits
    moved = model(tokens, position_ids=torch.arange(8)[None] + 4).logits
    assert (moved - plain).abs().max() > 1e-2
    assert torch.equal(model(tokens, position_ids=torch.arange(8)).logits, plain)
    mask = torch.ones(2, 8, dtype=torch.long)
    mask[:, :3] = 0
    other = torch.where(mask.bool(), tokens, 250)
    assert torch.allclose(model(tokens, mask).logits[:, 3:], model(other, mask).logits[:, 3:], atol=1e-6)
    assert not torch.allclose(model(tokens).logits[:, 3:], model(other).logits[:, 3:], atol=1e-4)
    assert torch.equal(model(tokens, return_dict=False)[0], plain)
    nothing = {"use_cache": False, "output_attentions": None, "token_type_ids": torch.zeros_like(tokens)}
    assert torch.equal(model(tokens, **nothing).logits, plain)
    asked = ("output_hidden_states", "output_attentions", "use_cache", "head_mask", "anything")
    for given in (*({name: True} for name in asked), {"past_key_values": ()}, {"inputs_embeds": plain}):
        (name,) = given
        with pytest.raises(ValueError, match=f"^{name}: is not supported by this model; valid: input_ids, attention_"):
            model(tokens, **given)
    for given, message in (
        ({"input_ids": None}, "input_ids: needs token numbers"),
        ({"attention_mask": mask[:, 1:]}, r"attention_mask: needs the shape of input_ids \(2, 8\)"),
        ({"position_ids": torch.arange(7)}, "position_ids: needs the shape of input_ids"),
        ({"position_ids": torch.arange(8) - 1}, "position_ids: needs numbers >= 0, found -1"),
        ({"position_ids": torch.arange(8) + 5}, "13 positions, more than the model's context 12; cut the text to 12"),
        ({"input_ids": torch.arange(13)[None]}, "13 positions, more than the model's context 12"),
    ):
        with pytest.raises(ValueError, match=message):
            model(**{"input_ids": tokens, **given})
    model.config.output_hidden_states = True
    with pytest.raises(ValueError, match="output_hidden_states: is not supported"):
        model(tokens)


def test_generate_refuses_what_it_would_swallow() -> None:
    import torch

    model, tokens = wrapped(), torch.arange(1, 5)[None]
    more = {"max_new_tokens": 3, "do_sample": False}
    for given in ({"inputs_embeds": torch.zeros(1, 4, 16)}, {"output_hidden_states": True}, {"head_mask": tokens}):
        with pytest.raises(ValueError, match=next(iter(given))):
            model.generate(tokens, **more, **given, return_dict_in_generate=True)
    moved = model.generate(tokens, **more, position_ids=torch.arange(4)[None] + 6)
    assert moved.shape == (1, 7)


@pytest.mark.parametrize("how", ["bfloat16", "float16"])
@pytest.mark.parametrize("words", [["model.positions=alibi"], ["block=pre_ln", "model.positions=rope"], ["block=derf"]])
def test_half_precision(how: str, words: list[str], tmp_path: Path) -> None:
    import torch

    from simplify.export.huggingface import SimplifyForCausalLM

    dtype, tokens = getattr(torch, how), torch.arange(2, 12)[None]
    model = wrapped(*words)
    expected = model(tokens).logits
    model.save_pretrained(tmp_path)
    for narrow in (SimplifyForCausalLM.from_pretrained(tmp_path, dtype=dtype), model.to(dtype)):
        found = narrow(tokens, labels=tokens)
        assert found.logits.dtype == dtype and found.loss.isfinite()
        assert (found.logits.float() - expected).abs().max() < 0.1 * expected.abs().max()
        assert narrow.generate(tokens[:, :3], max_new_tokens=4, do_sample=False).shape[0] == 1


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


PLAIN = {
    "gpt2": ["model.norm=layernorm", "model.activation=gelu"],
    "llama": ["model.norm=rmsnorm", "model.positions=rope", "model.activation=swiglu"],
}
CASES = [
    ("gpt2", []),
    ("gpt2", ["block.qk_bias=true", "model.positions=scaled_sinusoidal", "model.tied_embeddings=false"]),
    ("gpt2", ["block=pre_ln_trainable_vp", "model.activation=relu2"]),
    ("gpt2", ["block=layerscale", "model.n_positions=20", "model.activation=relu"]),
    ("gpt2", ["block=lns", "block.beta=0.7", "block.trainable_gains=[beta]"]),
    ("llama", []),
    ("llama", ["block=no_query", "model.n_kv_heads=1", "block.query=dense", "model.d_head=6", "block.qk_bias=true"]),
    ("llama", ["block=shared_kv", "model.activation=geglu", "model.tied_embeddings=false"]),
    ("llama", ["block=inv_sqrt_depth"]),
]


@pytest.mark.parametrize(("kind", "words"), CASES, ids=str)
def test_a_plain_folder_needs_no_code_of_ours(kind: str, words: list[str], tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from simplify.export.plain import obstacles, plain_model

    size = ["model.n_layers=2", "model.d_model=16", "model.n_heads=2", "model.d_ff=24", "model.seq_len=12"]
    run = compose_run(["block=pre_ln", *size, "train.batch_tokens=12", "data.vocab_size=300", *PLAIN[kind], *words])
    model = wrapped(*["block=pre_ln", *PLAIN[kind], *words]).transformer
    assert obstacles(run, kind) == [] and obstacles(run, {"gpt2": "llama", "llama": "gpt2"}[kind])
    plain_model(kind, run, model, eos_token_id=0, bos_token_id=0, pad_token_id=0).save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.config.model_type == kind and not (tmp_path / "modeling_simplify.py").exists()
    tokens = torch.randint(300, (2, 12), generator=torch.Generator().manual_seed(1))
    expected = model(tokens)
    assert (again(tokens).logits - expected).abs().max() < 1e-5 * max(expected.abs().max().item(), 1.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["block=parallel"], "block.layout=parallel: only serial"),
        (["block=post_ln"], "block.norm=post: only pre"),
        (["block=sas"], "block.alpha=1.0: only null"),
        (["block=deepnorm"], "block.attn_skip="),
        (["block=qk_norm"], "block.qk_norm=true: only false"),
        (["block=soft_cap"], "block.soft_cap="),
        (["block=gated_attention"], "block.attn_gate="),
        (["block=value_residual"], "block.value_first="),
        (["model.kind=encoder"], "model.kind=encoder: only a decoder"),
        (["model.positions=alibi"], "model.positions=alibi: only learned"),
        (["model.activation=swiglu"], "model.activation=swiglu: only gelu"),
        (["model.final_norm=rmsnorm"], "model.final_norm=rmsnorm: only layernorm"),
        (["model.n_kv_heads=2"], "model.n_kv_heads=2: only 4"),
        (["model.embedding_norm=true"], "model.embedding_norm=true: only false"),
    ],
    ids=str,
)
def test_what_is_no_gpt2_is_refused_by_its_setting(words: list[str], said: str) -> None:
    run = compose_run(["block=pre_ln", *PLAIN["gpt2"], *words])
    with pytest.raises(ConfigError, match="--as=gpt2: this run is none: ") as refused:
        write.spelling(run, "gpt2")
    assert said in str(refused.value) and "\n" not in str(refused.value)
    kind, why = write.spelling(run, "auto")
    assert kind == "simplify" and why.startswith("no gpt2 for ")


def test_the_command_writes_a_plain_folder(cli: Cli, here: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert cli("train", *TINY, "block=pre_ln", *PLAIN["gpt2"], "train.steps=2").code == 0
    run = run_folder(here)
    wrong = cli("export", run.name, "--to", "plain", "--as", "gtp2")
    assert wrong.err == "simplify: --as=gtp2: did you mean gpt2? valid: simplify, gpt2, llama, auto\n"
    llama = cli("export", run.name, "--to", "plain", "--as", "llama")
    assert llama.code == 2 and "model.positions=learned: only rope" in llama.err and not (here / "plain").exists()
    done = cli("export", run.name, "--to", "plain", "--as", "auto")
    assert done.code == 0 and f"{run.name} as gpt2: " in done.out and "trust_remote_code" not in done.out
    words = AutoTokenizer.from_pretrained(here / "plain")("async def run(self):", return_tensors="pt")
    found = AutoModelForCausalLM.from_pretrained(here / "plain")(**words).logits
    trained = simplify.load(run, "cpu")
    assert (found - trained.model(words["input_ids"])).abs().max() < 1e-5
