"""The MLP branch."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from simplify.config import GLU, ModelConfig
from simplify.zoo.matrices import Linear, products

# Squared ReLU: arXiv 2109.08668. Gated ones (GLU) multiply by a second product: arXiv 2002.05202.
ACTIVATIONS: dict[str, Callable[[Tensor, float | None], Tensor]] = {
    "relu": lambda x, _: F.relu(x),
    "relu2": lambda x, _: F.relu(x).square(),
    "gelu": lambda x, _: F.gelu(x),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope or 0.0),
    "swiglu": lambda x, _: F.silu(x),
    "geglu": lambda x, _: F.gelu(x),
}


class MLP(nn.Module):
    """act(u W_in) W_out, or (act(u W_gate) * (u W_in)) W_out if gated; without biases."""

    def __init__(self, config: ModelConfig, init_scale: float = 1.0, output_scale: float = 1.0) -> None:
        """The factors on the initial standard deviation: of all matrices, and of W_out once more."""
        super().__init__()
        std = config.init_std * init_scale
        self.fc_in = Linear(config.d_model, config.d_ff, std)
        self.fc_gate = Linear(config.d_model, config.d_ff, std) if config.activation in GLU else None
        self.fc_out = Linear(config.d_ff, config.d_model, std * output_scale)
        self.activation, self.slope = ACTIVATIONS[config.activation], config.leaky_slope

    def readers(self) -> list[Linear]:
        """The matrices that read the input: what `forward` can be given the products of."""
        return [self.fc_in] if self.fc_gate is None else [self.fc_in, self.fc_gate]

    def forward(
        self, u: Float[Tensor, "B T d"], read: list[Float[Tensor, "B T f"]] | None = None
    ) -> Float[Tensor, "B T d"]:
        """`read` is u times each of `readers`, where the caller has it already."""
        inner, *gate = products(u, self.readers()) if read is None else read
        if not gate:
            return self.fc_out(self.activation(inner, self.slope))
        return self.fc_out(self.activation(gate[0], self.slope) * inner)
