"""The decoder and every block variant once more, as plain equations: slow, explicit, and independent.

Written from the algebra of docs/ARCHITECTURE.md ("Blocks"), not from `simplify.zoo`, whose fused
computation is tested against it. Here attention is a full T x T matrix for each sequence and each
head, masked with -inf; nothing is fused, cached or shared. Weights come by the names of the zoo's
state_dict; a matrix stored as (out, in) is used transposed, so that every product reads `u W`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simplify.config import Identity, ModelConfig, Reparam, RunConfig, gain_at
from simplify.config.block import GainName

Weights = Mapping[str, Tensor]
Stream = Float[Tensor, "T d"]
Head = Float[Tensor, "T h"]
Square = Float[Tensor, "T T"]


def logits(config: RunConfig, weights: Weights, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
    """The decoder's output for each sequence of the batch."""
    return torch.stack([_sequence(config, weights, row) for row in tokens])


def _sequence(config: RunConfig, weights: Weights, tokens: Int[Tensor, " T"]) -> Float[Tensor, "T V"]:
    """The decoder's output for one sequence."""
    model = config.model
    x = torch.stack([weights["embedding.weight"][token] for token in tokens])
    if model.positions == "learned":
        x = x + weights["positions.weight"][: len(tokens)]
    if model.positions == "sinusoidal":
        x = x + sinusoids(len(tokens), model).to(x.dtype)
    normed = model.embedding_norm if model.embedding_norm is not None else config.block.norm == "none"
    if normed:
        x = norm(x, model.norm, model.norm_eps, weights, "embedding_norm")
    for layer in range(model.n_layers):
        x = block(x, config, weights, layer)
    x = norm(x, model.final_norm or model.norm, model.norm_eps, weights, "final_norm")
    return x @ weights["embedding.weight" if model.tied_embeddings else "output.weight"].T


def block(x: Stream, config: RunConfig, weights: Weights, layer: int) -> Stream:
    """One block, by the equations of its layout.

    serial:    u = N1(x);  x1 = a_SA x + b_SA MHA(u);  v = N2(x1);  y = a_FF x1 + b_FF MLP(v)
    parallel:  u = N1(x);  y  = a x + b_SA MHA(u) + b_FF MLP(u)
    post-norm: no N before a branch, one after each sum.
    """
    settings, model, name = config.block, config.model, f"blocks.{layer}"

    def n(z: Tensor, when: str, which: str) -> Tensor:
        return norm(z, model.norm, model.norm_eps, weights, f"{name}.{which}") if settings.norm == when else z

    def g(which: GainName) -> Tensor:
        start = gain_at(getattr(settings, which), model.n_layers)
        absent = which.endswith("_skip") and start == 0
        return gain(weights, f"{name}.{which}", start, settings.trains(which) and not absent, x)

    a_sa, b_sa, b_ff = g("attn_skip"), g("attn_branch"), g("mlp_branch")
    u = n(x, "pre", "attn_norm")
    attended = a_sa * x + b_sa * attention(u, config, weights, layer)
    if settings.layout == "parallel":
        return n(attended + b_ff * mlp(u, model, weights, f"{name}.mlp"), "post", "attn_post_norm")
    x1 = n(attended, "post", "attn_post_norm")
    v = n(x1, "pre", "mlp_norm")
    y = g("mlp_skip") * x1 + b_ff * mlp(v, model, weights, f"{name}.mlp")
    return n(y, "post", "mlp_post_norm")


def attention(u: Stream, config: RunConfig, weights: Weights, layer: int) -> Stream:
    """MHA(u) = concat_h(S_h V_h) W_P; key/value head j serves the heads j r ... j r + r - 1."""
    settings, model, name = config.block, config.model, f"blocks.{layer}.attention"
    width, shared = model.head_width, model.n_heads // model.kv_heads
    queries = u @ weights[f"{name}.query.weight"].T
    keys = u @ weights[f"{name}.key.weight"].T
    if settings.qk_bias:
        queries, keys = queries + weights[f"{name}.query.bias"], keys + weights[f"{name}.key.bias"]
    values = u @ matrix(settings.value_of(layer), weights, f"{name}.value", u)
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
        outputs.append(mixing(q, k, config, weights, name, head) @ values[:, common])
    return torch.cat(outputs, dim=1) @ matrix(settings.projection, weights, f"{name}.projection", u)


