"""The decoder around the blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from simplify.config import BlockConfig, ModelConfig
from simplify.zoo.attention import Attention
from simplify.zoo.block import make_block
from simplify.zoo.init import initialise
from simplify.zoo.matrices import Linear, ReparamMatrix
from simplify.zoo.norms import make_norm
from simplify.zoo.positions import added_positions


class TokenEmbedding(nn.Embedding):
    """A row of d_model numbers for each token, N(0, std^2)."""

    def __init__(self, vocab_size: int, d_model: int, std: float) -> None:
        self.std = std
        super().__init__(vocab_size, d_model)

    def reset_parameters(self) -> None:
        """Nothing: `initialise` draws."""

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        self.weight.normal_(0.0, self.std, generator=generator)


class Decoder(nn.Module):
    """Token embedding, positions, blocks, final norm, output layer."""

    def __init__(self, block: BlockConfig, model: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(vocab_size, model.d_model, model.init_std)
        self.positions = added_positions(model)
        norm_first = block.norm == "none" if model.embedding_norm is None else model.embedding_norm
        self.embedding_norm = make_norm(model) if norm_first else nn.Identity()
        self.blocks = nn.ModuleList(make_block(block, model, i) for i in range(model.n_layers))
        self.final_norm = make_norm(model, model.final_norm)
        self.output = Linear(model.d_model, vocab_size, model.init_std)
        if model.tied_embeddings:
            self.output.weight = self.embedding.weight

    def forward(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Logits of the token after each position."""
        x = self.embedding_norm(self.positions(self.embedding(tokens)))
        for block in self.blocks:
            x = block(x)
        return self.output(self.final_norm(x))


def next_token_loss(logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats a token, in fp32 or better."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(wide.flatten(0, 1), targets.flatten())


def build_model(block: BlockConfig, model: ModelConfig, vocab_size: int, seed: int) -> Decoder:
    """A decoder on the CPU with weights drawn from `seed`."""
    decoder = Decoder(block, model, vocab_size)
    initialise(decoder, seed)
    if block.value.kind == "reparam" and block.value.tie != "none":
        tie_orthogonals(decoder, block.value.tie)
    return decoder


@torch.no_grad()
def tie_orthogonals(decoder: Decoder, tie: str) -> None:
    """Make the product of W_V W_P over depth the identity (paper Fig 15).

    `all`: in every layer W_P = W_V^T. `last`: only the last W_P, which undoes all before it.
    """
    layers = [module for module in decoder.modules() if isinstance(module, Attention)]
    total = torch.eye(decoder.embedding.embedding_dim, dtype=torch.float64)
    for layer in layers:
        value, projection = layer.value, layer.projection
        assert isinstance(value, ReparamMatrix) and isinstance(projection, ReparamMatrix)
        assert value.fixed is not None and projection.fixed is not None  # BlockConfig checks ties
        # Stored as transposes: x W_V W_P is x @ value.T @ projection.T.
        total = total @ value.fixed.double().T
        if tie == "all" or layer is layers[-1]:
            projection.fixed.copy_(total)
        total = total @ projection.fixed.double().T
