"""The zoo against the explicit transformer of `explicit.py`: outputs and gradients, in fp64."""

from __future__ import annotations

import pytest
import torch
from explicit_parts import sinusoids
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from zoo_tools import KINDS, POSITIONS, built, difference, padded, perturbed, random_tokens, worst

from simplify.choices import choices
from simplify.compose import compose_run

BLOCKS = choices("block")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Tiny sums gain nothing from threads."""
    torch.set_num_threads(1)


def assert_equal(words: list[str], tokens: Tensor, valid: Tensor | None = None) -> None:
    """The zoo's logits and gradients are those of the equations."""
    apart, gradients_apart = worst(words, tokens, valid)
    assert apart < 1e-10
    assert {n: g for n, g in gradients_apart.items() if not g < 1e-9} == {}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_equal_the_equations(name: str, kind: str) -> None:
    """Every block of the zoo, forward and backward."""
    assert_equal([f"block={name}", f"model.kind={kind}"], random_tokens((2, 7)))


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("kind", KINDS)
def test_padded_logits_and_gradients_equal_the_equations(name: str, kind: str) -> None:
    """Every block of the zoo, with sequences of several lengths, padded on either side and in the middle."""
    valid = padded(7)
    assert_equal([f"block={name}", f"model.kind={kind}"], random_tokens((len(valid), 7)), valid)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positions", POSITIONS[1:])
def test_every_position_code_equals_the_equations(name: str, kind: str, positions: str) -> None:
    """The codes beside the learned one, in every block, without padding and with it."""
    words = [f"block={name}", f"model.kind={kind}", f"model.positions={positions}", "model.n_layers=2"]
    assert_equal(words, random_tokens((1, 5)))
    assert_equal(words, random_tokens((3, 5)), padded(5)[1:4])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["pre_ln", "sas", "soft_cap"])
@pytest.mark.parametrize("positions", ["learned", "alibi"])
def test_a_sequence_of_padding_alone_counts_as_fully_valid(name: str, kind: str, positions: str) -> None:
    """Beside sequences that are not, and by the equations as well."""
    words = [f"block={name}", f"model.kind={kind}", f"model.positions={positions}"]
    tokens, valid = random_tokens((3, 7)), torch.ones(3, 7, dtype=torch.bool)
    valid[0, 4:] = valid[1] = False
    assert_equal(words, tokens, valid)
    _, model = perturbed(words)
    with torch.no_grad():
        assert difference(model(tokens, valid=valid)[1:], model(tokens)[1:]) < 1e-12


@pytest.mark.parametrize("name", ["skipless_reparam", "skipless_trainable_vp"])
@pytest.mark.parametrize("tie", ["none", "last", "all"])
def test_orthogonal_reparam_equals_the_equations(name: str, tie: str) -> None:
    """W = a W_init + b dW with a W_init that is not symmetric: a transposed one would show."""
    how = f"kind:reparam,init:orthogonal,skip:0.9,branch:0.3,trainable:{'trainable' in name},tie:{tie}"
    words = [f"block={name}", f"block.value={{{how}}}", f"block.projection={{{how}}}"]
    assert_equal(words, random_tokens((1, 6)))


