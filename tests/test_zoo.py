"""The zoo: parameter counts, initial weights shared between variants, precision."""

from __future__ import annotations

import copy

import pytest
import torch

from simplify.choices import choices
from simplify.compose import compose_run
from simplify.zoo.loss import token_loss
from simplify.zoo.model import Transformer, build_model

SMALL = ["model.n_layers=3", "model.d_model=48", "model.n_heads=4", "model.d_ff=80", "model.seq_len=12"]


def build(*words: str, vocab: int = 50, seed: int = 0) -> Transformer:
    config = compose_run([*SMALL, "train.batch_tokens=12", *words])
    return build_model(config.block, config.model, vocab, seed)


def test_shared_weights_start_out_the_same_in_every_variant() -> None:
    reference = build("block=pre_ln").state_dict()
    for block in ("sas", "sas_p", "v_skipinit", "parallel"):
        state = build(f"block={block}").state_dict()
        shared = [n for n in reference if n in state and ("mlp.fc" in n or "key" in n or n.startswith("emb"))]
        assert len(shared) >= 10
        assert all(torch.equal(reference[name], state[name]) for name in shared)
    other = build("block=pre_ln", seed=1).state_dict()
    assert not torch.equal(other["embedding.weight"], reference["embedding.weight"])


def test_initial_weights_have_the_configured_spread() -> None:
    model = build("block=pre_ln", "model.d_ff=400", "model.init_std=0.05", vocab=2000)
    for name in ("embedding.weight", "blocks.0.mlp.fc_in.weight", "blocks.2.attention.value.weight"):
        weight = model.state_dict()[name]
        assert weight.std().item() == pytest.approx(0.05, rel=0.05)
        assert abs(weight.mean().item()) < 0.005


def test_what_writes_to_the_stream_can_start_smaller_by_depth() -> None:
    words = ["block.output_init_scale={rule:inv_sqrt_depth,value:0.70710678,at_depth:1}", "block.init_scale=0.5"]
    plain, scaled = (build("block=pre_ln", *more).state_dict() for more in (words[1:], words))
    writes = ("attention.projection.weight", "mlp.fc_out.weight")
    for name, weight in plain.items():
        factor = 6**-0.5 if name.endswith(writes) else 1.0  # 1/sqrt(2 n_layers), 3 layers
        assert torch.allclose(scaled[name], factor * weight, rtol=1e-6, atol=0), name


def test_orthogonal_values_are_orthogonal() -> None:
    weight = build("block=v_skipinit").state_dict()["blocks.1.attention.value.weight"]
    assert torch.allclose(weight @ weight.T, torch.eye(48), atol=1e-6)


@pytest.mark.parametrize("block", choices("block"))
@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_every_weight_learns_and_survives_saving(block: str, kind: str) -> None:
    # A gain that scales all that a norm or ReLU-and-norm sees has gradient 0 by symmetry; gelu and a
    # large epsilon break it.
    words = [f"block={block}", f"model.kind={kind}", "model.activation=gelu", "model.norm_eps=0.01"]
    model = build(*words)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens = torch.randint(0, 50, (2, 13), generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        optimiser.zero_grad()
        token_loss(model(tokens[:, :-1]), tokens[:, 1:]).backward()
        optimiser.step()
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []
    copy = build(*words, seed=5)
    copy.load_state_dict(model.state_dict())
    assert torch.equal(copy(tokens[:, :-1]), model(tokens[:, :-1]))


@pytest.mark.parametrize("block", choices("block"))
@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_fp32_and_bf16_stay_near_fp64(block: str, kind: str) -> None:
    """Forward and backward, with padding: 1e-5 in fp32, 2e-2 under bf16 autocast, relative to the largest value."""
    model = build(f"block={block}", f"model.kind={kind}", "model.init_std=0.1")
    _off_the_start(model)
    tokens = torch.randint(0, 50, (2, 12), generator=torch.Generator().manual_seed(0))
    valid = torch.ones(2, 12, dtype=torch.bool)
    valid[1, 9:] = False
    exact, exact_gradient = _logits(copy.deepcopy(model).double(), tokens, valid)
    plain, gradient = _logits(model, tokens, valid)
    assert _apart(plain, exact) < 1e-5 and _apart(gradient, exact_gradient) < 1e-4
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, gradient = _logits(model, tokens, valid)
    assert _apart(rough, exact) < 2e-2 and _apart(gradient, exact_gradient) < 1e-1


def _off_the_start(model: Transformer) -> None:
    """A little noise on every weight, so that attention attends and gains differ."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))


def _logits(model: Transformer, tokens: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits where there is no padding, and the gradient of the token embedding."""
    model.zero_grad()
    logits = model(tokens, valid=valid)[valid]
    logits.float().logsumexp(-1).mean().backward()
    gradient = model.embedding.weight.grad
    assert gradient is not None
    return logits.detach(), gradient


def _apart(value: torch.Tensor, exact: torch.Tensor) -> float:
    return float((value.double() - exact.double()).abs().max() / exact.double().abs().max())


def test_shapes_in_signatures_are_checked_in_tests() -> None:
    from jaxtyping import TypeCheckError

    with pytest.raises(TypeCheckError):
        build("block=sas").blocks[0](torch.zeros(3, 48), None)
