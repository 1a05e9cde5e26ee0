"""The zoo: parameter counts, initial weights shared between variants, precision."""

from __future__ import annotations

import pytest
import torch

from simplify.choices import choices
from simplify.compose import compose_run
from simplify.zoo.model import Transformer, build_model, token_loss

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


def test_orthogonal_values_are_orthogonal() -> None:
    weight = build("block=v_skipinit").state_dict()["blocks.1.attention.value.weight"]
    assert torch.allclose(weight @ weight.T, torch.eye(48), atol=1e-6)


@pytest.mark.parametrize("block", choices("block"))
def test_every_weight_learns_and_survives_saving(block: str) -> None:
    # A gain that scales all that a norm or ReLU-and-norm sees has gradient 0 by symmetry; gelu and a
    # large epsilon break it.
    words = [f"block={block}", "model.activation=gelu", "model.norm_eps=0.01"]
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


@pytest.mark.parametrize("block", ["pre_ln", "sas", "sas_p", "skipless_trainable_vp"])
def test_bf16_autocast_stays_near_fp32(block: str) -> None:
    model = build(f"block={block}", "model.init_std=0.1")
    tokens = torch.randint(0, 50, (2, 12), generator=torch.Generator().manual_seed(0))
    exact = model(tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(tokens)
    assert (rough.float() - exact).abs().max() < 2e-2 * exact.abs().max()


def test_shapes_in_signatures_are_checked_in_tests() -> None:
    from jaxtyping import TypeCheckError

    with pytest.raises(TypeCheckError):
        build("block=sas").blocks[0](torch.zeros(3, 48), None)
