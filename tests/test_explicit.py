"""The zoo against the explicit decoder of `explicit.py`, and the exact algebra of the blocks."""

from __future__ import annotations

import pytest
import torch
from explicit import Weights, logits, matrix, rope_angles, sinusoids
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from simplify.choices import choices
from simplify.compose import compose_run
from simplify.config import RunConfig
from simplify.zoo.attention import Attention
from simplify.zoo.model import Decoder, build_model

BLOCKS = choices("block")
VOCAB = 11
SMALL = ["model.n_layers=3", "model.d_model=12", "model.n_heads=3", "model.d_ff=20", "model.seq_len=9"]
SMALL += ["train.batch_tokens=9"]  # a whole number of sequences


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Tiny sums gain nothing from threads."""
    torch.set_num_threads(1)


def built(words: list[str], seed: int = 0) -> tuple[RunConfig, Decoder]:
    """A tiny fp32 model of the zoo, at its initialisation."""
    config = compose_run([*SMALL, *words])
    return config, build_model(config.block, config.model, VOCAB, seed)


def perturbed(words: list[str], seed: int = 0, scale: float = 0.2) -> tuple[RunConfig, Decoder]:
    """The same in fp64, with noise on every parameter: no gain, dW or W_Q is special any more."""
    config, model = built(words, seed)
    model.double()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, dtype=parameter.dtype, generator=generator)
            parameter.add_(scale * noise)
    return config, model


def refine_positions(config: RunConfig, model: Decoder) -> None:
    """Check the fixed position codes, which the zoo keeps in fp32, and make them exact."""
    size = config.model
    angles = rope_angles(size.seq_len, size.head_width)
    exact = {"table": sinusoids(size.seq_len, size), "cos": angles.cos(), "sin": angles.sin()}
    for name, buffer in model.named_buffers():
        code = exact.get(name.split(".")[-1])
        if code is not None:
            assert difference(buffer, code) < 1e-6
            buffer.copy_(code)


def copied(model: Decoder) -> dict[str, Tensor]:
    """The weights as leaves of their own, without a tied output layer's second name."""
    trained = dict(model.named_parameters())
    fixed = {name: value for name, value in model.state_dict().items() if name not in trained}
    if model.output.weight is model.embedding.weight:
        del fixed["output.weight"]
    return {n: p.detach().clone().requires_grad_() for n, p in trained.items()} | fixed


def random_tokens(shape: tuple[int, int], seed: int = 0) -> Tensor:
    """Random token numbers."""
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def gradients(output: Tensor, weights: Weights) -> dict[str, Tensor]:
    """Of a random scalar projection of `output`, with respect to every trained weight."""
    generator = torch.Generator().manual_seed(7)
    direction = torch.randn(output.shape, dtype=output.dtype, generator=generator)
    trained = {name: weight for name, weight in weights.items() if weight.requires_grad}
    grads = torch.autograd.grad((output * direction).sum(), list(trained.values()), allow_unused=True)
    return {
        name: torch.zeros_like(weight) if grad is None else grad
        for (name, weight), grad in zip(trained.items(), grads, strict=True)
    }


def worst(words: list[str], tokens: Tensor) -> tuple[float, dict[str, float]]:
    """Largest difference of the logits, and of each gradient relative to its scale."""
    config, model = perturbed(words)
    refine_positions(config, model)
    weights = copied(model)
    actual, expected = model(tokens), logits(config, weights, tokens)
    assert actual.dtype == expected.dtype == torch.float64
    ours = gradients(actual, dict(model.named_parameters()))
    theirs = gradients(expected, weights)
    assert ours.keys() == theirs.keys()
    # Some gradients are exactly 0 (a key bias moves every logit of a row alike), hence the floor.
    apart = {n: difference(ours[n], g) / max(g.abs().max().item(), 1e-3) for n, g in theirs.items()}
    return difference(actual, expected), apart


