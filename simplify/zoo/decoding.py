"""Drawing token after token from a decoder, each with one cached step, eager or compiled."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simplify.zoo.cache import Cache
from simplify.zoo.sampling import draw

_LEAST = 64  # positions of a static cache: whoever draws a little more next time finds the same shapes


@runtime_checkable
class CausalModel(Protocol):
    """What of `Transformer` decoding needs."""

    causal: bool
    max_positions: int | None

    def __call__(self, tokens: Tensor, *, cache: Cache | None) -> Tensor:
        """Logits of tokens that follow those of the cache."""
        ...

    def run(self, tokens: Tensor, valid: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """The same between the cache's `begin` and `commit`."""
        ...


class Decoder:
    """Draws from one model; one stream at a time, for the next one uses the same buffers.

    With `compiled` a step of one token goes through torch.compile, on CUDA as a CUDA graph. The first step of
    each batch and capacity takes its time for that; where it fails, `warn` is told once and the steps are eager.
    """

    def __init__(self, model: CausalModel, compiled: bool = False, warn: Callable[[str], None] = warnings.warn) -> None:
        self._model, self.compiled, self._warn = model, compiled, warn
        self._cache: Cache | None = None
        self._step: Any = None
        self._fits: tuple[Any, ...] = ()  # what the cache's buffers were made for
        self._streams = 0

    @torch.no_grad()
    def stream(
        self,
        prompt: Int[Tensor, "B T"],
        n_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[Int[Tensor, " B"]]:
        """Draw tokens one after the other. They stay on the device, and nothing waits for it.

        Where a position code has a last position, the older half of the context is dropped there.
        Raises ValueError for an encoder or an empty prompt, RuntimeError where a later stream has begun.
        """
        if not self._model.causal:
            raise ValueError("an encoder does not generate")
        if not prompt.shape[1]:
            raise ValueError("a prompt needs at least one token")
        needed = prompt.shape[1] + n_tokens
        limit = self._model.max_positions or needed
        self._streams += 1
        own, cache = self._streams, self._room(prompt, min(limit, needed), limit)
        new = seen = prompt[:, -limit:]
        drawn: list[Tensor] = []
        for _ in range(n_tokens):
            if own != self._streams:
                raise RuntimeError("this decoder has begun another stream, which overwrites the cache of this one")
            if cache.length + new.shape[1] > limit:
                new = seen = torch.cat([seen, *drawn], dim=1)[:, -max(limit // 2, 1) :]
                drawn = []
                cache.clear()
            token = draw(self._logits(new, cache), temperature, top_k, generator)
            yield token
            new = token[:, None]
            drawn.append(new)

    def _room(self, prompt: Int[Tensor, "B T"], needed: int, limit: int) -> Cache:
        """An empty cache; the last one if it serves, for a compiled step knows its addresses."""
        kind = prompt.device.type
        fits = (prompt.shape[0], prompt.device, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
        if self._cache is None or self._fits != fits or self._cache.capacity < needed:
            self._fits = fits
            self._cache = Cache(static_capacity(needed, limit) if self.compiled else needed, static=self.compiled)
        self._cache.clear()
        return self._cache

    def _logits(self, new: Int[Tensor, "B T"], cache: Cache) -> Float[Tensor, "B V"]:
        """Of the token after `new`: valid until the next call."""
        if not self.compiled or new.shape[1] > 1 or cache.length == 0:
            return self._model(new, cache=cache)[:, -1]
        cache.begin(1, new.device)
        try:
            logits = self._compiled(new, cache)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), "")[:200]
            self._warn(f"torch.compile: failed ({type(error).__name__}: {reason}); decoding without it")
            self.compiled = cache.static = False
            return self._model(new, cache=cache)[:, -1]
        cache.commit()
        return logits[:, -1]

    def _compiled(self, new: Int[Tensor, "B 1"], cache: Cache) -> Float[Tensor, "B 1 V"]:
        """One step. A CUDA graph's output lies where the next step writes its own: a token is drawn before that."""
        cuda = new.device.type == "cuda"
        if self._step is None:
            mode = "reduce-overhead" if cuda else None
            self._step = torch.compile(self._model.run, mode=mode, fullgraph=True, dynamic=False)
        if cuda:
            torch.compiler.cudagraph_mark_step_begin()
        return self._step(new, None, cache)


def static_capacity(needed: int, limit: int) -> int:
    """Positions of a static cache for `needed`: a power of two, so that few shapes are compiled, or the limit."""
    return min(limit, max(_LEAST, 1 << (needed - 1).bit_length()))
