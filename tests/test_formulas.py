"""Blocks beyond the paper, one by one: each block's own formula and its published initial constants.

The formulas around the branches, with the block's attention and MLP taken as they are; those inside
attention and the MLP are in `test_branch_formulas.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from zoo_tools import OneBlock, built, difference, random_tokens, rms

from simplify.zoo.model import Transformer


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Tiny sums gain nothing from threads."""
    torch.set_num_threads(1)


def same(actual: Tensor, expected: Tensor) -> bool:
    """Equal up to the rounding of fp64."""
    return difference(actual, expected) < 1e-12


def names(model: Transformer) -> set[str]:
    """The trained parameters' names."""
    return {name for name, _ in model.named_parameters()}


def test_peri_ln_norms_each_branch_before_and_after() -> None:
    """Peri-LN (arXiv 2502.02732): x + N2(F(N1 x)), the output norms' gains 1 at first."""
    b = OneBlock(["block=peri_ln"])
    x1 = b.x + b.norm("attn_out_norm", b.attention(b.norm("attn_norm", b.x)))
    y = x1 + b.norm("mlp_out_norm", b.mlp(b.norm("mlp_norm", x1)))
    assert same(b.output, y)
    start = built(["block=peri_ln"])[1].state_dict()
    assert all((start[f"blocks.{i}.{n}_out_norm.weight"] == 1).all() for i in range(3) for n in ("attn", "mlp"))


def test_olmo2_norms_each_branch_after_it() -> None:
    """OLMo 2 (arXiv 2501.00656): x + N(F(x)), with RMSNorm on queries and keys and none before a branch."""
    b = OneBlock(["block=olmo2"])
    x1 = b.x + b.norm("attn_out_norm", b.attention(b.x))
    assert same(b.output, x1 + b.norm("mlp_out_norm", b.mlp(x1)))
    found = {name.split(".", 2)[2] for name in names(b.model) if name.startswith("blocks.1.") and "norm" in name}
    inside = {"attention.query_norm.weight", "attention.key_norm.weight"}
    assert found == {"attn_out_norm.weight", "mlp_out_norm.weight"} | inside


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_deepnorm_strengthens_skips_and_weakens_weights(depth: int) -> None:
    """DeepNorm (arXiv 2203.00555): N(a x + F(x)), a = (2L)^(1/4); V, P and MLP weights times (8L)^(-1/4) at first."""
    words = ["block=deepnorm", f"model.n_layers={depth}"]
    b, a = OneBlock(words, layer=depth - 1), (2 * depth) ** 0.25
    x1 = b.norm("attn_post_norm", a * b.x + b.attention(b.x))
    assert same(b.output, b.norm("mlp_post_norm", a * x1 + b.mlp(x1)))
    assert not any("gain" in name for name in names(b.model))
    weak = ("value.weight", "projection.weight", "fc_in.weight", "fc_out.weight")
    plain = built(["block=pre_ln", f"model.n_layers={depth}"])[1].state_dict()
    for name, weight in built(words)[1].named_parameters():
        if "norm" not in name:  # the same random numbers in every block
            factor = (8 * depth) ** -0.25 if name.endswith(weak) else 1
            assert difference(weight, factor * plain[name]) < 1e-6


@pytest.mark.parametrize("depth", [2, 12])
def test_deepnorm_weights_have_their_spread(depth: int) -> None:
    """Standard deviations as published, also of a gated MLP's third matrix; W_Q and W_K are not scaled."""
    words = ["block=deepnorm", f"model.n_layers={depth}", "model.d_model=96", "model.d_ff=128"]
    state = built([*words, "model.activation=swiglu", "model.init_std=0.05"])[1].state_dict()
    for name in ("attention.value", "attention.projection", "mlp.fc_in", "mlp.fc_gate", "mlp.fc_out"):
        spread = state[f"blocks.{depth - 1}.{name}.weight"].std().item()
        assert spread == pytest.approx(0.05 * (8 * depth) ** -0.25, rel=0.05)
    for name in ("attention.query", "attention.key"):
        assert state[f"blocks.{depth - 1}.{name}.weight"].std().item() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_lns_divides_normed_inputs_by_the_root_of_the_layer(layer: int) -> None:
    """LayerNorm scaling (arXiv 2502.05795): F(N(x) / sqrt(l)) with l from 1, and no parameters of its own."""
    b, c = OneBlock(["block=lns"], layer), 1 / math.sqrt(layer + 1)
    x1 = b.x + b.attention(c * b.norm("attn_norm", b.x))
    assert same(b.output, x1 + b.mlp(c * b.norm("mlp_norm", x1)))
    assert names(b.model) == names(built(["block=pre_ln"])[1])


