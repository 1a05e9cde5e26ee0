"""What cached decoding keeps of the tokens so far: keys, values, and the running sum of the values.

The running sum is all that the centring C needs, so a step costs O(d) for it, not O(T d).
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass
class _Layer:
    """One layer's buffers of `capacity` positions."""

    keys: Float[Tensor, "B L K h"]
    values: Float[Tensor, "B L K h"]
    total: Float[Tensor, "B 1 K h"] | None = None


class Cache:
    """Keys and values of at most `capacity` positions in every layer."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.length, self._end = capacity, 0, 0
        self._layers: dict[int, _Layer] = {}

    def append(
        self, layer: int, k: Float[Tensor, "B T K h"], v: Float[Tensor, "B T K h"]
    ) -> tuple[Float[Tensor, "B S K h"], Float[Tensor, "B S K h"]]:
        """Keep the new keys and values; returns all so far."""
        end = self.length + k.shape[1]
        if end > self.capacity:
            raise ValueError(f"a cache of {self.capacity} positions cannot hold {end}")
        if layer not in self._layers:
            batch, _, heads, width = k.shape
            shape = (batch, self.capacity, heads, width)
            self._layers[layer] = _Layer(k.new_empty(shape), v.new_empty(shape))
        kept = self._layers[layer]
        kept.keys[:, self.length : end], kept.values[:, self.length : end] = k, v
        return kept.keys[:, :end], kept.values[:, :end]

    def values(self, layer: int) -> Float[Tensor, "B S K h"]:
        """All values so far, those of the present step included."""
        kept = self._layers[layer].values
        return kept[:, : self._end]

    def running(self, layer: int, total: Float[Tensor, "B T K h"]) -> Float[Tensor, "B T K h"]:
        """Add the sum of all earlier values to the cumulative sums `total` of the new ones."""
        kept = self._layers[layer]
        if kept.total is not None:
            total = total + kept.total
        kept.total = total[:, -1:]
        return total

    def begin(self, new: int) -> None:
        """A forward pass over `new` tokens begins."""
        self._end = self.length + new

    def commit(self) -> None:
        """The pass is over: its tokens are earlier ones from now on."""
        self.length = self._end
