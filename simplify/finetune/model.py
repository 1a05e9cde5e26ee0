"""The head that a trained encoder gets, and the dropout that pre-training has not.

As in Cramming's code: a pooler with tanh on token 0 after the final norm, then a linear layer; dropout after the
embedding's norm, on the output of every attention and MLP branch, and after the pooler. Ours: none on the attention
matrix, where Cramming has it too; the fused kernels and shaped attention's other terms have no place for it. A branch
without a skip (SAS) is dropped in the same place, where it is the whole stream.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from simplify.finetune.recipe import Recipe
from simplify.zoo.attention import Attention
from simplify.zoo.init import stream
from simplify.zoo.mlp import MLP
from simplify.zoo.model import Transformer


class Classifier(nn.Module):
    """An encoder with a pooler and a head of `outputs` numbers, which begin anew for each seed."""

    def __init__(self, encoder: Transformer, recipe: Recipe, outputs: int, std: float, seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooler = nn.Linear(encoder.embedding.embedding_dim, recipe.head)
        self.head = nn.Linear(recipe.head, outputs)
        self.dropout = nn.Dropout(recipe.dropout)
        with torch.no_grad():
            for name, layer in (("pooler", self.pooler), ("head", self.head)):
                layer.weight.normal_(0.0, std, generator=stream(seed, name))
                layer.bias.zero_()
        if recipe.dropout:
            branches = [module for module in encoder.modules() if isinstance(module, (Attention, MLP))]
            for place in (encoder.embedding_norm, *branches):
                place.register_forward_hook(self._drop)

    def _drop(self, _module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return self.dropout(output)

    def forward(
        self, tokens: Int[Tensor, "B T"], valid: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B outputs"]:
        """Logits of the classes, or the one number."""
        first = self.encoder.final_norm(self.encoder.stream_of(tokens, valid)[:, 0])
        return self.head(self.dropout(torch.tanh(self.pooler(first)))).float()
