"""A block in words: its equations with the constants filled in. No torch."""

from __future__ import annotations

from typing import get_args

from simplify.config import (
    GLU,
    BlockConfig,
    Dense,
    DepthGain,
    Identity,
    ModelConfig,
    Reparam,
    Settings,
    differing,
    gain_at,
    show,
)
from simplify.config.block import GainName

_NORMS = {
    "rmsnorm": "g x / sqrt(mean(x^2) + {eps:g})",
    "layernorm": "g (x - mean(x)) / sqrt(var(x) + {eps:g}) + c",
    "dyt": "g tanh(a x) + c, a = 0.5 at first",
    "derf": "g erf(a x + s) + c, a = 0.5 and s = 0 at first",
}
_ACTS = {"relu2": "relu^2", "swiglu": "silu", "geglu": "gelu"}


def differences(block: BlockConfig, model: ModelConfig) -> str:
    """The settings in which a block differs from Pre-LN, depth rules resolved at this model's depth."""
    short = {name: getattr(block, name) for name in differing(block) if name != "name"}
    return ", ".join(f"{name}={_setting(value, model)}" for name, value in short.items())


def _setting(value: object, model: ModelConfig) -> str:
    if isinstance(value, DepthGain):
        first, last = gain_at(value, model.n_layers, 0), gain_at(value, model.n_layers, model.n_layers - 1)
        return f"{first:.3g}" if first == last else f"({first:.3g} in layer 1 to {last:.3g} in layer {model.n_layers})"
    if isinstance(value, Settings):
        short = differing(value)
        kind = short.pop("kind")
        return kind + (show(short) if short else "")
    return f"{value:.3g}" if isinstance(value, float) else show(value)


def equations(block: BlockConfig, model: ModelConfig) -> dict[str, str]:
    """The block's equations by what they say, constants filled in; `x` is the stream before it."""
    lines = dict(_stream(block, model))
    shaped = _sum([_term(block, "alpha", "I"), _term(block, "beta", "A"), _term(block, "gamma", "C", "-")])
    lines["head output"] = f"({shaped or 'A'}) V" if shaped else "A V"
    lines["A"] = f"softmax({_logits(block, model)}{_bias(model)})"
    if block.has("gamma"):
        lines["C"] = "A where Q K^T = 0: " + _centring(model)
    lines["mask"] = "a query sees the keys up to itself" if model.kind == "decoder" else "a query sees all keys"
    lines["Q"] = _query(block, model) + _turned(block, model)
    lines["K"] = ("V" if block.key == "value" else f"u W_K, {_size(model, model.kv_heads)}") + _turned(block, model)
    lines |= _values(block, model)
    lines["MLP(v)"] = _mlp(model)
    if block.norm_places:
        lines["N(x)"] = _NORMS[block.norm_of(model)].format(eps=model.norm_eps)
    lines |= _initial(block, model)
    trained = [name for name in get_args(GainName) if block.trains(name)]
    lines["trained gains"] = ", ".join(trained) or "none"
    return lines


def _stream(block: BlockConfig, model: ModelConfig) -> dict[str, str]:
    """The lines that say how the branches join the stream."""
    inner = "N(x)" if "before" in block.norm_places else "x"
    scale = _setting(block.input_gain, model)
    u = inner if block.input_gain == 1.0 else f"{scale} {inner}"

    def branch(name: GainName, what: str) -> str:
        gain = _factor(block, model, name)
        return f"{gain}N({what})" if "output" in block.norm_places else f"{gain}{what}"

    def after(total: str) -> str:
        return f"N({total})" if "after" in block.norm_places else total

    attention, mlp = branch("attn_branch", "MHA(u)"), branch("mlp_branch", "MLP(v)")
    if block.layout == "parallel":
        skip = f"{_factor(block, model, 'attn_skip')}x + " if block.has("attn_skip") else ""
        return {"u": u, "y": after(f"{skip}{attention} + {mlp.replace('(v)', '(u)')}")}
    skip = f"{_factor(block, model, 'attn_skip')}x + " if block.has("attn_skip") else ""
    second = f"{_factor(block, model, 'mlp_skip')}x1 + " if block.has("mlp_skip") else ""
    return {"u": u, "x1": after(skip + attention), "v": u.replace("x", "x1"), "y": after(second + mlp)}


