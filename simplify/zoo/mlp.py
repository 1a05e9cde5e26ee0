"""The MLP branch."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from simplify.config import ModelConfig
from simplify.zoo.matrices import Linear

ACTIVATIONS: dict[str, Callable[[Tensor, float | None], Tensor]] = {
    "relu": lambda x, _: F.relu(x),
    "gelu": lambda x, _: F.gelu(x),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope or 0.0),
}


class MLP(nn.Module):
    """act(u W_in) W_out, without biases."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.fc_in = Linear(config.d_model, config.d_ff, config.init_std)
        self.fc_out = Linear(config.d_ff, config.d_model, config.init_std)
        self.activation, self.slope = ACTIVATIONS[config.activation], config.leaky_slope

    def forward(self, u: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
        return self.fc_out(self.activation(self.fc_in(u), self.slope))
