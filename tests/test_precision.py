"""A model in bf16 or fp16: every block, and positions of each sequence by itself."""

from __future__ import annotations

import pytest
import torch
from zoo_tools import KINDS, POSITIONS, built, padded, random_tokens

from simplify.choices import choices

LOGITS = {torch.bfloat16: 0.08, torch.float16: 0.01}  # relative to their own size; three layers of 12 channels


@pytest.mark.parametrize(
    ("block", "kind"),
    [*((b, "decoder") for b in choices("block")), *((b, "encoder") for b in ("sas", "pre_ln", "derf"))],
)
def test_every_block_is_of_one_type(block: str, kind: str) -> None:
    """Fixed codes stay in fp32 where a loader makes them so; then the stream has to stay narrow all the same."""
    number = choices("block").index(block) + KINDS.index(kind)
    place, dtype = number % len(POSITIONS), list(LOGITS)[number % 2]
    _, model = built([f"block={block}", f"model.kind={kind}", f"model.positions={POSITIONS[place]}"])
    tokens = random_tokens((5, 9), 1)
    for valid in (None, padded(9)):
        expected = model.float()(tokens, valid=valid)
        codes = {name: buffer.clone() for name, buffer in model.named_buffers()}
        found = model.to(dtype)(tokens, valid=valid)
        assert found.dtype == dtype and found.isfinite().all()
        apart = (found.float() - expected).abs().max() / expected.abs().max()
        assert apart < LOGITS[dtype], float(apart)
        for name, buffer in model.named_buffers():
            if not name.endswith("fixed"):  # W_init is saved, and loaded in the model's type
                buffer.data = codes[name]
        assert model(tokens, valid=valid).dtype == dtype
    loss = model(tokens, targets=tokens)
    loss.backward()
    assert loss.dtype == torch.float32 and all(p.grad is None or p.grad.dtype == dtype for p in model.parameters())
    if kind == "decoder":
        assert model.generate(tokens[:, :3], 5, temperature=0.0).shape == (5, 8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("block", ["sas", "pre_ln"])
def test_padding_that_is_not_counted_changes_nothing(block: str, positions: str, kind: str) -> None:
    """A text alone, and behind padding with the positions that it has alone."""
    _, model = built([f"block={block}", f"model.kind={kind}", f"model.positions={positions}"])
    model.double()
    tokens = random_tokens((1, 6))
    alone = model(tokens)
    behind = torch.cat([torch.zeros(1, 3, dtype=torch.long), tokens], dim=1)
    valid = torch.tensor([[False] * 3 + [True] * 6])
    places = torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4, 5]])
    assert (model(behind, valid=valid, positions=places)[:, 3:] - alone).abs().max() < 1e-9
    if positions not in ("none", "alibi", "rope"):  # which know distances alone
        assert (model(behind, valid=valid)[:, 3:] - alone).abs().max() > 1e-3
    plain = torch.arange(6)[None]
    assert (model(tokens, positions=plain) - alone).abs().max() < 1e-12
    shifted = model(tokens, positions=plain + 2)
    assert ((shifted - alone).abs().max() < 1e-5) == (positions in ("none", "alibi", "rope"))


def test_fused_attention_on_a_cpu_is_wide_under_autocast() -> None:
    """Of what the products round to bf16 attention itself is made in fp32, and so are its gradients."""
    from simplify.zoo.context import Context

    made: list[torch.Tensor] = []
    parts = [torch.randn(2, 5, 3, 4).bfloat16().requires_grad_() for _ in range(3)]
    for autocast in (True, False):
        context = Context(True, 5, torch.device("cpu"))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            q, k, v = (part if autocast else part.float() for part in parts)
            out = context.attend(0, q, k, v)
        assert out.dtype == torch.float32
        made += [out, *torch.autograd.grad(out.square().sum(), parts)]
    assert all(torch.equal(one, other) for one, other in zip(made[:4], made[4:], strict=True))
