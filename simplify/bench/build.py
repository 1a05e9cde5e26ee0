"""The models of a bench, all of them at once, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from simplify.bench.memory import certain_bytes, free_bytes, peak_apart, peak_here
from simplify.bench.work import Variant, build_variant, settle
from simplify.config import RunConfig
from simplify.display.progress import Meter
from simplify.errors import ConfigError
from simplify.training.compiling import wants_compiling
from simplify.training.device import Device, choose_device, out_of_memory


def choose_devices(configs: Mapping[str, RunConfig]) -> dict[str, Device]:
    """The device of each variant: the same for all, in several precisions perhaps. Raises ConfigError."""
    for key, values in (
        ("train.device", {c.train.device for c in configs.values()}),
        ("cluster.cpu_threads", {c.cluster.cpu_threads for c in configs.values()}),
    ):
        if len(values) > 1:  # a process has one number of threads
            said = ",".join(sorted("null" if value is None else str(value) for value in values))
            raise ConfigError(f"{key}={said}: several in one bench; valid: one value, and a bench for each")
    devices = {name: choose_device(config, None) for name, config in configs.items()}
    needed, free = certain_bytes(list(configs.values())), free_bytes()
    if free is not None and needed > free and next(iter(devices.values())).kind == "cpu":
        raise too_large(configs, f"they need at least {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free")
    return devices


def build_all(
    configs: Mapping[str, RunConfig], devices: Mapping[str, Device], with_memory: bool, meter: Meter
) -> tuple[dict[str, Variant], dict[str, dict[str, Any]]]:
    """All models, and the peak memory of each if it is wanted. Raises ConfigError where they do not fit."""
    variants: dict[str, Variant] = {}
    memory: dict[str, dict[str, Any]] = {}
    if any(wants_compiling(config.train, devices[name]) for name, config in configs.items()):
        let_all_compile(len(configs))
    settle()
    for name, config in configs.items():
        kind = devices[name].kind
        meter.update(0, f"{name}: building" + (", memory" if with_memory else ""))
        if with_memory and kind == "cpu":
            memory[name] = peak_apart(config)
        elif with_memory and kind == "mps":
            memory[name] = {"error": "torch tells no peak of mps"}
        held = torch.cuda.memory_allocated() if kind == "cuda" else 0
        try:
            variants[name] = build_variant(name, config, devices[name])
            if with_memory and kind == "cuda":
                memory[name] = peak_here(variants[name], held)
        except Exception as error:
            if out_of_memory(error):
                raise too_large(configs, f"{name} did not") from None
            raise
        for note in variants[name].notes:
            meter.note(f"{name}: {note}")
    return variants, memory


def too_large(configs: Mapping[str, RunConfig], why: str) -> ConfigError:
    """What to do where memory is too small."""
    config = next(iter(configs.values()))
    return ConfigError(
        f"bench: {len(configs)} models of model={config.model.name} do not fit into memory together: {why}; valid: "
        f"fewer blocks at a time, a smaller train.micro_batch (now {config.micro_batch}) or model.n_layers "
        f"(now {config.model.n_layers})"
    )


def let_all_compile(variants: int) -> None:
    """torch gives up compiling a function after a few times, silently; all variants compile the same ones."""
    import torch._dynamo

    name = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
    alone = getattr(torch._dynamo.config, name)  # what one variant may use, with gradients or without
    setattr(torch._dynamo.config, name, 2 * alone * variants)
