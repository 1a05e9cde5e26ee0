"""Parameters, FLOPs and activation memory from the configuration, against the built module."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from simplify.choices import choices
from simplify.compose import compose_run
from simplify.config import RunConfig
from simplify.zoo.counts import count_flops, count_parameters, count_parts
from simplify.zoo.memory import activation_bytes
from simplify.zoo.model import Transformer, build_model

SMALL = ["model.n_layers=3", "model.d_model=48", "model.n_heads=4", "model.d_ff=80", "model.seq_len=12"]
SMALL += ["train.batch_tokens=12"]
VOCAB = 50
EXTRAS = {
    "plain": [],
    "layernorm": ["model.norm=layernorm", "model.tied_embeddings=false", "model.positions=rope", "block.qk_bias=true"],
    "shared gains": [
        "model.embedding_norm=true",
        "block.head_gains=false",
        "model.n_positions=40",
        "block.qk_norm=true",
    ],
    "geglu": [
        "model.kind=encoder",
        "model.activation=geglu",
        "block.attn_gate=head",
        "model.positions=scaled_sinusoidal",
    ],
    "alibi": ["model.positions=alibi", "block.value_own=0.5", "block.value_first=0.5", "model.final_norm=derf"],
}


def counted(config: RunConfig) -> tuple[int, float]:
    """Parameters and forward FLOPs a token of the built module, by torch's own counter."""
    model = build_model(config.block, config.model, VOCAB, 0)
    tokens = torch.zeros(2, config.model.seq_len, dtype=torch.long)
    # The counter does not know the CPU's fused kernel; torch's plain one has the same products.
    with FlopCounterMode(display=False) as flops, sdpa_kernel(SDPBackend.MATH):
        model(tokens)
    return sum(p.numel() for p in model.parameters()), flops.get_total_flops() / tokens.numel()


@pytest.mark.parametrize("block", choices("block"))
@pytest.mark.parametrize("extra", EXTRAS)
def test_counts_from_the_config_equal_the_built_module(block: str, extra: str) -> None:
    config = compose_run([f"block={block}", *SMALL, *EXTRAS[extra]])
    sizes = (config.block, config.model, VOCAB)
    assert (count_parameters(*sizes), count_flops(*sizes)) == counted(config)
    assert sum(part.parameters for part in count_parts(*sizes)) == count_parameters(*sizes)


def test_grouped_heads_count() -> None:
    config = compose_run(["block=pre_ln", *SMALL, "model.n_kv_heads=2", "model.d_head=10"])
    assert (
        count_parameters(config.block, config.model, VOCAB),
        count_flops(config.block, config.model, VOCAB),
    ) == counted(config)


@pytest.mark.parametrize(
    ("words", "millions"),
    [
        (["block=pre_ln", "model=gpt_small", "data=codeparrot"], 166.6),
        (["block=sas", "model=gpt_small", "data=codeparrot"], 145.9),
        (["block=sas_p", "model=gpt_small", "data=codeparrot"], 145.9),
        (["block=pre_ln", "model=bert_small", "data.vocab_size=32768"], 119.5),
        (["block=sas", "model=bert_small", "data.vocab_size=32768"], 101.3),
        (["block=sas_p", "model=bert_small", "data.vocab_size=32768"], 101.3),
    ],
)
def test_the_papers_parameter_counts(words: list[str], millions: float) -> None:
    """BLOCKS.md section 2, to 0.1M, from the config alone."""
    config = compose_run(words)
    total = count_parameters(config.block, config.model, config.data.vocab_size)
    assert abs(total / 1e6 - millions) < 0.1
    with torch.device("meta"):  # the module itself, without its memory
        built = Transformer(config.block, config.model, config.data.vocab_size)
    assert sum(p.numel() for p in built.parameters()) == total


def test_a_sixth_of_a_blocks_products_goes() -> None:
    """At d_ff = 4 d: 12 d^2 against 10 d^2 in every layer from the second on (BLOCKS.md section 2)."""
    flops = {}
    for name in ("pre_ln", "pre_ln_identity_vp"):
        config = compose_run([f"block={name}", "model=gpt_small"])
        parts = {part.name: part.flops for part in count_parts(config.block, config.model, 50)}
        flops[name] = sum(parts.get(name, 0) for name in ("W_Q", "W_K", "W_V", "W_P", "W_in", "W_out"))
    assert flops["pre_ln_identity_vp"] * 6 == flops["pre_ln"] * 5


@pytest.mark.parametrize("block", choices("block"))
def test_activation_memory_is_linear_in_the_context_but_for_the_cap(block: str) -> None:
    """Twice the context, twice the bytes, for every block that runs on fused attention."""
    sizes = []
    for length in (128, 256):
        config = compose_run([f"block={block}", *SMALL, f"model.seq_len={length}", "train.batch_tokens=256"])
        layers = activation_bytes(config.block, config.model)
        assert len(layers) == 3 and layers[1] == layers[2] > 0
        sizes.append(layers[1])
    ratio = sizes[1] / sizes[0]
    if config.block.soft_cap is None:
        assert ratio == pytest.approx(2, rel=0.01)
    else:  # the one setting that holds T x T matrices
        assert ratio > 2.5


@pytest.mark.parametrize("block", ["pre_ln", "sas", "soft_cap", "value_residual"])
def test_activation_memory_is_what_the_real_block_saves(block: str) -> None:
    """Counted once more on real tensors, with their addresses."""
    config = compose_run([f"block={block}", *SMALL])
    model = build_model(config.block, config.model, VOCAB, 0)
    tokens = torch.zeros(1, 12, dtype=torch.long)
    weights = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    context = model.context(tokens)
    x = model.embed(tokens, context)
    found, alive, seen = [], [], weights
    for module in model.blocks:
        saved: list[torch.Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=saved: s.append(t) or t, lambda t: t):
            x = module(x, context)
        alive += saved
        places = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
        found.append(sum(size for place, size in places.items() if place not in seen))
        seen = seen | places.keys()
    assert found == activation_bytes(config.block, config.model)


def test_a_model_of_any_size_can_be_asked() -> None:
    words = ["model.d_model=12288", "model.n_heads=96", "model.n_layers=96", "model.d_ff=49152", "model.seq_len=4096"]
    config = compose_run(["block=sas", *words, "train.batch_tokens=4096"])
    assert sum(activation_bytes(config.block, config.model)) > 200 * 2**30


def test_identity_values_keep_less_for_the_backward_pass() -> None:
    kept = {}
    for name in ("pre_ln", "pre_ln_identity_vp"):
        config = compose_run([f"block={name}", *SMALL])
        kept[name] = activation_bytes(config.block, config.model)[1]
    assert kept["pre_ln_identity_vp"] < kept["pre_ln"]