@pytest.mark.parametrize("name", ["pre_ln", "v_skipinit", "parallel", "shared_kv", "value_residual", "gated_attention"])
@pytest.mark.parametrize("kv_heads", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_grouped_values_equal_the_equations(name: str, kv_heads: int, kind: str) -> None:
    """Six heads share fewer keys and values, neighbours together, with every bias and norm there is."""
    words = [f"block={name}", "model.n_heads=6", f"model.n_kv_heads={kv_heads}", "block.qk_bias=true"]
    words += ["model.norm=layernorm", f"model.kind={kind}"]
    assert_equal(words, random_tokens((1, 6)))
    assert_equal(words, random_tokens((2, 6)), padded(6)[1:3])


@pytest.mark.parametrize("d_model", [12, 7])
def test_sinusoids_are_the_published_ones(d_model: int) -> None:
    """Also at an odd width, where the last pair lacks its cosine."""
    words = ["block=pre_ln", "model.positions=sinusoidal", f"model.d_model={d_model}", "model.d_head=4"]
    config, model = built(words)
    table = dict(model.named_buffers())["positions.table"]
    assert difference(table, sinusoids(9, config.model)) < 1e-6


NUMBERS = ["0", "0.6", "1", *(f"{{rule:{r},value:0.3,at_depth:5}}" for r in ("inv_sqrt_depth", "inv_sqrt_layer"))]


def branch_gains(draw: st.DrawFn, layout: str) -> dict[str, object]:
    """Gains of skips, branches and inputs: fixed or trained, one number or one a channel, by depth or layer."""
    names = ("attn_skip", "attn_branch", "mlp_branch", "input_gain")
    trained = draw(st.sampled_from(["none", "all", "[attn_branch,mlp_branch]"]))
    gains: dict[str, object] = {name: draw(st.sampled_from(NUMBERS)) for name in names}
    gains["mlp_skip"] = "null" if layout == "parallel" else draw(st.sampled_from(NUMBERS))
    return gains | {"trainable_gains": trained, "channel_gains": trained != "none" and draw(st.booleans())}


def attention_settings(draw: st.DrawFn, square: bool) -> dict[str, object]:
    """What one head does; `square` allows a block without W_Q."""
    shaped = draw(st.booleans())
    gammas = ["null", "0.4", "1.2"]  # no alpha + beta - gamma is 0: a norm multiplies the rounding of a 0 by 1e4
    residual = draw(st.sampled_from([("null", "null"), ("0.5", "0.5"), ("-0.3", "1.2")]))
    found: dict[str, object] = {
        "beta": draw(st.sampled_from(["0", "0.7", "1"])) if shaped else "null",
        "alpha": draw(st.sampled_from(["null", "0.7", "1"])) if shaped else "null",
        "gamma": draw(st.sampled_from(gammas)) if shaped else "null",
        "query": draw(st.sampled_from(["dense", "identity"])) if square else "dense",
        "query_init": "normal",
        "key": draw(st.sampled_from(["dense", "value"])),
        "soft_cap": draw(st.sampled_from(["null", "0.5", "3"])),
        "attn_gate": draw(st.sampled_from(["none", "head", "element"])),
        "value_own": residual[0],
        "value_first": residual[1],
    }
    return found | {name: draw(st.booleans()) for name in ("head_gains", "qk_bias", "qk_norm")}


@st.composite
def settings_of_a_run(draw: st.DrawFn) -> list[str]:
    """Odd sizes and every combination of settings that a block allows."""
    name, heads = draw(st.sampled_from(BLOCKS)), draw(st.integers(1, 6))
    width = draw(st.sampled_from([2, 4, 6]))
    block = compose_run([f"block={name}"]).block
    dense = {m.kind for m in (block.value, block.projection, block.value_of(0))} == {"dense"}
    square = not dense or draw(st.booleans())
    layout = draw(st.sampled_from(["serial", "parallel"]))
    activation = draw(st.sampled_from(["relu", "relu2", "gelu", "leaky_relu", "swiglu", "geglu"]))
    norms = ["rmsnorm", "layernorm", "dyt", "derf"]
    model = {
        "kind": draw(st.sampled_from(KINDS)),
        "n_heads": heads,
        "d_head": width,
        "n_kv_heads": draw(st.sampled_from([k for k in range(1, heads + 1) if heads % k == 0])) if dense else heads,
        "d_ff": draw(st.integers(1, 9)),
        "d_model": heads * width if square else draw(st.integers(3, 13)),
        "n_layers": draw(st.integers(1, 3)),
        "norm": draw(st.sampled_from(norms)),
        "final_norm": draw(st.sampled_from(["null", *norms])),
        "norm_eps": draw(st.sampled_from([1e-8, 1e-2])),
        "positions": draw(st.sampled_from(POSITIONS)),
        "embedding_norm": draw(st.sampled_from(["null", "true", "false"])),
        "tied_embeddings": draw(st.booleans()),
        "activation": activation,
        "leaky_slope": 0.3 if activation == "leaky_relu" else "null",
    }
    places = {
        "layout": layout,
        "norm": draw(st.sampled_from(["pre", "peri", "output", "post", "none"])),
        "norm_kind": draw(st.sampled_from(["null", *norms])),
    }
    algebra = places | branch_gains(draw, layout) | attention_settings(draw, square)
    words = [f"model.{k}={v}" for k, v in model.items()] + [f"block.{k}={v}" for k, v in algebra.items()]
    return [f"block={name}", *(word.replace("=True", "=true").replace("=False", "=false") for word in words)]


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor | None]:
    """Tokens, and any padding or none."""
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    rows = st.lists(st.booleans(), min_size=shape[1], max_size=shape[1])
    valid = draw(st.none() | st.lists(rows, min_size=shape[0], max_size=shape[0]))
    return random_tokens(shape), None if valid is None else torch.tensor(valid)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(words=settings_of_a_run(), batch=batches())
def test_any_settings_equal_the_equations(words: list[str], batch: tuple[Tensor, Tensor | None]) -> None:
    """Odd sizes, GQA, positions, padding, norms, activations, gains and attentions, forward and backward."""
    assert_equal(words, *batch)