def difference(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference."""
    assert a.shape == b.shape
    return (a - b).abs().max().item()


@pytest.mark.parametrize("name", BLOCKS)
def test_logits_and_gradients_equal_the_equations(name: str) -> None:
    """Every block of the zoo, forward and backward, in fp64."""
    apart, gradients_apart = worst([f"block={name}"], random_tokens((2, 7)))
    assert apart < 1e-10
    assert {n: g for n, g in gradients_apart.items() if not g < 1e-9} == {}


@pytest.mark.parametrize("name", ["skipless_reparam", "skipless_trainable_vp"])
@pytest.mark.parametrize("tie", ["none", "last", "all"])
def test_orthogonal_reparam_equals_the_equations(name: str, tie: str) -> None:
    """W = a W_init + b dW with a W_init that is not symmetric: a transposed one would show."""
    how = f"kind:reparam,init:orthogonal,skip:0.9,branch:0.3,trainable:{'trainable' in name},tie:{tie}"
    words = [f"block={name}", f"block.value={{{how}}}", f"block.projection={{{how}}}"]
    apart, gradients_apart = worst(words, random_tokens((1, 6)))
    assert apart < 1e-10
    assert max(gradients_apart.values()) < 1e-9


@pytest.mark.parametrize("name", ["pre_ln", "v_skipinit", "parallel"])
@pytest.mark.parametrize("kv_heads", [1, 2, 3])
def test_grouped_values_equal_the_equations(name: str, kv_heads: int) -> None:
    """Six heads share fewer keys and values, neighbours together, with every bias and norm there is."""
    words = [f"block={name}", "model.n_heads=6", f"model.n_kv_heads={kv_heads}", "block.qk_bias=true"]
    apart, gradients_apart = worst([*words, "model.norm=layernorm"], random_tokens((1, 6)))
    assert apart < 1e-10
    assert max(gradients_apart.values()) < 1e-9


@pytest.mark.parametrize("d_model", [12, 7])
def test_sinusoids_are_the_published_ones(d_model: int) -> None:
    """Also at an odd width, where the last pair lacks its cosine."""
    words = ["block=pre_ln", "model.positions=sinusoidal", f"model.d_model={d_model}", "model.d_head=4"]
    config, model = built(words)
    table = dict(model.named_buffers())["positions.table"]
    assert difference(table, sinusoids(9, config.model)) < 1e-6


@st.composite
def settings_of_a_run(draw: st.DrawFn) -> list[str]:
    """Odd sizes and every combination of settings that a block allows."""
    name, heads = draw(st.sampled_from(BLOCKS)), draw(st.integers(1, 6))
    width = draw(st.sampled_from([2, 4, 6]))
    config = compose_run([f"block={name}"]).block
    dense = {m.kind for m in (config.value, config.projection, config.value_of(0))} == {"dense"}
    d_model = draw(st.integers(3, 13)) if dense else heads * width
    kv_heads = draw(st.sampled_from([k for k in range(1, heads + 1) if heads % k == 0])) if dense else heads
    layout = draw(st.sampled_from(["serial", "parallel"]))
    activation = draw(st.sampled_from(["relu", "gelu", "leaky_relu"]))
    number = st.sampled_from(["0", "0.6", "1", "{rule:inv_sqrt_depth,value:0.3,at_depth:5}"])
    gains = [f"block.{g}={draw(number)}" for g in ("attn_skip", "attn_branch", "mlp_branch")]
    if config.beta is not None:
        gains += [f"block.{g}={draw(st.sampled_from(['null', '0.7', '1']))}" for g in ("alpha", "gamma")]
    norms = st.sampled_from(["rmsnorm", "layernorm"])
    return [
        *(f"model.{k}={v}" for k, v in {"n_heads": heads, "d_head": width, "n_kv_heads": kv_heads}.items()),
        f"model.d_ff={draw(st.integers(1, 9))}",
        *(f"block.{k}={str(draw(st.booleans())).lower()}" for k in ("head_gains", "qk_bias", "qk_norm")),
        *(f"model.{k}={draw(norms)}" for k in ("norm", "final_norm")),
        f"model.d_model={d_model}",
        f"model.n_layers={draw(st.integers(1, 3))}",
        f"model.norm_eps={draw(st.sampled_from([1e-8, 1e-2]))}",
        f"model.positions={draw(st.sampled_from(['learned', 'sinusoidal', 'rope', 'none']))}",
        f"model.embedding_norm={draw(st.sampled_from(['null', 'true', 'false']))}",
        f"model.tied_embeddings={str(draw(st.booleans())).lower()}",
        f"model.activation={activation}",
        f"model.leaky_slope={0.3 if activation == 'leaky_relu' else 'null'}",
        f"block={name}",
        f"block.layout={layout}",
        f"block.mlp_skip={'null' if layout == 'parallel' else draw(number)}",
        f"block.norm={draw(st.sampled_from(['pre', 'post', 'none']))}",
        f"block.trainable_gains={draw(st.sampled_from(['none', 'all']))}",
        *gains,
    ]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(words=settings_of_a_run(), batch=st.integers(1, 2), length=st.integers(1, 9))
def test_any_settings_equal_the_equations(words: list[str], batch: int, length: int) -> None:
    """Odd sizes, GQA, positions, norms, activations and gains, forward and backward, in fp64."""
    apart, gradients_apart = worst(words, random_tokens((batch, length)))
    assert apart < 1e-10
    assert max(gradients_apart.values()) < 1e-9


@pytest.mark.parametrize("name", BLOCKS)
def test_outputs_ignore_later_tokens(name: str) -> None:
    """Causality, with tokens after t replaced by others; those at t do matter."""
    _, model = perturbed([f"block={name}"])
    tokens, length = random_tokens((2, 9)), 9
    with torch.no_grad():
        before = model(tokens)
        for t in range(1, length):
            changed = tokens.clone()
            changed[:, t:] = (changed[:, t:] + 1 + t) % VOCAB
            after = model(changed)
            assert difference(before[:, :t], after[:, :t]) < 1e-12
            assert difference(before[:, t], after[:, t]) > 1e-6


@pytest.mark.parametrize("name", ["sas", "sas_p", "sas_p_no_norm", "sas_no_norm", "sas_no_mlp_skip"])
def test_shaped_attention_is_the_identity_at_first(name: str) -> None:
    """In fp32: W_Q = 0 makes A = C, so S = I; layer 1 has W_V = a I with a = 1."""
    _, model = built([f"block={name}"])
    u = torch.randn(2, 9, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        attentions = [module for module in model.modules() if isinstance(module, Attention)]
        apart = [difference(attention(u), u) for attention in attentions]
    assert len(apart) == 3
    assert max(apart) < 1e-5


def test_gradients_of_the_first_two_steps() -> None:
    """In SAS, W_Q = 0 gives W_K none at first, and dW = 0 its gain b_V none; one step ends that."""
    _, model = built(["block=sas"])
    tokens, weights = random_tokens((4, 9)), dict(model.named_parameters())
    first = gradients(model(tokens), weights)
    keys = {name for name in weights if name.endswith("key.weight")}
    assert len(keys) == 3
    still = {name for name, grad in first.items() if not grad.any()}
    assert still == {*keys, "blocks.0.attention.value.branch.gain"}
    with torch.no_grad():
        for name, weight in weights.items():
            weight -= 0.01 * first[name]
    second = gradients(model(tokens), weights)
    assert [name for name, grad in second.items() if not grad.any()] == []


@pytest.mark.parametrize("tie", ["last", "all"])
def test_tied_orthogonals_multiply_to_the_identity(tie: str) -> None:
    """The product over depth of W_V W_P is I: by its last factor, or layer by layer."""
    how = f"{{kind:reparam,init:orthogonal,skip:1,branch:0.2,tie:{tie}}}"
    config, model = built(["block=skipless_reparam", f"block.value={how}", f"block.projection={how}"])
    weights, eye = copied(model.double()), torch.eye(12, dtype=torch.float64)
    total, single = eye, []
    for layer in range(config.model.n_layers):
        name = f"blocks.{layer}.attention"
        value = matrix(config.block.value, weights, f"{name}.value", eye)
        projection = matrix(config.block.projection, weights, f"{name}.projection", eye)
        assert difference(value @ value.T, eye) < 1e-5
        assert difference(value, eye) > 1e-2
        single.append(difference(value @ projection, eye))
        total = total @ value @ projection
    assert difference(total, eye) < 1e-5
    assert (max(single) < 1e-5) if tie == "all" else (min(single) > 1e-2)


@pytest.mark.parametrize("trainable", ["true", "false"])
def test_reparam_without_branch_equals_identity(trainable: str) -> None:
    """W_init = I and b = 0 leave no trace of dW; `identity` has the same outputs and no parameters."""
    how = f"{{kind:reparam,init:identity,skip:1,branch:0,trainable:{trainable}}}"
    words = ["block=sas", "block.first_value=null"]
    _, reparam = perturbed([*words, f"block.value={how}", f"block.projection={how}"])
    _, identity = built(words)
    with torch.no_grad():
        for name, parameter in reparam.named_parameters():
            if ".value." in name or ".projection." in name:
                parameter.fill_({"skip": 1.0, "branch": 0.0}.get(name.split(".")[-2], 0.5))
    weights = reparam.state_dict()
    extra = {name for name in weights if ".value." in name or ".projection." in name}
    identity.double().load_state_dict({n: w for n, w in weights.items() if n not in extra})
    tokens = random_tokens((2, 9))
    assert {n.split(".")[-1] for n in extra} == ({"delta", "gain"} if trainable == "true" else set())
    assert difference(reparam(tokens), identity(tokens)) < 1e-12
