"""Formulas inside the branches: queries, keys, values, logits and gates of attention, the MLP kinds, ALiBi."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from explicit_parts import rotated, slopes
from torch import Tensor
from zoo_tools import KINDS, OneBlock, built, difference, random_tokens, refine_positions, rms

HEADS, WIDTH = 3, 4


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Tiny sums gain nothing from threads."""
    torch.set_num_threads(1)


def split(x: Tensor) -> Tensor:
    """(B, T, H h) -> (B, H, T, h)."""
    return x.unflatten(-1, (HEADS, WIDTH)).transpose(1, 2)


def scores(q: Tensor, k: Tensor) -> Tensor:
    """Q K^T / sqrt(h) for each head."""
    return torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(WIDTH)


def causal(logits: Tensor, v: Tensor) -> Tensor:
    """softmax(logits + M) V with heads side by side again: (B, T, H h)."""
    length = logits.shape[-1]
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    return (logits.masked_fill(later, -math.inf).softmax(-1) @ v).transpose(1, 2).flatten(2)


def heads(b: OneBlock, u: Tensor, which: str) -> Tensor:
    """The queries, keys or values u W of each head."""
    return split(u @ b.weight(f"attention.{which}.weight").T)


def assert_attends(b: OneBlock, out: Tensor) -> None:
    """The attention's output for b.x is `out` W_P."""
    assert difference(b.attention(b.x), out @ b.weight("attention.projection.weight").T) < 1e-12


