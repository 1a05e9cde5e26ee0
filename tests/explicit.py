"""The transformer and every block variant once more, as plain equations: slow, explicit, and independent.

Written from the algebra of docs/ARCHITECTURE.md ("Blocks"), not from `simplify.zoo`, whose fused
computation is tested against it. Here attention is a full T x T matrix for each sequence and each
head, masked with -inf; nothing is fused, cached or shared. Weights come by the names of the zoo's
state_dict; a matrix stored as (out, in) is used transposed, so that every product reads `u W`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from explicit_parts import Head, Square, Stream, Weights, activated, norm, rotated, sinusoids, slopes, softmax
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simplify.config import Identity, ModelConfig, Reparam, RunConfig, gain_at
from simplify.config.block import GainName


@dataclass
class Pass:
    """What the layers share for one sequence: the keys that each query may see, and layer 1's values."""

    seen: Bool[Tensor, "T T"]
    first: Tensor | None = None


def logits(
    config: RunConfig, weights: Weights, tokens: Int[Tensor, "B T"], valid: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B T V"]:
    """The model's output for each sequence of the batch; `valid` is False at padding."""
    rows = [_sequence(config, weights, row, None if valid is None else valid[i]) for i, row in enumerate(tokens)]
    return torch.stack(rows)


def _sequence(
    config: RunConfig, weights: Weights, tokens: Int[Tensor, " T"], valid: Bool[Tensor, " T"] | None
) -> Float[Tensor, "T V"]:
    """The model's output for one sequence."""
    model, block_settings = config.model, config.block
    x = torch.stack([weights["embedding.weight"][token] for token in tokens])
    if model.positions == "learned":
        x = x + weights["positions.weight"][: len(tokens)]
    if model.positions == "sinusoidal":
        x = x + sinusoids(len(tokens), model).to(x.dtype)
    if model.positions == "scaled_sinusoidal":  # the published table times a trained number
        published = sinusoids(len(tokens), model) / (math.sqrt(2) * model.init_std)
        x = x + weights["positions.factor"] * published.to(x.dtype)
    if block_settings.norms_embedding(model):
        x = norm(x, block_settings.norm_of(model), model.norm_eps, weights, "embedding_norm")
    state = Pass(visible(model.kind, [True] * len(tokens) if valid is None else valid.tolist()))
    for layer in range(model.n_layers):
        x = block(x, config, weights, layer, state)
    x = norm(x, block_settings.final_norm_of(model), model.norm_eps, weights, "final_norm")
    return x @ weights["embedding.weight" if model.tied_embeddings else "output.weight"].T


def visible(kind: str, valid: list[bool]) -> Bool[Tensor, "T T"]:
    """Entry (i, j): whether query i sees key j. A sequence that is all padding counts as having none."""
    if not any(valid):
        valid = [True] * len(valid)
    if kind == "encoder":
        return torch.tensor([valid for _ in valid])
    return torch.tensor([[j == i or (j < i and valid[j]) for j in range(len(valid))] for i in range(len(valid))])


def block(x: Stream, config: RunConfig, weights: Weights, layer: int, state: Pass) -> Stream:
    """One block, by the equations of its layout.

    serial:    x1 = Na(a_SA x + b_SA No(MHA(c Nb(x))));  y = Na'(a_FF x1 + b_FF No'(MLP(c Nb'(x1))))
    parallel:  u = c Nb(x);  y = Na(a x + b_SA No(MHA(u)) + b_FF No'(MLP(u)))
    """
    settings, model, name = config.block, config.model, f"blocks.{layer}"

    def n(z: Tensor, place: str, which: str) -> Tensor:
        if place not in settings.norm_places:
            return z
        return norm(z, settings.norm_of(model), model.norm_eps, weights, f"{name}.{which}")

    def g(which: GainName) -> Tensor:
        start = gain_at(getattr(settings, which), model.n_layers, layer)
        return gain(weights, f"{name}.{which}", start, settings.trains(which), x)

    a_sa, b_sa, b_ff = g("attn_skip"), g("attn_branch"), g("mlp_branch")
    c = gain_at(settings.input_gain, model.n_layers, layer)
    u = c * n(x, "before", "attn_norm")
    attended = a_sa * x + b_sa * n(attention(u, config, weights, layer, state), "output", "attn_out_norm")
    if settings.layout == "parallel":
        y = attended + b_ff * n(mlp(u, model, weights, f"{name}.mlp"), "output", "mlp_out_norm")
        return n(y, "after", "attn_post_norm")
    x1 = n(attended, "after", "attn_post_norm")
    v = c * n(x1, "before", "mlp_norm")
    y = g("mlp_skip") * x1 + b_ff * n(mlp(v, model, weights, f"{name}.mlp"), "output", "mlp_out_norm")
    return n(y, "after", "mlp_post_norm")


def attention(u: Stream, config: RunConfig, weights: Weights, layer: int, state: Pass) -> Stream:
    """MHA(u) = (concat_h(S_h V_h) * gate) W_P; key/value head j serves the heads j r ... j r + r - 1."""
    settings, model, name = config.block, config.model, f"blocks.{layer}.attention"
    width, shared = model.head_width, model.n_heads // model.kv_heads
    values = u @ matrix(settings.value_of(layer), weights, f"{name}.value", u)
    queries = u if settings.query == "identity" else projected(u, weights, f"{name}.query", settings.qk_bias)
    keys = values if settings.key == "value" else projected(u, weights, f"{name}.key", settings.qk_bias)
    values = mixed_values(values, config, weights, layer, state)
    outputs = []
    for head in range(model.n_heads):
        own = slice(head * width, (head + 1) * width)
        common = slice(head // shared * width, (head // shared + 1) * width)
        q, k = queries[:, own], keys[:, common]
        if settings.qk_norm:
            q = norm(q, "rmsnorm", model.norm_eps, weights, f"{name}.query_norm")
            k = norm(k, "rmsnorm", model.norm_eps, weights, f"{name}.key_norm")
        if model.positions == "rope":
            q, k = rotated(q), rotated(k)
        out = mixing(q, k, config, weights, name, head, state.seen) @ values[:, common]
        if settings.attn_gate != "none":
            gate = 1 / (1 + torch.exp(-u @ weights[f"{name}.gate.weight"].T))
            out = out * (gate[:, head : head + 1] if settings.attn_gate == "head" else gate[:, own])
        outputs.append(out)
    return torch.cat(outputs, dim=1) @ matrix(settings.projection, weights, f"{name}.projection", u)


def projected(u: Stream, weights: Weights, name: str, biased: bool) -> Float[Tensor, "T o"]:
    """u W, or u W + b."""
    return u @ weights[f"{name}.weight"].T + (weights[f"{name}.bias"] if biased else 0)


def mixed_values(values: Tensor, config: RunConfig, weights: Weights, layer: int, state: Pass) -> Tensor:
    """V in layer 1 and without a value residual, else a V + b V_1 with V_1 = u W_V of layer 1."""
    settings, name = config.block, f"blocks.{layer}.attention"
    if layer == 0:
        state.first = values
        return values
    if settings.value_own is None or settings.value_first is None:
        return values
    assert state.first is not None
    a = gain(weights, f"{name}.value_own", settings.value_own, settings.trains("value_own"), values)
    b = gain(weights, f"{name}.value_first", settings.value_first, settings.trains("value_first"), values)
    return a * values + b * state.first


def mixing(
    q: Head, k: Head, config: RunConfig, weights: Weights, name: str, head: int, seen: Bool[Tensor, "T T"]
) -> Square:
    """S = alpha I + beta A - gamma C with A = softmax(cap(Q K^T / sqrt(h)) + M) and C the A of zero Q K^T."""
    block, length = config.block, len(q)
    mask = torch.zeros_like(seen, dtype=q.dtype)
    mask[~seen] = -math.inf
    c = seen.to(q.dtype) / seen.sum(dim=1, keepdim=True)  # uniform over the keys that may be seen
    if config.model.positions == "alibi":
        distance = torch.tensor([[abs(i - j) for j in range(length)] for i in range(length)], dtype=q.dtype)
        mask = mask - slopes(config.model.n_heads)[head] * distance
        c = softmax(mask)
    scores = q @ k.T / math.sqrt(q.shape[1])
    if block.soft_cap is not None:
        scores = block.soft_cap * torch.tanh(scores / block.soft_cap)
    a = softmax(scores + mask)
    if block.beta is None:
        return a

    def g(which: GainName) -> Tensor:
        start, trained = getattr(block, which), block.trains(which)
        if start is None:
            return torch.zeros((), dtype=q.dtype)
        found = gain(weights, f"{name}.{which}", start, trained, q)
        return found[head if block.head_gains else 0] if trained else found

    return g("alpha") * torch.eye(length, dtype=q.dtype) + g("beta") * a - g("gamma") * c


def matrix(settings: object, weights: Weights, name: str, like: Tensor) -> Float[Tensor, "i o"]:
    """W_V or W_P: dense, a W_init + b dW, or the identity."""
    eye = torch.eye(like.shape[-1], dtype=like.dtype)
    if isinstance(settings, Identity):
        return eye
    if isinstance(settings, Reparam):
        initial = eye if settings.init == "identity" else weights[f"{name}.fixed"].T
        a = gain(weights, f"{name}.skip", settings.skip, settings.trainable, like)
        b = gain(weights, f"{name}.branch", settings.branch, settings.trainable, like)
        if settings.branch == 0 and not settings.trainable:  # dW can never matter, and is not there
            return a * initial
        return a * initial + b * weights[f"{name}.delta"].T
    return weights[f"{name}.weight"].T


def mlp(u: Stream, model: ModelConfig, weights: Weights, name: str) -> Stream:
    """MLP(u) = phi(u W_in) W_out, or gated (phi(u W_gate) * (u W_in)) W_out."""
    hidden = u @ weights[f"{name}.fc_in.weight"].T
    if model.activation in ("swiglu", "geglu"):
        hidden = activated(u @ weights[f"{name}.fc_gate.weight"].T, model) * hidden
    else:
        hidden = activated(hidden, model)
    return hidden @ weights[f"{name}.fc_out.weight"].T


def gain(weights: Weights, name: str, start: float, trained: bool, like: Tensor) -> Tensor:
    """A gain: a parameter if it is trained, else the constant of the settings."""
    return weights[f"{name}.gain"] if trained else torch.tensor(start, dtype=like.dtype)
