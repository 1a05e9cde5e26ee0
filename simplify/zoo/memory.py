"""What training keeps of the forward pass for the backward one, read off the block itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from simplify.config import BlockConfig, ModelConfig
from simplify.zoo.block import make_block
from simplify.zoo.context import Context
from simplify.zoo.loss import LOGITS_ON_GPU
from simplify.zoo.positions import alibi_slopes


def activation_bytes(block: BlockConfig, model: ModelConfig) -> list[int]:
    """Bytes that each layer keeps for one sequence of `seq_len` tokens in fp32, without its weights.

    The blocks run on tensors that have shapes but no memory, so a model of any size can be asked.
    Layers from the second on are alike: two are run, whatever the depth.
    """
    two = model.model_copy(update={"n_layers": min(model.n_layers, 2)})
    found: list[int] = []
    seen: dict[int, Tensor] = {}  # holds what was saved: an address could otherwise be given out again
    with FakeTensorMode():
        slopes = alibi_slopes(model.n_heads) if model.positions == "alibi" else None
        context = Context(model.kind == "decoder", model.seq_len, torch.device("cpu"), slopes=slopes)
        x = torch.zeros(1, model.seq_len, model.d_model, requires_grad=True)
        for layer in range(two.n_layers):
            module = make_block(block, two, layer)
            weights = {_storage(p) for p in [*module.parameters(), *module.buffers()]}
            kept: dict[int, Tensor] = {}
            with saved_tensors_hooks(_noting(kept), lambda tensor: tensor):
                x = module(x, context)
            new = kept.keys() - weights - seen.keys()
            found.append(sum(kept[place].untyped_storage().nbytes() for place in new))
            seen |= kept
    return found + [found[-1]] * (model.n_layers - two.n_layers)


def training_bytes(parameters: int, activations: int, tokens: int, vocabulary: int) -> dict[str, int]:
    """What training in fp32 takes by what it is for: AdamW's state, activations, and the logits that exist at a time.

    `activations`: bytes that the layers keep; `tokens`: of one micro-batch.
    """
    return {
        "weights, gradients and AdamW's moments": 16 * parameters,  # four numbers of four bytes
        "activations": activations,
        "logits": 8 * min(tokens * vocabulary, LOGITS_ON_GPU),  # and their gradients, a stretch of tokens at a time
    }


def _storage(tensor: Tensor) -> int:
    """What identifies the memory a tensor would have."""
    return tensor.untyped_storage()._cdata


def _noting(kept: dict[int, Tensor]) -> Callable[[Tensor], Tensor]:
    def note(tensor: Tensor) -> Tensor:
        kept[_storage(tensor)] = tensor
        return tensor

    return note
