"""Drawing tokens from logits."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def draw(
    logits: Float[Tensor, "B V"],
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " B"]:
    """One token a sequence; temperature 0 takes the likeliest, `top_k` leaves only the k likeliest."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    # torch.multinomial for one draw, number for number, without its look at the probabilities: on a GPU that waits.
    shares = logits.softmax(dim=-1)
    return (shares / torch.empty_like(shares).exponential_(generator=generator)).argmax(dim=-1)
