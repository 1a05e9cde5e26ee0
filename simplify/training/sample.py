"""Text from a trained decoder, as it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from simplify.data.tokenisers import end_of_text
from simplify.errors import ConfigError
from simplify.training.restored import Restored
from simplify.zoo.decoding import Decoder

_INCOMPLETE = "\ufffd"  # what a part of a character decodes to


def sample_text(
    restored: Restored,
    prompt: str,
    n_tokens: int,
    temperature: float,
    top_k: int | None,
    seed: int,
    warn: Callable[[str], None],
) -> Iterator[str]:
    """Pieces of text after `prompt`, whole characters only; ends early where the model ends the document.

    An empty prompt stands for the beginning of a document. Raises ConfigError for an encoder.
    """
    if restored.config.model.kind == "encoder":
        raise ConfigError("sample: this run is an encoder (model.kind=encoder), which fills gaps and does not go on")
    tokeniser = restored.tokeniser
    end = end_of_text(tokeniser)
    given = tokeniser.encode(prompt).ids or [end]
    limit = restored.model.max_positions
    if limit is not None and len(given) > limit:
        warn(f"sample: the prompt has {len(given)} tokens, the model's context {limit}; it sees the last {limit}")
    device = next(restored.model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    drawn: list[int] = []
    shown = tokeniser.decode(given)
    for token in Decoder(restored.model).stream(
        torch.tensor([given], device=device), n_tokens, temperature, top_k, generator
    ):
        if int(token) == end:
            break
        drawn.append(int(token))
        text = tokeniser.decode(given + drawn)
        if not text.endswith(_INCOMPLETE):
            yield text[len(shown) :]
            shown = text
