"""What training keeps of the forward pass for the backward one, measured on the block itself."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from simplify.config import BlockConfig, ModelConfig
from simplify.zoo.block import make_block
from simplify.zoo.model import Transformer


def activation_bytes(block: BlockConfig, model: ModelConfig) -> list[int]:
    """Bytes that each layer keeps for one sequence of `seq_len` tokens in fp32, without its weights.

    Layers from the second on are alike, so two are run, whatever the depth.
    """
    two = model.model_copy(update={"n_layers": min(model.n_layers, 2)})
    outer = Transformer(block, two.model_copy(update={"d_ff": 1}), 2)  # for its context; the blocks are not used
    context = outer.context(torch.zeros(1, model.seq_len, dtype=torch.long))
    x = torch.zeros(1, model.seq_len, model.d_model, requires_grad=True)
    found: list[int] = []
    seen: set[int] = set()
    for layer in range(two.n_layers):
        module = make_block(block, two, layer)
        weights = {p.untyped_storage().data_ptr() for p in [*module.parameters(), *module.buffers()]}
        kept: dict[int, int] = {}
        with saved_tensors_hooks(_noting(kept), lambda tensor: tensor):
            x = module(x, context)
        found.append(sum(size for place, size in kept.items() if place not in weights | seen))
        seen |= kept.keys()
    return found + [found[-1]] * (model.n_layers - two.n_layers)


def _noting(kept: dict[int, int]):
    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    return note
