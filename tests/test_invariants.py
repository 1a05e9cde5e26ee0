"""What must hold exactly: causality, padding, the identity at initialisation, and blocks that are one and the same."""

from __future__ import annotations

import pytest
import torch
from explicit import matrix
from torch import Tensor, nn
from zoo_tools import KINDS, POSITIONS, VOCAB, built, copied, difference, gradients, padded, perturbed, random_tokens

from simplify.choices import choices
from simplify.compose import compose_run
from simplify.config import Identity, Reparam
from simplify.zoo.model import Transformer

BLOCKS = choices("block")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Tiny sums gain nothing from threads."""
    torch.set_num_threads(1)


def starts_as_identity(name: str) -> bool:
    """Whether the attention of this block is alpha I with alpha = 1 at first: W_Q = 0, beta = gamma, W_V = W_P = I."""
    block = compose_run([f"block={name}"]).block
    matrices = [block.value, block.value_of(0), block.projection]
    plain = [
        isinstance(m, Identity) or (isinstance(m, Reparam) and (m.init, m.skip) == ("identity", 1)) for m in matrices
    ]
    return all(plain) and block.query_init == "zero" and block.alpha == 1 and block.beta == block.gamma is not None


IDENTITIES = [name for name in BLOCKS if starts_as_identity(name)]


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


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_ignore_the_content_of_padding(name: str, kind: str) -> None:
    """Other tokens at padded positions change nothing elsewhere."""
    _, model = perturbed([f"block={name}", f"model.kind={kind}"])
    valid = padded(9)
    tokens = random_tokens((len(valid), 9))
    with torch.no_grad():
        before = model(tokens, valid=valid)
        for shift in (1, 5):
            after = model(torch.where(valid, tokens, (tokens + shift) % VOCAB), valid=valid)
            assert difference(before[valid], after[valid]) < 1e-12
        unpadded = model(tokens)
    assert difference(before[0], unpadded[0]) < 1e-12  # the sequence without padding
    assert difference(before[2, 3:], unpadded[2, 3:]) > 1e-6  # the one that begins with it


@pytest.mark.parametrize("name", BLOCKS)
def test_an_encoder_sees_later_tokens(name: str) -> None:
    """In an encoder every position depends on every token, before or after it."""
    _, model = perturbed([f"block={name}", "model.kind=encoder"])
    tokens = random_tokens((1, 6))
    with torch.no_grad():
        before = model(tokens)[0]
        for t in range(6):
            changed = tokens.clone()
            changed[:, t] = (changed[:, t] + 1) % VOCAB
            moved = (model(changed)[0] - before).abs().amax(dim=1)
            assert moved.min() > 1e-6


def test_the_blocks_that_start_as_the_identity_are_found() -> None:
    """So that the test below is of something."""
    paper = {"sas", "sas_p", "sas_p_no_norm", "sas_no_norm", "sas_no_mlp_skip"}
    assert paper | {"skipless_reparam", "skipless_trainable_vp"} <= set(IDENTITIES)


@pytest.mark.parametrize("name", IDENTITIES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_shaped_attention_is_the_identity_at_first(name: str, kind: str, positions: str) -> None:
    """In fp32, whatever the mask: W_Q = 0 makes A = C, so S = I; layer 1 has W_V = a I with a = 1."""
    _, model = built([f"block={name}", f"model.kind={kind}", f"model.positions={positions}"])
    attentions = [module for n, module in model.named_modules() if n.endswith(".attention")]
    assert len(attentions) == 3
    tokens = random_tokens((5, 9))
    u = torch.randn(5, 9, 12, generator=torch.Generator().manual_seed(0))
    everywhere = torch.ones(5, 9, dtype=torch.bool)
    for valid in (None, padded(9)):
        context, counted = model.context(tokens, valid=valid), everywhere if valid is None else valid
        with torch.no_grad():
            apart = [difference(attention(u, context)[counted], u[counted]) for attention in attentions]
        assert max(apart) < 1e-5


def mlp_inputs(model: Transformer, tokens: Tensor, valid: Tensor | None) -> tuple[list[Tensor], Tensor]:
    """What each layer's MLP reads, and the logits."""
    found: list[Tensor] = []

    def keep(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        found.append(args[0])

    hooks = [m.register_forward_pre_hook(keep) for n, m in model.named_modules() if n.endswith(".mlp")]
    with torch.no_grad():
        logits = model(tokens, valid=valid)
    for hook in hooks:
        hook.remove()
    return found, logits


@pytest.mark.parametrize("ending", ["", "_no_norm"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_sas_and_sas_p_agree_at_first(ending: str, kind: str, positions: str) -> None:
    """Attention is the identity, so each MLP of SAS reads N(N(x)), which is N(x), as in SAS-P, where N's epsilon is 0.

    And as nothing but the MLP's input differs, the outputs agree too.
    """
    # The epsilon of 1e-8 alone would move the MLP's input by more than rounding does.
    words = ["model.norm_eps=1e-30", f"model.kind={kind}", f"model.positions={positions}"]
    _, serial = built([f"block=sas{ending}", *words])
    _, parallel = built([f"block=sas_p{ending}", *words])
    valid = padded(9)
    tokens = random_tokens((len(valid), 9))
    serial_reads, serial_logits = mlp_inputs(serial.double(), tokens, valid)
    parallel_reads, parallel_logits = mlp_inputs(parallel.double(), tokens, valid)
    assert len(serial_reads) == len(parallel_reads) == 3
    for a, b in zip(serial_reads, parallel_reads, strict=True):
        assert difference(a[valid], b[valid]) < 1e-12
    assert difference(serial_logits[valid], parallel_logits[valid]) < 1e-12


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


def conditioned(seed: int, width: int = 12) -> Tensor:
    """A random matrix with singular values between 1/2 and 2."""
    generator = torch.Generator().manual_seed(seed)
    sides = [torch.linalg.qr(torch.randn(width, width, dtype=torch.float64, generator=generator)).Q for _ in range(2)]
    return sides[0] @ torch.diag(torch.linspace(0.5, 2, width, dtype=torch.float64)) @ sides[1]


def merged(weights: dict[str, Tensor], n_layers: int) -> dict[str, Tensor]:
    """The weights of the same function without W_V and W_P (stored transposed, so products stand the other way).

    W_P goes into the W_in after it, W_V into what wrote the stream before it; W_Q and W_K undo W_V.
    """
    out = dict(weights)
    for layer in range(n_layers):
        name = f"blocks.{layer}"
        value, projection = out.pop(f"{name}.attention.value.weight"), out.pop(f"{name}.attention.projection.weight")
        writers = ["embedding.weight", "positions.weight"] if layer == 0 else [f"blocks.{layer - 1}.mlp.fc_out.weight"]
        for writer in writers:
            out[writer] = out[writer] @ value.T if layer == 0 else value @ out[writer]
        for reader in ("query", "key"):
            out[f"{name}.attention.{reader}.weight"] = weights[f"{name}.attention.{reader}.weight"] @ value.inverse()
        out[f"{name}.mlp.fc_in.weight"] = weights[f"{name}.mlp.fc_in.weight"] @ projection
    return out


@pytest.mark.parametrize("name", ["pre_ln", "v_skipinit", "soft_cap"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_projections_merge_into_their_neighbours(name: str, kind: str) -> None:
    """Without skips and norms W_V and W_P are no more than part of the matrices around them (arXiv 2404.12362)."""
    words = [f"block={name}", f"model.kind={kind}", "model.tied_embeddings=false", "model.embedding_norm=false"]
    words += ["block.attn_skip=0", "block.mlp_skip=0", "block.norm=none"]
    config, dense = perturbed(words, scale=0.6)  # weaker attention would make all positions alike
    bare = built([*words, "block.value=identity", "block.projection=identity"])[1].double()
    weights = dense.state_dict()
    for layer in range(config.model.n_layers):
        weights[f"blocks.{layer}.attention.value.weight"].copy_(conditioned(2 * layer))
        weights[f"blocks.{layer}.attention.projection.weight"].copy_(conditioned(2 * layer + 1))
    bare.load_state_dict(merged(weights, config.model.n_layers))
    tokens = random_tokens((2, 9))
    with torch.no_grad():
        expected, actual = dense(tokens), bare(tokens)
    assert difference(actual, expected) < 1e-9 * expected.abs().max()
    assert expected.std(dim=1).mean() > 1e-2  # the outputs do depend on the tokens