def mixing(q: Head, k: Head, config: RunConfig, weights: Weights, name: str, head: int) -> Square:
    """S = alpha I + beta A - gamma C with A = softmax(Q K^T / sqrt(h) + M) and C the A of zero logits."""
    block, length = config.block, len(q)
    mask = torch.full((length, length), -math.inf, dtype=q.dtype).triu(1)
    a = softmax(q @ k.T / math.sqrt(q.shape[1]) + mask)
    if block.beta is None:
        return a
    c = torch.zeros_like(mask)
    for row in range(length):
        c[row, : row + 1] = 1 / (row + 1)

    def g(which: GainName) -> Tensor:
        start, trained = getattr(block, which), block.trains(which)
        if start is None:
            return torch.zeros((), dtype=q.dtype)
        found = gain(weights, f"{name}.{which}", start, trained, q)
        return found[head if block.head_gains else 0] if trained else found

    return g("alpha") * torch.eye(length, dtype=q.dtype) + g("beta") * a - g("gamma") * c


def softmax(scores: Square) -> Square:
    """exp(s_ij) / sum_k exp(s_ik), with the row's largest score subtracted first."""
    powers = torch.exp(scores - scores.max(dim=1, keepdim=True).values.detach())
    return powers / powers.sum(dim=1, keepdim=True)


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
    """MLP(u) = phi(u W_in) W_out."""
    z = u @ weights[f"{name}.fc_in.weight"].T
    if model.activation == "relu":
        z = torch.where(z > 0, z, torch.zeros_like(z))
    elif model.activation == "leaky_relu":
        assert model.leaky_slope is not None
        z = torch.where(z > 0, z, model.leaky_slope * z)
    else:  # gelu: z times the standard normal's distribution function
        z = z * (1 + torch.erf(z / math.sqrt(2))) / 2
    return z @ weights[f"{name}.fc_out.weight"].T


def norm(x: Stream, kind: str, eps: float, weights: Weights, name: str) -> Stream:
    """RMSNorm x / sqrt(mean x^2 + eps) * g, or LayerNorm (x - mean x) / sqrt(var x + eps) * g + c."""
    if kind == "layernorm":
        x = x - x.sum(dim=1, keepdim=True) / x.shape[1]
    x = x / torch.sqrt((x * x).sum(dim=1, keepdim=True) / x.shape[1] + eps) * weights[f"{name}.weight"]
    return x + weights[f"{name}.bias"] if kind == "layernorm" else x


def gain(weights: Weights, name: str, start: float, trained: bool, like: Tensor) -> Tensor:
    """A gain: a parameter if it is trained, else the constant of the settings."""
    return weights[f"{name}.gain"] if trained else torch.tensor(start, dtype=like.dtype)


def sinusoids(length: int, model: ModelConfig) -> Stream:
    """PE(t, 2i) = sin(t / 10000^(2i/d)), PE(t, 2i+1) = cos(t / 10000^(2i/d)) (arXiv 1706.03762, 3.5).

    Published for embeddings of unit scale; here times sqrt(2) init_std, the scale of our embedding.
    """
    table = torch.zeros(length, model.d_model, dtype=torch.float64)
    for t in range(length):
        for column in range(model.d_model):
            angle = t / 10000 ** ((column - column % 2) / model.d_model)
            table[t, column] = math.cos(angle) if column % 2 else math.sin(angle)
    return math.sqrt(2) * model.init_std * table


def rotated(x: Head) -> Head:
    """Rotary positions: (x_i, x_{i + h/2}) turned by t 10000^(-2i/h) (arXiv 2104.09864, eq. 34)."""
    half = x.shape[1] // 2
    angles = rope_angles(*x.shape)
    cos, sin = torch.cos(angles).to(x.dtype), torch.sin(angles).to(x.dtype)
    low, high = x[:, :half], x[:, half:]
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=1)


def rope_angles(length: int, width: int) -> Float[Tensor, "T half"]:
    """t 10000^(-2i/h) for position t and pair i."""
    angles = [[t * 10000 ** (-2 * i / width) for i in range(width // 2)] for t in range(length)]
    return torch.tensor(angles, dtype=torch.float64)
