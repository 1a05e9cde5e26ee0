"""Written-out sums, the loss without logits and joint products: exactly what they replace, forward and backward."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from simplify.zoo.fused import running_sum, scaled_sum, shaped_causal
from simplify.zoo.loss import IGNORED, _levels, output_loss
from simplify.zoo.matrices import Linear, products

LENGTHS = st.integers(1, 70)  # below, at and beyond the blocks of 16


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def gradients(out: Tensor, *inputs: Tensor) -> list[Tensor]:
    """Of a sum with uneven weights, so that no two elements could be exchanged."""
    weights = torch.linspace(1, 2, out.numel(), dtype=torch.float64).view(out.shape).to(out.dtype)
    return list(torch.autograd.grad((out * weights).sum(), inputs))


@given(LENGTHS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_running_sums(length: int, backwards: bool) -> None:
    x = noise(2, length, 3, 4).detach()
    told = running_sum(x, backwards)
    assert torch.allclose(told, x.flip(1).cumsum(1).flip(1) if backwards else x.cumsum(1), rtol=0, atol=1e-12)


def explicit(v: Tensor, attended: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
    """With the matrix C."""
    length = v.shape[1]
    centre = torch.ones(length, length, dtype=v.dtype).tril() / torch.arange(1, length + 1, dtype=v.dtype)[:, None]
    mean = torch.einsum("ts,bshd->bthd", centre, v)
    return alpha[:, None] * v + beta[:, None] * attended - gamma[:, None] * mean


@given(LENGTHS, st.sampled_from([1, 3]))
@settings(max_examples=25, deadline=None)
def test_shaped_attention(length: int, gains: int) -> None:
    """One gain a head and one for all, in fp64."""
    inputs = [noise(2, length, 3, 4, seed=s) for s in (0, 1)] + [noise(gains, seed=s) for s in (2, 3, 4)]
    told, meant = shaped_causal(*inputs), explicit(*inputs)
    assert torch.allclose(told, meant, rtol=0, atol=1e-12)
    for ours, theirs in zip(gradients(told, *inputs), gradients(meant, *inputs), strict=True):
        assert ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_shaped_attention_in_narrow_types(dtype: torch.dtype, near: float) -> None:
    """Values and heads as autocast leaves them, gains in fp32: the sum is fp32 and near the exact one."""
    narrow = [noise(2, 65, 3, 8, seed=s, dtype=dtype) for s in (0, 1)]
    inputs = [*narrow, *(noise(3, seed=s, dtype=torch.float32) for s in (2, 3, 4))]
    exact = [t.detach().double().requires_grad_() for t in inputs]
    told, meant = shaped_causal(*inputs), explicit(*exact)
    assert told.dtype == torch.float32 and torch.allclose(told.double(), meant, rtol=near, atol=near)
    for ours, theirs in zip(gradients(told, *inputs), gradients(meant, *exact), strict=True):
        assert torch.allclose(ours.double(), theirs, rtol=near, atol=near * float(theirs.abs().max()))


@pytest.mark.parametrize(("a", "b"), list(itertools.product([(), (4,)], repeat=2)))
def test_scaled_sums(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """Single gains and one a channel."""
    inputs = [noise(2, 5, 4), noise(*a, seed=1), noise(2, 5, 4, seed=2), noise(*b, seed=3)]
    x, skip, y, branch = inputs
    told, meant = scaled_sum(*inputs), x * skip + y * branch
    assert torch.allclose(told, meant, rtol=0, atol=1e-14)
    for ours, theirs in zip(gradients(told, *inputs), gradients(meant, *inputs), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 40), st.integers(2, 30), st.integers(1, 400), st.sampled_from([1, 8]), st.data())
@settings(max_examples=40, deadline=None)
def test_the_loss_of_any_stretch_of_tokens(
    tokens: int, vocabulary: int, most: int, aligned: int, data: st.DataObject
) -> None:
    """Whatever number of logits there is room for, however the vocabulary is padded, whichever targets do not count."""
    targets = torch.tensor(
        data.draw(st.lists(st.integers(-1, vocabulary - 1), min_size=tokens, max_size=tokens).filter(any_counts))
    )
    targets[targets < 0] = IGNORED
    hidden, weight = noise(tokens, 6), noise(vocabulary, 6, seed=1)
    meant = F.cross_entropy(hidden @ weight.T, targets, ignore_index=IGNORED)
    told = output_loss(hidden, weight, targets, most, aligned)
    assert torch.allclose(told, meant, rtol=1e-12, atol=0)
    for ours, theirs in zip(gradients(told, hidden, weight), gradients(meant, hidden, weight), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        assert torch.allclose(output_loss(hidden, weight, targets, most, aligned), meant, rtol=1e-12, atol=0)


def any_counts(targets: list[int]) -> bool:
    return max(targets) >= 0


def test_the_loss_under_autocast() -> None:
    """Products in bf16 as autocast would do them, sums in fp32."""
    hidden, weight = noise(50, 16, dtype=torch.float32), noise(40, 16, seed=1, dtype=torch.float32)
    targets = torch.arange(50) % 40
    with torch.autocast("cpu", torch.bfloat16):
        told = output_loss(hidden, weight, targets, 400)
        meant = F.cross_entropy((hidden @ weight.T).float(), targets)
    assert told.dtype == torch.float32 and torch.allclose(told, meant, rtol=1e-3)
    for ours, theirs in zip(gradients(told, hidden, weight), gradients(meant, hidden, weight), strict=True):
        assert ours.dtype == torch.float32
        assert torch.allclose(ours, theirs, rtol=0, atol=2e-2 * float(theirs.abs().max()))


@pytest.mark.parametrize("bias", [False, True])
def test_joint_products(bias: bool) -> None:
    """Side by side, with a bias in one of them or in none; the gradients reach each matrix."""
    matrices = [Linear(6, size, 1.0, bias=bias and size == 5).double() for size in (4, 5, 3)]
    for number, matrix in enumerate(matrices):
        matrix.initialise(torch.Generator().manual_seed(number))
        if matrix.bias is not None:
            torch.nn.init.constant_(matrix.bias, 0.5)
    u = noise(2, 7, 6)
    weights = [parameter for matrix in matrices for parameter in matrix.parameters()]
    apart, joined = (torch.cat(products(u, matrices, how), dim=-1) for how in (False, True))
    assert torch.allclose(apart, joined, rtol=0, atol=1e-12)
    for one, other in zip(gradients(apart, u, *weights), gradients(joined, u, *weights), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", [(700, 2048), (3, 50000), (2, 1100000)])
def test_the_sums_of_exponentials_by_stretches_are_torchs_bit_by_bit(shape: tuple[int, int]) -> None:
    logits = noise(*shape, dtype=torch.float32).detach()
    assert torch.equal(_levels(logits), logits.logsumexp(1))
