"""What the exported classes are called with: obeyed, or refused by name; nothing is accepted and ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_TAKEN = "input_ids, attention_mask, position_ids, labels, return_dict"


def refuse(others: Mapping[str, Any], config: Any) -> None:
    """Raise ValueError for an argument that would change the result and that these models do not have.

    None, False and the zeros of `token_type_ids` ask for nothing.
    """
    asked = {name: getattr(config, name, False) for name in ("output_hidden_states", "output_attentions")}
    for name, value in {**asked, **others}.items():
        if value is None or value is False or (name == "token_type_ids" and not value.any()):
            continue
        raise ValueError(f"{name}: is not supported by this model; valid: {_TAKEN}")


def given_tokens(input_ids: Tensor | None) -> Tensor:
    """The tokens (B, T). Raises ValueError where there are none."""
    if input_ids is None or input_ids.ndim != 2 or not input_ids.shape[1]:
        raise ValueError(f"input_ids: needs token numbers of shape (batch, length), found {_shape(input_ids)}")
    return input_ids


def valid_places(attention_mask: Tensor | None, input_ids: Tensor) -> Tensor | None:
    """Where there are tokens (B, T), True or False; None where there is no padding. Raises ValueError."""
    if attention_mask is None:
        return None
    if attention_mask.shape != input_ids.shape:
        raise ValueError(
            f"attention_mask: needs the shape of input_ids {tuple(input_ids.shape)}, 1 for a token and 0 for padding, "
            f"found {_shape(attention_mask)}"
        )
    valid = attention_mask.bool()
    return None if bool(valid.all()) else valid


def positions_of(
    position_ids: Tensor | None, valid: Tensor | None, input_ids: Tensor, limit: int | None
) -> Tensor | None:
    """Where each token stands (B, T); None: one after the other from 0 on.

    Without `position_ids` padding is not counted, so a text has the same positions alone and in a padded batch. Raises
    ValueError where they do not fit, or go beyond the `limit` that the position code knows.
    """
    length = input_ids.shape[1]
    plain = torch.arange(length, device=input_ids.device)
    if position_ids is None:
        positions = None if valid is None else (valid.long().cumsum(1) - 1).clamp(min=0)
    else:
        if position_ids.shape[-1] != length or position_ids.numel() not in (length, input_ids.numel()):
            raise ValueError(
                f"position_ids: needs the shape of input_ids {tuple(input_ids.shape)}, found {_shape(position_ids)}"
            )
        positions = position_ids.reshape(-1, length).expand(len(input_ids), length)
        if int(positions.min()) < 0:
            raise ValueError(f"position_ids: needs numbers >= 0, found {int(positions.min())}")
    last = length - 1 if positions is None else int(positions.max())
    if limit is not None and last >= limit:
        raise ValueError(
            f"input_ids: {last + 1} positions, more than the model's context {limit}; cut the text to {limit} tokens, "
            "as the tokeniser does with truncation=True"
        )
    return None if positions is None or torch.equal(positions, plain.expand_as(positions)) else positions


def _shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else str(tuple(tensor.shape))