def _initial(block: BlockConfig, model: ModelConfig) -> dict[str, str]:
    """By what factors matrices start smaller or larger than the others, where they do."""
    scales = {"W_V, W_P, W_in, W_out": block.init_scale, "W_P, W_out": block.output_init_scale}
    told = [f"{_setting(scale, model)} {names}" for names, scale in scales.items() if scale != 1.0]
    return {"at first": ", ".join(told)} if told else {}


def _factor(block: BlockConfig, model: ModelConfig, name: GainName) -> str:
    """A gain before what it multiplies; a fixed 1 is not written."""
    start = _setting(getattr(block, name), model)
    if not block.trains(name):
        return "" if start == "1" else f"{start} "
    return f"[{start}] " if block.gain_size(name, model) is None else f"[{start} a channel] "


def _term(block: BlockConfig, name: GainName, what: str, sign: str = "+") -> str:
    if not block.has(name):
        return ""
    value = f"{getattr(block, name):g}"
    return f"{sign} " + (f"[{value}] {what}" if block.trains(name) else f"{value} {what}")


def _sum(terms: list[str]) -> str:
    return " ".join(term for term in terms if term).removeprefix("+ ")


def _logits(block: BlockConfig, model: ModelConfig) -> str:
    plain = f"Q K^T / sqrt({model.head_width})"
    return plain if block.soft_cap is None else f"{block.soft_cap:g} tanh({plain} / {block.soft_cap:g})"


def _bias(model: ModelConfig) -> str:
    return " - slope |i - j| + M" if model.positions == "alibi" else " + M"


def _centring(model: ModelConfig) -> str:
    if model.positions == "alibi":
        return "the softmax of ALiBi's distances"
    return "row i is 1/i on columns 1..i" if model.kind == "decoder" else "1/T everywhere"


def _query(block: BlockConfig, model: ModelConfig) -> str:
    if block.query == "identity":
        return "u"
    return f"u W_Q, {_size(model, model.n_heads)}" + (", 0 at first" if block.query_init == "zero" else "")


def _size(model: ModelConfig, heads: int) -> str:
    return f"{model.d_model} x {heads * model.head_width}"


def _turned(block: BlockConfig, model: ModelConfig) -> str:
    norm = ", RMSNorm of each head" if block.qk_norm else ""
    bias = ", with bias" if block.qk_bias else ""
    return bias + norm + (", rotary positions" if model.positions == "rope" else "")


def _values(block: BlockConfig, model: ModelConfig) -> dict[str, str]:
    size = _size(model, model.kv_heads)
    lines = {"V": _matrix(block.value, "u", "W_V", size)}
    if block.first_value is not None:
        lines["V, layer 1"] = _matrix(block.first_value, "u", "W_V", size)
    if block.has("value_own"):
        own, first = _term(block, "value_own", "V"), _term(block, "value_first", "V of layer 1")
        lines["V, from layer 2"] = _sum([own, first])
    gate = {"none": "", "head": " * sigmoid(u W_g), one a head", "element": " * sigmoid(u W_g)"}[block.attn_gate]
    heads = f"concat(head outputs){gate}"
    heads = f"({heads})" if gate else heads
    lines["MHA(u)"] = _matrix(block.projection, heads, "W_P", f"{model.n_heads * model.head_width} x {model.d_model}")
    return lines


def _matrix(matrix: Dense | Reparam | Identity, of: str, name: str, size: str) -> str:
    if isinstance(matrix, Identity):
        return of
    if isinstance(matrix, Dense):
        return f"{of} {name}, {size}" + (", orthogonal at first" if matrix.init == "orthogonal" else "")
    skip, branch = (f"[{g:g}]" if matrix.trainable else f"{g:g}" for g in (matrix.skip, matrix.branch))
    fixed = "I" if matrix.init == "identity" else "orthogonal W_init"
    tie = {"none": "", "last": ", product over depth I by the last W_P", "all": ", W_P = W_V^T"}[matrix.tie]
    return f"{of} ({skip} {fixed} + {branch} dW), {size}, dW = 0 at first{tie}"


def _mlp(model: ModelConfig) -> str:
    act = _ACTS.get(model.activation, model.activation)
    if model.leaky_slope is not None:
        act = f"{act}({model.leaky_slope:g})"
    inner = f"({act}(v W_gate) * (v W_in))" if model.activation in GLU else f"{act}(v W_in)"
    return f"{inner} W_out, {model.d_model} -> {model.d_ff} -> {model.d_model}"
