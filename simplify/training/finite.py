"""Finding out where a loss stopped being finite."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def culprit(model: nn.Module, forward: Callable[[], Tensor]) -> str | None:
    """The first place that is not finite, by name: a weight, a module's output, or a gradient.

    `forward` repeats the loss that went wrong, on the same batch.
    """
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"weight {name}"
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not found and isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(name)

        return hook

    hooks = [m.register_forward_hook(watch(n)) for n, m in model.named_modules() if n]
    try:
        with torch.no_grad():
            forward()
    finally:
        for hook in hooks:
            hook.remove()
    if found:
        return f"output of {found[0]}"
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return f"gradient of {name}"
    return None
