"""Parameters and FLOPs from the configuration alone: no torch, nothing built.

FLOPs are those of the forward pass for one token of a full sequence of `seq_len`: matrix products
only, 2 for a multiply-add, attention over the whole context (a causal mask saves nothing in the
count). Training is three times that: the backward pass has two products for each one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from simplify.config import GLU, BlockConfig, Dense, Identity, ModelConfig, Reparam
from simplify.config.block import GainName

TRAINING_FLOPS = 3  # times the forward pass

_NORM_PARAMETERS = {  # (a channel, besides)
    "rmsnorm": (1, 0),
    "layernorm": (2, 0),
    "dyt": (2, 1),
    "derf": (2, 2),
}


@dataclass(frozen=True)
class Part:
    """A part of a model, over all its layers."""

    name: str
    parameters: int
    flops: int = 0  # forward, a token


def count_parameters(block: BlockConfig, model: ModelConfig, vocab_size: int) -> int:
    """Trained parameters: what the built module has."""
    return sum(part.parameters for part in count_parts(block, model, vocab_size))


def count_flops(block: BlockConfig, model: ModelConfig, vocab_size: int) -> int:
    """FLOPs of the forward pass, a token."""
    return sum(part.flops for part in count_parts(block, model, vocab_size))


def count_parts(block: BlockConfig, model: ModelConfig, vocab_size: int) -> list[Part]:
    """The parts of a model that have parameters or FLOPs; those of the blocks summed over layers."""
    d, positions = model.d_model, {"learned": model.position_rows * model.d_model, "scaled_sinusoidal": 1}
    first = _norm(block.norm_of(model), d) if block.norms_embedding(model) else 0
    found = [Part("token embedding", vocab_size * d), Part("positions", positions.get(model.positions, 0))]
    found.append(Part("norm of the embedding", first))
    summed: dict[str, Part] = {}
    for layer in range(model.n_layers):
        for part in _layer(block, model, layer):
            so_far = summed.get(part.name, Part(part.name, 0))
            summed[part.name] = Part(part.name, so_far.parameters + part.parameters, so_far.flops + part.flops)
    found += summed.values()
    found.append(Part("final norm", _norm(block.final_norm_of(model), d)))
    found.append(Part("output", 0 if model.tied_embeddings else vocab_size * d, 2 * vocab_size * d))
    return [part for part in found if part.parameters or part.flops]


def _layer(block: BlockConfig, model: ModelConfig, layer: int) -> Iterator[Part]:
    d, h, f = model.d_model, model.head_width, model.d_ff
    queries, keys = model.n_heads * h, model.kv_heads * h
    bias = 1 if block.qk_bias else 0
    if block.query == "dense":
        yield Part("W_Q", d * queries + bias * queries, 2 * d * queries)
    if block.key == "dense":
        yield Part("W_K", d * keys + bias * keys, 2 * d * keys)
    yield Part("W_V", *_matrix(block.value_of(layer), d * keys))
    passes = 2 if model.positions == "alibi" and block.has("gamma") else 1  # C is a softmax of its own
    yield Part("attention", 2 * h if block.qk_norm else 0, passes * 2 * 2 * model.seq_len * queries)
    gate = {"none": 0, "head": d * model.n_heads, "element": d * queries}[block.attn_gate]
    yield Part("W_g", gate, 2 * gate)
    yield Part("W_P", *_matrix(block.projection, queries * d))
    yield Part("W_in", d * f, 2 * d * f)
    if model.activation in GLU:
        yield Part("W_gate", d * f, 2 * d * f)
    yield Part("W_out", f * d, 2 * f * d)
    yield Part("norms", _norms(block) * _norm(block.norm_of(model), d))
    yield Part("gains", sum(_gain(block, model, name, layer) for name in get_args(GainName)))


def _norm(kind: str, width: int) -> int:
    channels, besides = _NORM_PARAMETERS[kind]
    return channels * width + besides


def _norms(block: BlockConfig) -> int:
    """Norms in a block: one a branch and place, but one for both branches on a shared input or sum."""
    shared = {"serial": 2, "parallel": 1}[block.layout]
    return sum(2 if place == "output" else shared for place in block.norm_places)


def _matrix(matrix: Dense | Reparam | Identity, size: int) -> tuple[int, int]:
    """Parameters and FLOPs."""
    if isinstance(matrix, Reparam):
        delta = 0 if matrix.branch == 0.0 and not matrix.trainable else size
        fixed = size if matrix.init == "orthogonal" else 0
        return delta + (2 if matrix.trainable else 0), 2 * (delta + fixed)
    return (size, 2 * size) if isinstance(matrix, Dense) else (0, 0)


def _gain(block: BlockConfig, model: ModelConfig, name: GainName, layer: int) -> int:
    if not block.trains(name) or (name.startswith("value_") and layer == 0):
        return 0
    return block.gain_size(name, model) or 1
