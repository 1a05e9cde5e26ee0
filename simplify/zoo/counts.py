"""Parameter counts from the configuration alone: no torch, nothing built."""

from __future__ import annotations

from simplify.config import BlockConfig, Dense, Identity, ModelConfig, Reparam
from simplify.config.block import GainName

_NORM_PARAMETERS = {"rmsnorm": 1, "layernorm": 2}  # a scale, and a bias


def count_parameters(block: BlockConfig, model: ModelConfig, vocab_size: int) -> dict[str, int]:
    """Trained parameters by part; their sum is what the built module has."""
    d, norm = model.d_model, _NORM_PARAMETERS[model.norm] * model.d_model
    blocks = sum(_block(block, model, layer) for layer in range(model.n_layers))
    norm_first = block.norm == "none" if model.embedding_norm is None else model.embedding_norm
    return {
        "embedding": vocab_size * d,
        "positions": model.position_rows * d if model.positions == "learned" else 0,
        "embedding_norm": norm if norm_first else 0,
        "blocks": blocks,
        "final_norm": _NORM_PARAMETERS[model.final_norm or model.norm] * d,
        "output": 0 if model.tied_embeddings else vocab_size * d,
    }


def _block(block: BlockConfig, model: ModelConfig, layer: int) -> int:
    d, h = model.d_model, model.head_width
    queries, keys = model.n_heads * h, model.kv_heads * h
    total = d * (queries + keys) + 2 * d * model.d_ff
    total += (queries + keys) if block.qk_bias else 0
    total += 2 * h if block.qk_norm else 0
    total += _matrix(block.value_of(layer), d * keys) + _matrix(block.projection, queries * d)
    sub_blocks = {"serial": 2, "parallel": 1}[block.layout]
    total += 0 if block.norm == "none" else sub_blocks * _NORM_PARAMETERS[model.norm] * d
    return total + sum(_gain(block, model, name) for name in GainName.__args__)


def _matrix(matrix: Dense | Reparam | Identity, size: int) -> int:
    if isinstance(matrix, Reparam):
        frozen = matrix.branch == 0.0 and not matrix.trainable
        return (0 if frozen else size) + (2 if matrix.trainable else 0)
    return size if isinstance(matrix, Dense) else 0


def _gain(block: BlockConfig, model: ModelConfig, name: GainName) -> int:
    value = getattr(block, name)
    absent = value is None or (name.endswith("_skip") and value == 0.0)
    if absent or not block.trains(name):
        return 0
    return model.n_heads if name in ("alpha", "beta", "gamma") and block.head_gains else 1
