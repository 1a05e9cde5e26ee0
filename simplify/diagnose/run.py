"""From configurations or trained runs to readings: the batch, the seeds, the models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from simplify.config import RunConfig
from simplify.data.batches import Batches
from simplify.data.corpus import Corpus, open_corpus
from simplify.diagnose.probe import Reading, probe
from simplify.errors import ConfigError
from simplify.training.device import Device, choose_device
from simplify.training.restored import Restored
from simplify.zoo.model import Transformer, build_model


def probe_at_start(
    configs: Mapping[str, RunConfig], seeds: int, sequences: int, note: Callable[[str], None]
) -> dict[str, list[Reading]]:
    """Readings of freshly initialised models: `seeds` for each block, all on the same real batch."""
    found: dict[str, list[Reading]] = {}
    for name, config in configs.items():
        corpus = open_corpus(config.data, masked=config.model.kind == "encoder")
        device = choose_device(config, "fp32")
        found[name] = []
        for seed in range(config.init_seed, config.init_seed + seeds):
            note(f"{name}, seed {seed}")
            model = build_model(config.block, config.model, config.data.vocab_size, seed)
            found[name].append(_probe(model, config, corpus, device, sequences))
    return found


def probe_trained(restored: Restored, sequences: int) -> Reading:
    """The reading of a trained model."""
    device = choose_device(restored.config, "fp32")
    return _probe(restored.model, restored.config, restored.corpus(), device, sequences)


def _probe(model: Transformer, config: RunConfig, corpus: Corpus, device: Device, sequences: int) -> Reading:
    """In fp32: a probe asks how signals travel, and rounding would blur it."""
    batch = Batches(corpus, config).validation(sequences)
    if len(batch.inputs) < sequences:
        raise ConfigError(
            f"--sequences={sequences}: the validation split of data={config.data.name} has {len(batch.inputs)}; valid: "
            f"1 to {len(batch.inputs)}"
        )
    inputs, targets = torch.from_numpy(np.stack(batch)).to(device.torch).unbind()
    return probe(model.to(device.torch), inputs, targets)
