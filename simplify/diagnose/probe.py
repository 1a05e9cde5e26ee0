"""One forward and one backward pass over a real batch, watched from inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from simplify.config.gains import BLOCK_GAINS, HEAD_GAINS
from simplify.diagnose.measures import STREAM, attention_entropy
from simplify.zoo.attention import Attention
from simplify.zoo.block import Block, ParallelBlock, SerialBlock
from simplify.zoo.context import Context
from simplify.zoo.gains import Gain
from simplify.zoo.loss import token_loss
from simplify.zoo.model import Transformer
from simplify.zoo.readings import gain_of, value_of

# A list for each measure: of the stream from the embedding (0) to the last block (L), or of layers 1..L.
Reading = dict[str, list[float | None]]

GAINS = (*HEAD_GAINS, *BLOCK_GAINS)
WEIGHTS = {
    "W_Q": "attention.query",
    "W_K": "attention.key",
    "W_V": "attention.value",
    "W_P": "attention.projection",
    "W_in": "mlp.fc_in",
    "W_out": "mlp.fc_out",
}


def probe(model: Transformer, inputs: Int64[Tensor, "B T"], targets: Int64[Tensor, "B T"]) -> Reading:
    """All measures of BLOCKS.md section 5 for `model` on one batch."""
    streams: list[Tensor] = []
    inside: list[dict[str, float]] = [{} for _ in model.blocks]
    with _watching(model, streams, inside):
        loss = token_loss(model(inputs), targets)
        loss.backward()
    reading: Reading = {name: [_finite(measure(x.detach())) for x in streams] for name, measure in STREAM.items()}
    reading["gradient"] = [None if x.grad is None else _finite(float(x.grad.double().norm())) for x in streams]
    reading["attention_entropy"] = [_finite(layer["attention_entropy"]) for layer in inside]
    for branch in ("attn", "mlp"):
        reading[f"{branch}_ratio"] = [_ratio(block, branch, x) for block, x in zip(model.blocks, inside, strict=True)]
    for name in GAINS:
        for kind, values in _gains(model, name).items():
            reading[f"{name}{kind}"] = values
    for name, path in WEIGHTS.items():
        reading[f"gradient {name}"] = [_gradient(block, path) for block in model.blocks]
    model.zero_grad(set_to_none=True)
    return reading | {"loss": [_finite(float(loss.detach()))]}


@contextmanager
def _watching(model: Transformer, streams: list[Tensor], inside: list[dict[str, float]]) -> Iterator[None]:
    """Hooks that note the stream before and after each block, and what each block does."""
    hooks: list[Any] = []

    def keep(x: Tensor) -> None:
        x.retain_grad()
        streams.append(x)

    def keep_input(_module: nn.Module, args: tuple[Any, ...]) -> None:
        keep(args[0])

    def keep_output(_module: nn.Module, _args: tuple[Any, ...], out: Tensor) -> None:
        keep(out)

    for number, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        if number == 0:
            hooks.append(block.register_forward_pre_hook(keep_input))
        hooks += _inside(block, inside[number])
        hooks.append(block.register_forward_hook(keep_output))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _inside(block: Block, found: dict[str, float]) -> list[Any]:
    """Hooks for the attention's entropy and the sizes of branches and skips."""

    def look(attention: Attention, args: tuple[Tensor, Context]) -> None:
        with torch.no_grad():
            q, k, _ = attention.project(*args[:2])
            found["attention_entropy"] = attention_entropy(q, k, args[1], attention.soft_cap)

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _args: Any, out: Tensor) -> None:
            found[name] = _norm_of(getattr(block, f"{name}_branch"), out)

        return hook

    def into_block(_block: nn.Module, args: tuple[Any, ...]) -> None:
        found["attn_skip"] = _norm_of(block.attn_skip, args[0])

    def between(_norm: nn.Module, _args: Any, out: Tensor) -> None:
        if isinstance(block, SerialBlock):
            found["mlp_skip"] = _norm_of(block.mlp_skip, out)

    return [
        block.attention.register_forward_pre_hook(look),
        block.register_forward_pre_hook(into_block),
        block.attn_out_norm.register_forward_hook(note("attn")),
        block.mlp_out_norm.register_forward_hook(note("mlp")),
        block.attn_post_norm.register_forward_hook(between),
    ]


def _norm_of(gain: Gain | None, x: Tensor) -> float:
    """|gain x|; 0 for a skip that is absent."""
    return 0.0 if gain is None else float(gain(x).detach().double().norm())


def _ratio(block: nn.Module, branch: str, found: dict[str, float]) -> float | None:
    """|b F| / |a x| of a branch; None where its skip is absent. In parallel both have one skip."""
    skip = "attn_skip" if isinstance(block, ParallelBlock) else f"{branch}_skip"
    if not found.get(skip):
        return None
    return _finite(found[branch] / found[skip])


def _gains(model: Transformer, name: str) -> dict[str, list[float | None]]:
    """Mean, least and largest value over heads (or channels) of one gain in each layer."""
    kinds: dict[str, Callable[[Tensor], Tensor]] = {"": torch.mean, " least": torch.min, " largest": torch.max}
    gains = [gain_of(block, name) for block in model.blocks if isinstance(block, Block)]
    values = [None if gain is None else value_of(gain) for gain in gains]
    return {
        kind: [None if value is None else float(function(value.double())) for value in values]
        for kind, function in kinds.items()
    }


def _gradient(block: nn.Module, path: str) -> float | None:
    """Norm of the gradient of the matrices at `path`; None where there is no matrix."""
    owner: Any = block
    for name in path.split("."):
        owner = getattr(owner, name, None)
    if owner is None:
        return None
    norms = [p.grad.double().norm() for p in owner.parameters() if p.ndim == 2 and p.grad is not None]
    return _finite(float(torch.stack(norms).norm())) if norms else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
