"""What cached decoding keeps of the tokens so far: keys, values, and the running sum of the values.

The running sum is all that the centring C needs, so a step costs O(d) for it, not O(T d).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simplify.zoo.fused import running_sum


@dataclass
class _Layer:
    """One layer's buffers of `capacity` positions, heads first as attention reads them."""

    keys: Float[Tensor, "B K S h"]
    values: Float[Tensor, "B K S h"]
    total: Float[Tensor, "B 1 K h"] | None = None


class Cache:
    """Keys and values of at most `capacity` positions in every layer.

    A pass over one token reads the positions so far: least work where every kernel is started by itself. In a
    `static` cache it reads all of them under a mask, so that all steps have the same shapes and addresses, which
    torch.compile and CUDA graphs need. What is said to the cache on the host (`begin`, `commit`, `clear`)
    is said outside of the compiled step; inside it there are only tensors.
    """

    def __init__(self, capacity: int, static: bool = False) -> None:
        self.capacity, self.static = capacity, static
        self.length = 0  # positions held; the host's knowledge, no compiled step may read it
        self.extent = 0  # positions of the buffers that attention reads
        self.positions: Int[Tensor, " T"] | None = None  # of the new tokens; None: from 0 on, nothing came before
        self._new = 0
        self._position: Int[Tensor, " 1"] | None = None
        self._layers: dict[int, _Layer] = {}

    def begin(self, new: int, device: torch.device) -> None:
        """A forward pass over `new` tokens begins. Raises ValueError where they do not fit."""
        end = self.length + new
        if end > self.capacity:
            raise ValueError(f"a cache of {self.capacity} positions cannot hold {end}")
        self._new, self.extent = new, self.capacity if self.static else end
        if self.length == 0:
            self.positions = None
        elif new > 1:
            self.positions = torch.arange(self.length, end, device=device)
        else:
            if self._position is None:
                self._position = self._still(torch.zeros(1, dtype=torch.long, device=device))
            self.positions = self._position.fill_(self.length)

    def commit(self) -> None:
        """The pass is over: its tokens are earlier ones from now on."""
        self.length += self._new

    def clear(self) -> None:
        """Forget all tokens and keep the buffers, at their addresses."""
        self.length = 0

    def append(
        self, layer: int, k: Float[Tensor, "B K T h"], v: Float[Tensor, "B K T h"]
    ) -> tuple[Float[Tensor, "B K S h"], Float[Tensor, "B K S h"]]:
        """Keep the new keys and values; returns all that attention reads."""
        if layer not in self._layers:
            self._layers[layer] = _Layer(self._buffer(k), self._buffer(v))
        kept = self._layers[layer]
        if self.positions is None:
            kept.keys[:, :, : k.shape[2]], kept.values[:, :, : k.shape[2]] = k, v
            return k, v
        kept.keys.index_copy_(2, self.positions, k)
        kept.values.index_copy_(2, self.positions, v)
        return kept.keys[:, :, : self.extent], kept.values[:, :, : self.extent]

    def values(self, layer: int) -> Float[Tensor, "B K S h"]:
        """The values that attention reads in this pass."""
        return self._layers[layer].values[:, :, : self.extent]

    def running(self, layer: int, v: Float[Tensor, "B T K h"]) -> Float[Tensor, "B T K h"]:
        """At each new token the sum of all values up to it, to be read before the next pass."""
        kept = self._layers[layer]
        if kept.total is None:
            kept.total = self._still(torch.zeros_like(v[:, -1:]))
        if self.positions is not None and v.shape[1] == 1:
            return kept.total.add_(v)
        total = running_sum(v)
        if self.positions is not None:
            total = total + kept.total
        kept.total.copy_(total[:, -1:])
        return total

    def _buffer(self, new: Float[Tensor, "B K T h"]) -> Float[Tensor, "B K S h"]:
        """Zeros: what is masked counts 0 times, and that must be a number."""
        batch, heads, _, width = new.shape
        return self._still(new.new_zeros(batch, heads, self.capacity, width))

    def _still(self, tensor: Tensor) -> Tensor:
        """Promise torch.compile that the tensor stays where it is: CUDA graphs write into no other inputs."""
        if self.static:
            import torch._dynamo

            torch._dynamo.mark_static_address(tensor)
        return tensor