def attention_weights(block: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of one attention's weights."""
    state = built([f"block={block}"])[1].state_dict()
    start = "blocks.1.attention."
    return {name.removeprefix(start): tuple(w.shape) for name, w in state.items() if name.startswith(start)}


MATRICES = {f"{name}.weight": (12, 12) for name in ("query", "key", "value", "projection")}


def test_plain_attention() -> None:
    """What the others change."""
    b = OneBlock(["block=pre_ln"])
    q, k, v = (heads(b, b.x, name) for name in ("query", "key", "value"))
    assert_attends(b, causal(scores(q, k), v))
    assert attention_weights("pre_ln") == MATRICES


def test_qk_norm_norms_each_heads_queries_and_keys() -> None:
    """RMSNorm over a head's width, one scale for all heads, 1 at first; values stay as they are."""
    b = OneBlock(["block=qk_norm"])
    q = rms(heads(b, b.x, "query"), b.weight("attention.query_norm.weight"))
    k = rms(heads(b, b.x, "key"), b.weight("attention.key_norm.weight"))
    assert_attends(b, causal(scores(q, k), heads(b, b.x, "value")))
    assert attention_weights("qk_norm") == MATRICES | {"query_norm.weight": (4,), "key_norm.weight": (4,)}
    state = built(["block=qk_norm"])[1].state_dict()
    assert all((w == 1).all() for name, w in state.items() if "query_norm" in name or "key_norm" in name)


def test_queries_and_keys_are_normed_before_rotary_positions() -> None:
    """A rotation keeps lengths, but the norm's trained scale differs from number to number."""
    b = OneBlock(["block=qk_norm", "model.positions=rope"])
    refine_positions(b.config, b.model)
    q = rms(heads(b, b.x, "query"), b.weight("attention.query_norm.weight"))
    k = rms(heads(b, b.x, "key"), b.weight("attention.key_norm.weight"))
    q, k = (torch.stack([torch.stack([rotated(h) for h in sequence]) for sequence in z]) for z in (q, k))
    assert_attends(b, causal(scores(q, k), heads(b, b.x, "value")))


def test_soft_cap_bounds_the_logits_smoothly() -> None:
    """Gemma 2 (arXiv 2408.00118): 50 tanh(logits / 50), here with logits far beyond 50."""
    b = OneBlock(["block=soft_cap"], scale=3.0)
    q, k, v = (heads(b, b.x, name) for name in ("query", "key", "value"))
    logits = scores(q, k)
    assert logits.abs().max() > 100
    assert_attends(b, causal(50 * torch.tanh(logits / 50), v))
    assert b.config.block.soft_cap == 50
    assert attention_weights("soft_cap") == MATRICES


@pytest.mark.parametrize("gate", ["element", "head"])
def test_gated_attention_gates_head_outputs_by_its_input(gate: str) -> None:
    """arXiv 2505.06708: (concat of heads * sigmoid(u W_g)) W_P; one number an element, or one a head."""
    b = OneBlock(["block=gated_attention", f"block.attn_gate={gate}"])
    q, k, v = (heads(b, b.x, name) for name in ("query", "key", "value"))
    weight = b.weight("attention.gate.weight")
    assert weight.shape == ({"element": 12, "head": 3}[gate], 12)
    opened = torch.sigmoid(b.x @ weight.T)
    if gate == "head":
        opened = opened.repeat_interleave(WIDTH, dim=-1)
    assert_attends(b, opened * causal(scores(q, k), v))


def test_gated_attention_is_by_element_and_starts_half_open() -> None:
    """The block's default; without a bias, small initial weights leave each gate near 1/2."""
    assert attention_weights("gated_attention") == MATRICES | {"gate.weight": (12, 12)}
    state = built(["block=gated_attention", "model.d_model=96", "model.init_std=0.02"])[1].state_dict()
    assert state["blocks.1.attention.gate.weight"].std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("trained", [False, True])
def test_value_residual_mixes_in_layer_ones_values(trained: bool) -> None:
    """ResFormer (arXiv 2410.17897): from layer 2 on 0.5 V_l + 0.5 V_1, with the values before any mixing."""
    words = ["block=value_residual", *(["block.trainable_gains=[value_own,value_first]"] if trained else [])]
    first, second, third = (OneBlock(words, layer) for layer in range(3))
    second.x, third.x = 2 * first.x + 1, first.x.flip(0)
    second.context = third.context = first.context  # one pass through the layers
    v1 = heads(first, first.x, "value")
    for b in (first, second, third):
        v = heads(b, b.x, "value")
        if b is not first:
            own, other = (b.gain(f"attention.{g}") if trained else 0.5 for g in ("value_own", "value_first"))
            v = own * v + other * v1
        assert_attends(b, causal(scores(heads(b, b.x, "query"), heads(b, b.x, "key")), v))
    start = built(words)[1].state_dict()
    gains = {name: w.item() for name, w in start.items() if name.endswith("gain")}
    layers = (1, 2) if trained else ()  # layer 1 of the paper has none
    assert gains == {f"blocks.{i}.attention.{g}.gain": 0.5 for i in layers for g in ("value_own", "value_first")}


def test_no_query_asks_with_its_input() -> None:
    """arXiv 2510.23912: Q = u, each head its own slice; there is no W_Q."""
    b = OneBlock(["block=no_query"])
    assert_attends(b, causal(scores(split(b.x), heads(b, b.x, "key")), heads(b, b.x, "value")))
    assert attention_weights("no_query") == {n: s for n, s in MATRICES.items() if n != "query.weight"}


def test_shared_kv_has_one_matrix_for_keys_and_values() -> None:
    """arXiv 2606.04032: K = V; there is no W_K."""
    b = OneBlock(["block=shared_kv"])
    v = heads(b, b.x, "value")
    assert_attends(b, causal(scores(heads(b, b.x, "query"), v), v))
    assert attention_weights("shared_kv") == {n: s for n, s in MATRICES.items() if n != "key.weight"}


def test_shared_keys_are_the_values_before_they_are_mixed() -> None:
    """With a value residual the keys stay u W_V."""
    words = ["block=shared_kv", "block.value_own=0.3", "block.value_first=0.7"]
    first, b = OneBlock(words, 0), OneBlock(words, 1)
    first.attention(2 * b.x)
    b.context = first.context
    v, v1 = heads(b, b.x, "value"), heads(first, 2 * b.x, "value")
    assert_attends(b, causal(scores(heads(b, b.x, "query"), v), 0.3 * v + 0.7 * v1))


@pytest.mark.parametrize("activation", ["relu", "relu2", "gelu", "leaky_relu", "swiglu", "geglu"])
def test_mlp_kinds(activation: str) -> None:
    """act(u W_in) W_out, and (act(u W_gate) * (u W_in)) W_out for the gated ones."""
    slope = ["model.leaky_slope=0.3"] if activation == "leaky_relu" else []
    b = OneBlock([f"model.activation={activation}", "block=pre_ln", *slope])
    z, gated = b.x @ b.weight("mlp.fc_in.weight").T, activation.endswith("glu")
    if gated:
        gate = b.x @ b.weight("mlp.fc_gate.weight").T
        hidden = (F.silu(gate) if activation == "swiglu" else F.gelu(gate)) * z
    elif activation == "relu2":
        hidden = F.relu(z) ** 2
    elif activation == "leaky_relu":
        hidden = F.leaky_relu(z, 0.3)
    else:
        hidden = F.relu(z) if activation == "relu" else F.gelu(z)
    assert difference(b.mlp(b.x), hidden @ b.weight("mlp.fc_out.weight").T) < 1e-12
    shapes = {"fc_in": (20, 12), "fc_out": (12, 20)} | ({"fc_gate": (20, 12)} if gated else {})
    found = {n: tuple(w.shape) for n, w in b.weights.items() if n.startswith("blocks.0.mlp.")}
    assert found == {f"blocks.0.mlp.{name}.weight": shape for name, shape in shapes.items()}


PUBLISHED = {
    1: [2**-8],
    2: [2**-4, 2**-8],
    3: [2**-4, 2**-8, 2**-2],
    4: [2**-2, 2**-4, 2**-6, 2**-8],
    6: [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3],
    8: [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256],
    12: [*(2.0**-n for n in range(1, 9)), 2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5],
}


@pytest.mark.parametrize("n_heads", PUBLISHED)
@pytest.mark.parametrize("kind", KINDS)
def test_alibi_slopes_are_the_published_ones(n_heads: int, kind: str) -> None:
    """ALiBi (arXiv 2108.12409), measured: at zero logits, log A_ij falls by the head's slope a step of distance."""
    assert slopes(n_heads) == pytest.approx(PUBLISHED[n_heads], rel=1e-15)
    words = ["block=pre_ln_identity_vp", "model.positions=alibi", f"model.kind={kind}", f"model.n_heads={n_heads}"]
    model = built([*words, f"model.d_model={9 * n_heads}"])[1].double()
    attention = model.get_submodule("blocks.0.attention")
    with torch.no_grad():
        attention.get_parameter("query.weight").zero_()
        u = torch.eye(9, dtype=torch.float64).repeat(1, n_heads)[None]  # every head's V is I, its output A
        out = attention(u, model.context(random_tokens((1, 9))))
    a = out[0].unflatten(-1, (n_heads, 9)).transpose(0, 1).log()
    for head, slope in enumerate(PUBLISHED[n_heads]):
        for i in range(9):
            for j in range(i if kind == "decoder" else 8):
                nearer = 1 if j < i else -1
                assert (a[head, i, j + 1] - a[head, i, j]).item() == pytest.approx(nearer * slope, rel=1e-6)
