"""What the tests of the zoo share: tiny models, padded batches, and the comparison with `explicit.py`."""

from __future__ import annotations

import torch
from explicit import logits
from explicit_parts import Weights, rope_angles, sinusoids, slopes
from torch import Tensor

from simplify.compose import compose_run
from simplify.config import RunConfig
from simplify.zoo.model import Transformer, build_model

VOCAB = 11
SMALL = ["model.n_layers=3", "model.d_model=12", "model.n_heads=3", "model.d_ff=20", "model.seq_len=9"]
SMALL += ["train.batch_tokens=9"]  # a whole number of sequences
KINDS = ["decoder", "encoder"]
POSITIONS = ["learned", "sinusoidal", "scaled_sinusoidal", "rope", "alibi", "none"]


def built(words: list[str], seed: int = 0) -> tuple[RunConfig, Transformer]:
    """A tiny fp32 model of the zoo, at its initialisation."""
    config = compose_run([*SMALL, *words])
    return config, build_model(config.block, config.model, VOCAB, seed)


def perturbed(words: list[str], seed: int = 0, scale: float = 0.2) -> tuple[RunConfig, Transformer]:
    """The same in fp64, with noise on every parameter: no gain, dW or W_Q is special any more."""
    config, model = built(words, seed)
    model.double()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, dtype=parameter.dtype, generator=generator)
            parameter.add_(scale * noise)
    return config, model


def refine_positions(config: RunConfig, model: Transformer) -> None:
    """Check the fixed position codes, which the zoo keeps in fp32, and make them exact."""
    size = config.model
    angles = rope_angles(size.seq_len, size.head_width)
    exact = {"table": sinusoids(size.seq_len, size), "cos": angles.cos(), "sin": angles.sin()}
    if size.positions == "scaled_sinusoidal":  # the factor is a weight
        exact["table"] = exact["table"] / (2**0.5 * size.init_std)
    exact["slopes"] = torch.tensor(slopes(size.n_heads), dtype=torch.float64)
    for name, buffer in model.named_buffers():
        code = exact.get(name.split(".")[-1])
        if code is not None:
            assert difference(buffer, code) < 1e-6
            buffer.copy_(code)


def copied(model: Transformer) -> dict[str, Tensor]:
    """The weights as leaves of their own, without a tied output layer's second name."""
    trained = dict(model.named_parameters())
    fixed = {name: value for name, value in model.state_dict().items() if name not in trained}
    if model.output.weight is model.embedding.weight:
        del fixed["output.weight"]
    return {n: p.detach().clone().requires_grad_() for n, p in trained.items()} | fixed


def random_tokens(shape: tuple[int, int], seed: int = 0) -> Tensor:
    """Random token numbers."""
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def padded(length: int) -> Tensor:
    """One batch with no padding, on the right, on the left, in the middle, and on both sides around one token."""
    valid = torch.ones(5, length, dtype=torch.bool)
    valid[1, length - 2 :] = False
    valid[2, :3] = False
    valid[3, 1 : length - 2] = False
    valid[4, :2] = valid[4, 3:] = False
    return valid


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


def worst(words: list[str], tokens: Tensor, valid: Tensor | None = None) -> tuple[float, dict[str, float]]:
    """Largest difference of the logits, and of each gradient relative to its scale, where there is no padding."""
    config, model = perturbed(words)
    refine_positions(config, model)
    weights = copied(model)
    actual = model(tokens) if valid is None else model(tokens, valid=valid)
    expected = logits(config, weights, tokens, valid)
    assert actual.dtype == expected.dtype == torch.float64
    assert actual.isfinite().all()  # what is masked later must be a number too
    if valid is not None:
        counted = valid | ~valid.any(dim=1, keepdim=True)  # all padding counts as no padding
        actual, expected = actual[counted], expected[counted]
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


def rms(x: Tensor, weight: Tensor, eps: float = 1e-8) -> Tensor:
    """RMSNorm over the last dimension."""
    return x / torch.sqrt((x * x).mean(dim=-1, keepdim=True) + eps) * weight


class OneBlock:
    """One block of a perturbed fp64 model with an input of its own; attention and MLP as functions."""

    def __init__(self, words: list[str], layer: int = 0, length: int = 6, scale: float = 0.2) -> None:
        self.config, self.model = perturbed(words, scale=scale)
        self.layer, self.weights = layer, {n: w.detach() for n, w in self.model.state_dict().items()}
        generator = torch.Generator().manual_seed(3)
        self.x = torch.randn(2, length, self.config.model.d_model, dtype=torch.float64, generator=generator)
        self.context = self.model.context(random_tokens((2, length)))

    @property
    def output(self) -> Tensor:
        """The block's output for its input."""
        with torch.no_grad():
            return self.model.get_submodule(f"blocks.{self.layer}")(self.x, self.context)

    def attention(self, u: Tensor) -> Tensor:
        """The block's attention, a black box."""
        with torch.no_grad():
            return self.model.get_submodule(f"blocks.{self.layer}.attention")(u, self.context)

    def mlp(self, v: Tensor) -> Tensor:
        """The block's MLP, a black box."""
        with torch.no_grad():
            return self.model.get_submodule(f"blocks.{self.layer}.mlp")(v)

    def weight(self, name: str) -> Tensor:
        """A weight of the block, or of the model."""
        own = f"blocks.{self.layer}.{name}"
        return self.weights[own if own in self.weights else name]

    def gain(self, name: str) -> Tensor:
        """A trained gain of the block."""
        return self.weight(f"{name}.gain")

    def norm(self, name: str, x: Tensor) -> Tensor:
        """RMSNorm with the weight of that name."""
        return rms(x, self.weight(f"{name}.weight"))