def test_rezero_starts_as_the_identity() -> None:
    """ReZero (arXiv 2003.04887): x + a F(x) without norm; one trained a a branch, 0 at first."""
    b = OneBlock(["block=rezero"])
    x1 = b.x + b.gain("attn_branch") * b.attention(b.x)
    assert same(b.output, x1 + b.gain("mlp_branch") * b.mlp(x1))
    assert b.gain("attn_branch").shape == b.gain("mlp_branch").shape == ()
    assert not any("norm" in name for name in names(b.model) if name.startswith("blocks"))
    model = built(["block=rezero"])[1]
    gains = [p for n, p in model.named_parameters() if n.endswith("gain")]
    assert len(gains) == 6
    assert not any(gain.any() for gain in gains)
    tokens = random_tokens((2, 9))
    context = model.context(tokens)
    x = torch.randn(2, 9, 12, generator=torch.Generator().manual_seed(0))
    for layer in range(3):
        assert torch.equal(model.get_submodule(f"blocks.{layer}")(x, context), x)


@pytest.mark.parametrize(
    ("depth", "start"), [(1, 0.1), (12, 0.1), (18, 0.1), (19, 1e-5), (24, 1e-5), (25, 1e-6), (36, 1e-6)]
)
def test_layerscale_starts_by_depth(depth: int, start: float) -> None:
    """LayerScale (arXiv 2103.17239): 0.1 up to 18 layers, 1e-5 up to 24, then 1e-6, for each channel."""
    model = built(["block=layerscale", f"model.n_layers={depth}"])[1]
    gains = [p for n, p in model.named_parameters() if n.endswith(("attn_branch.gain", "mlp_branch.gain"))]
    assert len(gains) == 2 * depth
    for gain in gains:
        assert gain.shape == (12,)
        assert torch.allclose(gain, torch.full((12,), start), rtol=1e-6, atol=0)


def test_layerscale_scales_each_channel() -> None:
    """x + diag(l) F(N x), with other numbers l for the two branches."""
    b = OneBlock(["block=layerscale"])
    x1 = b.x + b.attention(b.norm("attn_norm", b.x)) @ torch.diag(b.gain("attn_branch"))
    assert same(b.output, x1 + b.mlp(b.norm("mlp_norm", x1)) @ torch.diag(b.gain("mlp_branch")))


@pytest.mark.parametrize("depth", [4, 9])
def test_inv_sqrt_depth_divides_branches_by_the_root_of_the_depth(depth: int) -> None:
    """Stable ResNet (arXiv 2010.12859): x + L^(-1/2) F(N x), fixed."""
    b = OneBlock(["block=inv_sqrt_depth", f"model.n_layers={depth}"])
    g = {4: 1 / 2, 9: 1 / 3}[depth]
    x1 = b.x + g * b.attention(b.norm("attn_norm", b.x))
    assert same(b.output, x1 + g * b.mlp(b.norm("mlp_norm", x1)))
    assert names(b.model) == names(built(["block=pre_ln", f"model.n_layers={depth}"])[1])


def tanh_norm(b: OneBlock, name: str, x: Tensor) -> Tensor:
    """DyT: g tanh(a x) + c."""
    return b.weight(f"{name}.weight") * torch.tanh(b.weight(f"{name}.scale") * x) + b.weight(f"{name}.bias")


def erf_norm(b: OneBlock, name: str, x: Tensor) -> Tensor:
    """Derf: g erf(a x + s) + c."""
    inner = b.weight(f"{name}.scale") * x + b.weight(f"{name}.shift")
    return b.weight(f"{name}.weight") * torch.special.erf(inner) + b.weight(f"{name}.bias")


@pytest.mark.parametrize(("name", "norm"), [("dyt", tanh_norm), ("derf", erf_norm)])
def test_a_pointwise_function_stands_for_every_norm(name: str, norm: Callable[[OneBlock, str, Tensor], Tensor]) -> None:
    """DyT (arXiv 2503.10622) and Derf (2512.10938): a = 0.5, s = 0, g = 1, c = 0 at first; the final norm too."""
    b = OneBlock([f"block={name}"])
    x1 = b.x + b.attention(norm(b, "attn_norm", b.x))
    assert same(b.output, x1 + b.mlp(norm(b, "mlp_norm", x1)))
    start = {"weight": ((12,), 1.0), "bias": ((12,), 0.0), "scale": ((), 0.5)}
    start |= {"shift": ((), 0.0)} if name == "derf" else {}
    state = built([f"block={name}"])[1].state_dict()
    norms = [f"blocks.{i}.{place}_norm" for i in range(3) for place in ("attn", "mlp")] + ["final_norm"]
    assert {n for n in state if "norm" in n} == {f"{n}.{part}" for n in norms for part in start}
    for n in norms:
        for part, (shape, value) in start.items():
            assert state[f"{n}.{part}"].shape == shape
            assert (state[f"{n}.{part}"] == value).all()


def test_the_final_norm_is_of_the_same_kind() -> None:
    """What the output layer reads, by DyT's formula."""
    b = OneBlock(["block=dyt", "model.tied_embeddings=false"])
    x = b.x
    for layer in range(3):
        x = b.model.get_submodule(f"blocks.{layer}")(x, b.context)
    z = tanh_norm(b, "final_norm", x)
    assert same(b.model.get_submodule("final_norm")(x), z)
    assert not same(z, rms(x, b.weight("final_norm.weight")))
