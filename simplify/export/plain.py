"""A trained decoder as a GPT-2 or a Llama, where the algebra allows it: a folder that needs no code of ours.

What is a matrix in the end becomes one: gains on branches and heads, a fixed factor on the input, W_init + dW, no
matrix at all. `obstacles` says what cannot be written so, by the setting that stands in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from simplify.config import ModelConfig, RunConfig, gain_at, show
from simplify.config.block import GainName
from simplify.zoo.attention import Attention
from simplify.zoo.block import Block
from simplify.zoo.gains import Gain
from simplify.zoo.model import Transformer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_IN_GPT2 = {"gelu": "gelu", "relu": "relu", "relu2": "relu2"}
_IN_LLAMA = {"swiglu": "silu", "geglu": "gelu"}


def obstacles(run: RunConfig, kind: str) -> list[str]:
    """What keeps a run from being written as `kind`, gpt2 or llama: a line for each setting; none: it can be."""
    return [f"{key}={found}: {why}" for key, found, why in (*_of_any(run), *_OF[kind](run))]


def _of_any(run: RunConfig) -> Iterator[tuple[str, str, str]]:
    block, model = run.block, run.model
    if model.kind != "decoder":
        yield "model.kind", model.kind, "only a decoder"
    wanted = {"layout": "serial", "norm": "pre", "qk_norm": False, "soft_cap": None, "attn_gate": "none"}
    wanted |= {"alpha": None, "gamma": None, "value_first": None}
    for name, value in wanted.items():
        if getattr(block, name) != value:
            yield f"block.{name}", show(getattr(block, name)), f"only {show(value)}"
    skips: tuple[GainName, ...] = ("attn_skip", "mlp_skip")
    for name in skips:
        gain = getattr(block, name)
        if block.trains(name) or {gain_at(gain or 0.0, model.n_layers, n) for n in range(model.n_layers)} != {1.0}:
            yield f"block.{name}", "trained" if block.trains(name) else show(gain), "only 1, fixed"
    if block.norms_embedding(model):
        yield "model.embedding_norm", "true", "only false"


def _of_gpt2(run: RunConfig) -> Iterator[tuple[str, str, str]]:
    model = run.model
    yield from _norms(run, "layernorm")
    if model.positions not in ("learned", "sinusoidal", "scaled_sinusoidal"):
        yield "model.positions", model.positions, "only learned, sinusoidal, scaled_sinusoidal"
    if model.activation not in _IN_GPT2:
        yield "model.activation", model.activation, f"only {', '.join(_IN_GPT2)}"
    if model.kv_heads != model.n_heads:
        yield "model.n_kv_heads", str(model.kv_heads), f"only {model.n_heads}"
    if model.head_width * model.n_heads != model.d_model:
        yield "model.d_head", str(model.head_width), "only d_model / n_heads"


def _of_llama(run: RunConfig) -> Iterator[tuple[str, str, str]]:
    model = run.model
    yield from _norms(run, "rmsnorm")
    if model.positions != "rope":
        yield "model.positions", model.positions, "only rope"
    if model.activation not in _IN_LLAMA:
        yield "model.activation", model.activation, f"only {', '.join(_IN_LLAMA)}"


def _norms(run: RunConfig, kind: str) -> Iterator[tuple[str, str, str]]:
    found = {"model.norm": run.block.norm_of(run.model), "model.final_norm": run.block.final_norm_of(run.model)}
    for key, value in found.items():
        if value != kind:
            yield key, value, f"only {kind}"


_OF: dict[str, Callable[[RunConfig], Iterator[tuple[str, str, str]]]] = {"gpt2": _of_gpt2, "llama": _of_llama}


def plain_model(kind: str, run: RunConfig, model: Transformer, **tokens: int) -> PreTrainedModel:
    """`model` as transformers' own class; `tokens` are the special ones. Only where there are no `obstacles`."""
    import transformers

    size = run.model
    common: dict[str, Any] = {"vocab_size": run.data.vocab_size, "tie_word_embeddings": size.tied_embeddings, **tokens}
    if kind == "gpt2":
        settings: dict[str, Any] = {
            "n_embd": size.d_model,
            "n_layer": size.n_layers,
            "n_head": size.n_heads,
            "n_inner": size.d_ff,
        }
        settings |= {"activation_function": _IN_GPT2[size.activation], "n_positions": size.max_positions}
        settings |= {"layer_norm_epsilon": size.norm_eps, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        made: PreTrainedModel = transformers.GPT2LMHeadModel(transformers.GPT2Config(**common, **settings))
        weights = _gpt2_weights(model, size)
    else:
        settings = {"hidden_size": size.d_model, "intermediate_size": size.d_ff, "num_hidden_layers": size.n_layers}
        settings |= {"num_attention_heads": size.n_heads, "num_key_value_heads": size.kv_heads}
        settings |= {"head_dim": size.head_width, "rms_norm_eps": size.norm_eps, "attention_bias": run.block.qk_bias}
        settings |= {"max_position_embeddings": size.seq_len, "hidden_act": _IN_LLAMA[size.activation]}
        made = transformers.LlamaForCausalLM(transformers.LlamaConfig(**common, **settings))
        weights = _llama_weights(model, size, run.block.qk_bias)
    if not size.tied_embeddings:
        weights["lm_head.weight"] = model.output.weight
    told = made.load_state_dict(weights, strict=False)
    assert not told.unexpected_keys and set(told.missing_keys) <= {"lm_head.weight"}, told
    return made.eval()


@torch.no_grad()
def _gpt2_weights(model: Transformer, size: ModelConfig) -> dict[str, Tensor]:
    """GPT-2's Conv1D holds W, not its transpose; what is added to the embedding is its table of positions."""
    d, rows = size.d_model, size.max_positions
    assert model.positions is not None and rows is not None
    found = {"wte.weight": model.embedding.weight, "wpe.weight": model.positions(torch.zeros(1, rows, d))[0]}
    found |= _norm("ln_f", model.final_norm)
    for number, block in enumerate(_blocks(model)):
        readers = _readers(block.attention)
        layer = {
            "attn.c_attn.weight": torch.cat([_matrix(part, d) for part in readers]).T,
            "attn.c_attn.bias": torch.cat([_bias(part, d) for part in readers]),
            "attn.c_proj.weight": _projection(block, size).T,
            "attn.c_proj.bias": torch.zeros(d),
            "mlp.c_fc.weight": block.mlp.fc_in.weight.T,
            "mlp.c_fc.bias": torch.zeros(size.d_ff),
            "mlp.c_proj.weight": _mlp_out(block).T,
            "mlp.c_proj.bias": torch.zeros(d),
            **_norm("ln_1", block.attn_norm, block.input_gain),
            **_norm("ln_2", block.get_submodule("mlp_norm"), block.input_gain),
        }
        found |= {f"h.{number}.{name}": weight for name, weight in layer.items()}
    return {f"transformer.{name}": weight for name, weight in found.items()}


@torch.no_grad()
def _llama_weights(model: Transformer, size: ModelConfig, biased: bool) -> dict[str, Tensor]:
    found = {"embed_tokens.weight": model.embedding.weight, **_norm("norm", model.final_norm)}
    for number, block in enumerate(_blocks(model)):
        assert block.mlp.fc_gate is not None
        layer = {
            "self_attn.o_proj.weight": _projection(block, size),
            "mlp.up_proj.weight": block.mlp.fc_in.weight,
            "mlp.gate_proj.weight": block.mlp.fc_gate.weight,
            "mlp.down_proj.weight": _mlp_out(block),
            **_norm("input_layernorm", block.attn_norm, block.input_gain),
            **_norm("post_attention_layernorm", block.get_submodule("mlp_norm"), block.input_gain),
        }
        for name, part in zip("qkv", _readers(block.attention), strict=True):
            layer[f"self_attn.{name}_proj.weight"] = matrix = _matrix(part, size.d_model)
            if biased:
                layer[f"self_attn.{name}_proj.bias"] = _bias(part, len(matrix))
        if biased:
            layer["self_attn.o_proj.bias"] = torch.zeros(size.d_model)
        found |= {f"layers.{number}.{name}": weight for name, weight in layer.items()}
    return {f"model.{name}": weight for name, weight in found.items()}


def _blocks(model: Transformer) -> Iterator[Block]:
    for block in model.blocks:
        assert isinstance(block, Block)
        yield block


def _readers(attention: Attention) -> tuple[nn.Module, nn.Module, nn.Module]:
    """What makes queries, keys and values."""
    return attention.query, attention.key or attention.value, attention.value


def _matrix(part: nn.Module, d: int) -> Tensor:
    """A linear map's weight (out, in): of one that has none, what it does to the unit vectors."""
    return part.weight if isinstance(part, nn.Linear) else part(torch.eye(d)).T


def _bias(part: nn.Module, width: int) -> Tensor:
    bias = getattr(part, "bias", None)
    return torch.zeros(width) if bias is None else bias


def _projection(block: Block, size: ModelConfig) -> Tensor:
    """W_P with the gains of the heads before it and of the branch after it."""
    attention, width = block.attention, size.n_heads * size.head_width
    heads = torch.eye(width).unflatten(-1, (size.n_heads, -1))
    out = heads if attention.beta is None else attention.beta(heads)
    return block.attn_branch(attention.projection(out.flatten(-2))).T


def _mlp_out(block: Block) -> Tensor:
    """W_out with the gain of the branch after it."""
    return block.mlp_branch(block.mlp.fc_out(torch.eye(block.mlp.fc_out.in_features))).T


def _norm(name: str, norm: nn.Module, gain: Gain | None = None) -> dict[str, Tensor]:
    """A norm's weight, and its bias if it has one, times a fixed factor on its output."""
    found: dict[str, Tensor] = {f"{name}.{part}": weight for part, weight in norm.named_parameters()}
    return found if gain is None else {part: gain(weight) for part, weight in found.items()}
