"""The transformer around the blocks: a decoder or an encoder, by one setting."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from simplify.config import BlockConfig, ModelConfig
from simplify.zoo.attention import Attention
from simplify.zoo.block import make_block
from simplify.zoo.cache import Cache
from simplify.zoo.context import Context
from simplify.zoo.decoding import Decoder
from simplify.zoo.init import initialise
from simplify.zoo.loss import output_loss
from simplify.zoo.matrices import Linear, ReparamMatrix
from simplify.zoo.norms import make_norm
from simplify.zoo.positions import added_positions, alibi_slopes


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


class Transformer(nn.Module):
    """Token embedding, positions, blocks, final norm, output layer."""

    slopes: Tensor | None

    def __init__(self, block: BlockConfig, model: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.causal = model.kind == "decoder"
        self.embedding = TokenEmbedding(vocab_size, model.d_model, model.init_std)
        self.positions = added_positions(model)
        slopes = torch.empty(model.n_heads) if model.positions == "alibi" else None
        self.register_buffer("slopes", slopes, persistent=False)
        self.fill()
        kind = block.norm_of(model)
        self.embedding_norm = make_norm(model, kind) if block.norms_embedding(model) else nn.Identity()
        self.blocks = nn.ModuleList(make_block(block, model, i) for i in range(model.n_layers))
        self.final_norm = make_norm(model, block.final_norm_of(model))
        self.output = Linear(model.d_model, vocab_size, model.init_std)
        if model.tied_embeddings:
            self.output.weight = self.embedding.weight
        self.max_positions = model.max_positions

    def fill(self) -> None:
        """Compute ALiBi's slopes, which are not saved with the model."""
        if self.slopes is not None:
            self.slopes.copy_(alibi_slopes(len(self.slopes)))

    def forward(
        self,
        tokens: Int[Tensor, "B T"],
        valid: Bool[Tensor, "B T"] | None = None,
        cache: Cache | None = None,
        targets: Int[Tensor, "B T"] | None = None,
        places: Int[Tensor, " n"] | None = None,
        positions: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"] | Float[Tensor, ""]:
        """Logits at each position: of the token after it (decoder) or of the token that belongs there (encoder).

        `valid` is False at padding, `positions` say where the tokens stand (None: one after the other). With a
        `cache`, the tokens follow those of the earlier calls. With `targets` (and `places`) `loss` instead: one call,
        so that it may be wrapped.
        """
        if targets is not None:
            return self.loss(tokens, targets, valid, places)
        if cache is None:
            return self.run(tokens, valid, positions=positions)
        cache.begin(tokens.shape[1], tokens.device)
        logits = self.run(tokens, valid, cache)
        cache.commit()
        return logits

    def run(
        self,
        tokens: Int[Tensor, "B T"],
        valid: Bool[Tensor, "B T"] | None = None,
        cache: Cache | None = None,
        positions: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """`forward` between a cache's `begin` and `commit`: tensors alone, which is what may be compiled."""
        return self.output(self.final_norm(self.stream_of(tokens, valid, cache, positions)))

    def loss(
        self,
        tokens: Int[Tensor, "B T"],
        targets: Int[Tensor, "B T"],
        valid: Bool[Tensor, "B T"] | None = None,
        places: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean cross-entropy in nats over the targets that are not -100, without all logits at once.

        `places` are those targets, counted through the batch, where it is known that they are few: no other
        position then gets any logits.
        """
        hidden, wanted = self.stream_of(tokens, valid).flatten(0, 1), targets.flatten()
        if places is not None:
            hidden, wanted = hidden[places], wanted[places]
        return output_loss(self.final_norm(hidden), self.output.weight, wanted)

    def stream_of(
        self,
        tokens: Int[Tensor, "B T"],
        valid: Bool[Tensor, "B T"] | None = None,
        cache: Cache | None = None,
        positions: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T d"]:
        """The stream after the last block, before the final norm."""
        context = self.context(tokens, valid, cache, positions)
        x = self.embed(tokens, context)
        for block in self.blocks:
            x = block(x, context)
        return x

    def context(
        self,
        tokens: Int[Tensor, "B T"],
        valid: Bool[Tensor, "B T"] | None = None,
        cache: Cache | None = None,
        positions: Int[Tensor, "B T"] | None = None,
    ) -> Context:
        """What the layers share in a forward pass over `tokens`."""
        return Context(self.causal, tokens.shape[1], tokens.device, valid, self.slopes, cache, positions)

    def embed(self, tokens: Int[Tensor, "B T"], context: Context) -> Float[Tensor, "B T d"]:
        """What the first block gets."""
        x = self.embedding(tokens)
        if self.positions is not None:
            x = self.positions(x, context.start)
        return self.embedding_norm(x)

    def generate(
        self,
        prompt: Int[Tensor, "B T"],
        n_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
        compiled: bool = False,
    ) -> Int[Tensor, "B T_and_n"]:
        """`prompt` and `n_tokens` drawn after it. Raises ValueError for an encoder or an empty prompt."""
        drawn = list(Decoder(self, compiled).stream(prompt, n_tokens, temperature, top_k, generator))
        return torch.cat([prompt, *(token[:, None] for token in drawn)], dim=1)


def build_model(block: BlockConfig, model: ModelConfig, vocab_size: int, seed: int) -> Transformer:
    """A model on the CPU with weights drawn from `seed`."""
    built = Transformer(block, model, vocab_size)
    initialise(built, seed)
    if block.value.kind == "reparam" and block.value.tie != "none":
        tie_orthogonals(built, block.value.tie)
    return built


@torch.no_grad()
def tie_orthogonals(model: Transformer, tie: str) -> None:
    """Make the product of W_V W_P over depth the identity (paper Fig 15).

    `all`: in every layer W_P = W_V^T. `last`: only the last W_P, which undoes all before it.
    """
    layers = [module for module in model.modules() if isinstance(module, Attention)]
    total = torch.eye(model.embedding.embedding_dim, dtype=torch.float64)
    for layer in layers:
        value, projection = layer.value, layer.projection
        assert isinstance(value, ReparamMatrix) and isinstance(projection, ReparamMatrix)
        assert value.fixed is not None and projection.fixed is not None  # BlockConfig checks ties
        # Stored as transposes: x W_V W_P is x @ value.T @ projection.T.
        total = total @ value.fixed.double().T
        if tie == "all" or layer is layers[-1]:
            projection.fixed.copy_(total)
        total = total @ projection.fixed.double().T
