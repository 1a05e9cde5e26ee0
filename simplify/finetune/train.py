"""One fine-tuning: a copy of the encoder, a task and a seed, from the first step to the task's numbers."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from simplify.errors import Interrupted
from simplify.finetune.glue import Examples, TaskData
from simplify.finetune.inputs import Encoder, padded
from simplify.finetune.metrics import METRICS
from simplify.finetune.model import Classifier
from simplify.finetune.recipe import Recipe
from simplify.finetune.tasks import GlueTask
from simplify.training.device import Device
from simplify.training.optimisers import make_optimiser, set_learning_rate
from simplify.training.restored import Restored
from simplify.training.schedules import learning_rate
from simplify.training.signals import StopRequest

_AT_ONCE = 128  # examples in a forward pass without gradients
_LOOK_EVERY = 25  # steps between two looks at the loss on a GPU, each of which waits for it


@dataclass(frozen=True)
class Inputs:
    """A task as tokens."""

    task: GlueTask
    train: list[NDArray[np.int64]]
    labels: NDArray[Any]
    validation: dict[str, tuple[list[NDArray[np.int64]], NDArray[Any]]]
    facts: dict[str, Any]  # what is kept with each result
    padding: int

    @classmethod
    def of(cls, restored: Restored, task: GlueTask, data: TaskData) -> Inputs:
        """By the tokeniser of the run, as long as its training sequences at most."""
        encode = Encoder(restored.tokeniser, restored.config.model.seq_len)
        parts = {name: (encode(part), part.labels) for name, part in data.validation.items()}
        counted: list[Examples] = [data.train, *data.validation.values()]
        facts = {
            "data": data.fingerprint,
            "examples": {"train": len(data.train), **{name: len(part) for name, part in data.validation.items()}},
            "left_out": sum(part.left_out for part in counted),
        }
        return cls(task, encode(data.train), data.train.labels, parts, facts, encode.end)


class NotFinite(Exception):
    """A loss, an output or a metric that is no number: `step` is where, None after training."""

    def __init__(self, what: str, step: int | None) -> None:
        super().__init__(what)
        self.step = step


class FineTuning:
    """The state of one fine-tuning."""

    def __init__(self, restored: Restored, recipe: Recipe, inputs: Inputs, device: Device, seed: int) -> None:
        self._recipe, self._inputs, self._device, self._seed = recipe, inputs, device, seed
        std, encoder = restored.config.model.init_std, copy.deepcopy(restored.model)
        self._model = Classifier(encoder, recipe, inputs.task.outputs, std, seed).to(device.torch)
        self._settings = recipe.optimiser()
        self._optimiser = make_optimiser(self._model, self._settings)
        self._scaler = device.scaler()
        self._losses: list[Tensor] = []
        self.steps = recipe.epochs * -(-len(inputs.train) // recipe.batch)

    def run(self, show: Callable[[int], None], stop: StopRequest) -> dict[str, Any]:
        """Train, measure, and return what is kept. Raises Interrupted; what is not finite is part of the answer."""
        torch.manual_seed(self._seed)  # dropout's stream
        start, numbers, failed = time.perf_counter(), {}, None
        try:
            self._train(show, stop)
            numbers = {name: self._measure(*part) for name, part in self._inputs.validation.items()}
        except NotFinite as error:
            failed = {"cause": "non_finite", "message": str(error), "step": error.step}
        loss = float(torch.stack(self._losses[-50:]).mean())
        return {
            "numbers": numbers,
            "failed": failed,
            "metric": self._inputs.task.metric,
            "train/loss": loss if math.isfinite(loss) else None,
            "steps": self.steps,
            **self._inputs.facts,
            "seconds": round(time.perf_counter() - start, 3),
            **self._device.facts(),
        }

    def _train(self, show: Callable[[int], None], stop: StopRequest) -> None:
        self._model.train()
        rows, look = len(self._inputs.train), 1 if self._device.kind == "cpu" else _LOOK_EVERY
        for epoch in range(self._recipe.epochs):
            # RandomState's streams are frozen across numpy versions; Generator's are not.
            bits = np.random.MT19937(np.random.SeedSequence([self._seed, epoch]))
            order = np.random.RandomState(bits).permutation(rows)
            for first in range(0, rows, self._recipe.batch):
                done = len(self._losses)
                set_learning_rate(self._optimiser, learning_rate(self._settings, (done + 0.5) / self.steps))
                self._losses.append(self._step(order[first : first + self._recipe.batch]))
                if (done + 1) % look == 0 or done + 1 == self.steps:
                    self._check(done + 1, look)
                show(done + 1)
                if stop.requested:
                    raise Interrupted("stopped; what is finished is kept, and the same command continues from there")

    def _step(self, chosen: NDArray[np.int64]) -> Tensor:
        inputs = self._inputs
        labels = torch.from_numpy(inputs.labels[chosen]).to(self._device.torch)
        outputs = self._outputs([inputs.train[place] for place in chosen])
        loss = F.cross_entropy(outputs, labels) if inputs.task.words else F.mse_loss(outputs[:, 0], labels)
        self._scaler.scale(loss).backward()
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    def _outputs(self, texts: list[NDArray[np.int64]]) -> Float[Tensor, "B outputs"]:
        batch = padded(texts, self._inputs.padding)
        with self._device.autocast():
            ids, valid = (None if part is None else part.to(self._device.torch, non_blocking=True) for part in batch)
            return self._model(ids, valid)

    def _check(self, done: int, look: int) -> None:
        recent = torch.stack(self._losses[-look:]).cpu()
        wrong = (~torch.isfinite(recent)).nonzero()
        if len(wrong):
            step = done - len(recent) + int(wrong[0]) + 1
            raise NotFinite(f"the loss is {float(recent[wrong[0]]):g} at step {step} of {self.steps}", step)

    @torch.no_grad()
    def _measure(self, texts: list[NDArray[np.int64]], labels: NDArray[Any]) -> float:
        """A number of the table, as a share of 1."""
        self._model.eval()
        order = np.argsort([len(one) for one in texts], kind="stable")  # little padding
        found = np.zeros((len(texts), self._inputs.task.outputs), dtype=np.float32)
        for first in range(0, len(texts), _AT_ONCE):
            places = order[first : first + _AT_ONCE]
            found[places] = self._outputs([texts[place] for place in places]).cpu().numpy()
        if not np.isfinite(found).all():
            raise NotFinite("an output on the validation split is not finite", None)
        value = METRICS[self._inputs.task.metric](labels, found.argmax(1) if self._inputs.task.words else found[:, 0])
        if not math.isfinite(value):
            raise NotFinite(f"{self._inputs.task.metric} is no number: all predictions are equal", None)
        return value
