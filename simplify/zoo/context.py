"""What one forward pass shares between its layers: which keys a query sees, and what came before.

Blocks only hand it on, so the same block serves a decoder, an encoder and cached decoding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simplify.zoo.cache import Cache
from simplify.zoo.fused import running_sum
from simplify.zoo.positions import Start
from simplify.zoo.precision import is_wide_on_cpu, widened


class Context:
    """Mask, positions, cache and layer 1's values of one forward pass over `length` new tokens.

    `valid` is True where there is a token; a sequence of nothing but padding counts as valid
    throughout. A decoder's query sees the valid keys up to itself, and itself even where it is padding,
    so that no row of the softmax is empty. An encoder's query sees all valid keys. `positions` are those of the
    codes where they are not the places in the sequence: what a query sees goes by places.
    """

    def __init__(
        self,
        causal: bool,
        length: int,
        device: torch.device,
        valid: Bool[Tensor, "B T"] | None = None,
        slopes: Float[Tensor, " H"] | None = None,
        cache: Cache | None = None,
        positions: Int[Tensor, "B T"] | None = None,
    ) -> None:
        if cache is not None and (valid is not None or positions is not None or not causal):
            raise ValueError("a cache serves a decoder without padding")
        if valid is not None:
            valid = valid | ~valid.any(dim=1, keepdim=True)
        self.causal, self.length, self.valid, self.cache = causal, length, valid, cache
        # Where the tokens stand: from 0 on, or after those of the cache at these positions.
        self._after: Int[Tensor, " T"] | None = None if cache is None else cache.positions
        self.start: Start = 0 if self._after is None else self._after
        if positions is not None:
            self.start = positions
        self.first_value: Float[Tensor, "B T K h"] | None = None
        self._counts: Float[Tensor, "T 1 1"] | None = None
        seen = self._seen(device)
        self.alibi = slopes is not None
        self.fused_causal = seen is None and causal and self._after is None and not self.alibi
        self.mask = seen if slopes is None else self._distances(slopes, seen, device)

    @property
    def plainly_causal(self) -> bool:
        """Whether each query sees all keys up to itself and nothing came before: training of a decoder."""
        return self.causal and self.valid is None and self.cache is None and not self.alibi

    def _seen(self, device: torch.device) -> Bool[Tensor, "... T S"] | None:
        """Which keys each query sees, or None where fused attention has a word for it: all, or causal."""
        if self.valid is None:
            if not self.causal or self.cache is None or self._after is None:
                return None
            if self.length == 1 and not self.cache.static:  # the newest token sees all that is read
                return None
        queries, keys = self._places(device)
        if self.valid is None:
            return keys <= queries
        valid = self.valid[:, None, None, :]
        return (keys <= queries) & (valid | (keys == queries)) if self.causal else valid

    def _places(self, device: torch.device) -> tuple[Int[Tensor, "T 1"], Int[Tensor, " S"]]:
        """The places of the queries and of the keys."""
        if self._after is None or self.cache is None:
            keys = torch.arange(self.length, device=device)
            return keys[:, None], keys
        return self._after[:, None], torch.arange(self.cache.extent, device=device)

    def _distances(
        self, slopes: Float[Tensor, " H"], seen: Bool[Tensor, "... one_or_T S"] | None, device: torch.device
    ) -> Float[Tensor, "... H T S"]:
        """ALiBi's bias, -slope |i - j|, and minus infinity where a key is not seen (arXiv 2108.12409)."""
        queries, keys = self._places(device)
        apart = queries - keys
        if not isinstance(self.start, int) and self.start.ndim == 2:
            apart = (self.start[:, :, None] - self.start[:, None, :])[:, None]
        bias = -widened(slopes)[:, None, None] * apart.abs()
        if seen is None and self.causal:
            seen = keys <= queries
        return bias if seen is None else bias.masked_fill(~seen, float("-inf"))

    def attend(
        self,
        layer: int,
        q: Float[Tensor, "B T H h"],
        k: Float[Tensor, "B T K h"],
        v: Float[Tensor, "B T K h"],
        soft_cap: float | None = None,
    ) -> Float[Tensor, "B T H h"]:
        """softmax(Q K^T / sqrt(h) + M) V by torch's fused kernels; with a soft cap, explicitly.

        Identity values and queries come from an fp32 norm, the rest perhaps from an autocast matmul:
        the narrowest type of the three is used.
        """
        dtype = q.dtype
        for other in (k.dtype, v.dtype):  # no min(): torch.compile would break the graph here
            if other.itemsize < dtype.itemsize:
                dtype = other
        q, k, v = (t.to(dtype).transpose(1, 2) for t in (q, k, v))  # heads first
        if self.cache is not None:
            k, v = self.cache.append(layer, k, v)
        if soft_cap is not None:
            return self._capped(q, k, v, soft_cap).transpose(1, 2)
        if is_wide_on_cpu(q):
            with torch.autocast("cpu", enabled=False):
                return self._fused(widened(q), widened(k), widened(v))
        return self._fused(q, k, v)

    def _fused(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention (B T H h) of heads that stand first, by torch's fused kernels."""
        gqa = k.shape[1] != q.shape[1]
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=self._mask(q.dtype), is_causal=self.fused_causal, enable_gqa=gqa
        )
        return out.transpose(1, 2)

    def scores(
        self, q: Float[Tensor, "B H T h"], k: Float[Tensor, "B K S h"], soft_cap: float | None = None
    ) -> Float[Tensor, "B H T S"]:
        """The logits under the mask, as a full matrix: Q K^T / sqrt(h), capped if asked, plus M."""
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
        logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        if soft_cap is not None:
            logits = soft_cap * torch.tanh(logits / soft_cap)
        if self.fused_causal:
            unseen = torch.ones(logits.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
            return logits.masked_fill(unseen, float("-inf"))
        mask = self._mask(logits.dtype)
        if mask is None:
            return logits
        return logits.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else logits + mask

    def _capped(self, q: Tensor, k: Tensor, v: Tensor, soft_cap: float) -> Tensor:
        """Attention with capped logits (B H T h): fused attention has no place for the cap, so T x T."""
        weights = self.scores(q, k, soft_cap).softmax(-1, dtype=torch.promote_types(q.dtype, torch.float32))
        return weights.to(v.dtype) @ v.repeat_interleave(q.shape[1] // v.shape[1], dim=1)

    def _mask(self, dtype: torch.dtype) -> Tensor | None:
        return self.mask if self.mask is None or self.mask.dtype == torch.bool else self.mask.to(dtype)

    def mean(self, layer: int, v: Float[Tensor, "B T K h"]) -> Float[Tensor, "B T heads h"]:
        """C V, in at least fp32: the mean of the values a query may see, by running sums.

        With ALiBi, C is the softmax of its distances: attention with all logits 0. Call it after `attend`.
        """
        v = v.to(torch.promote_types(v.dtype, torch.float32))
        if self.alibi:
            return self._weighted_mean(layer, v)
        if self.valid is None:
            if not self.causal:
                return v.mean(dim=1, keepdim=True).expand_as(v)
            total = running_sum(v) if self.cache is None else self.cache.running(layer, v)
            return total / self._seen_by_each(v)
        valid = self.valid[:, :, None, None].to(v.dtype)
        if not self.causal:
            return ((v * valid).sum(1, keepdim=True) / valid.sum(1, keepdim=True)).expand_as(v)
        # A padded position sees the valid ones before it, and itself.
        return ((v * valid).cumsum(1) + v * (1 - valid)) / (valid.cumsum(1) + 1 - valid)

    def _seen_by_each(self, v: Float[Tensor, "B T K h"]) -> Float[Tensor, "T 1 1"]:
        """How many keys each query sees, without padding: the same in all layers, and in v's type a faster divisor."""
        if self._counts is None:
            self._counts = (self._places(v.device)[0] + 1)[:, :, None].to(v.dtype)
        return self._counts

    def _weighted_mean(self, layer: int, v: Float[Tensor, "B T K h"]) -> Float[Tensor, "B T H h"]:
        """In a step of cached decoding the values are those that attention reads, in its precision."""
        assert self.mask is not None
        values = v.transpose(1, 2)
        if self.cache is not None and self.cache.positions is not None:
            values = self.cache.values(layer).to(v.dtype)
        q = v.new_zeros(v.shape[0], self.mask.shape[-3], v.shape[1], v.shape[-1])
        gqa = values.shape[1] != q.shape[1]
        out = F.scaled_dot_product_attention(q, values, values, attn_mask=self._mask(v.dtype), enable_gqa=gqa)
        return out.transpose(1, 2)
