"""The state of a run in memory, and the four things done with it: step, validate, save, restore."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from simplify.config import RunConfig
from simplify.data.batches import Batches
from simplify.display import tell
from simplify.errors import SimplifyError, TrainingFailed
from simplify.runs.process import Pulse
from simplify.training.compiling import compiled, wants_compiling
from simplify.training.device import Device, out_of_memory
from simplify.training.feed import Feed, MicroBatch
from simplify.training.finite import culprit
from simplify.training.optimisers import make_optimiser, set_learning_rate
from simplify.training.world import World
from simplify.zoo.model import build_model


class Trainer:
    """Model, optimiser and loss scaling of one run on one device."""

    def __init__(
        self,
        config: RunConfig,
        batches: Batches,
        device: Device,
        warn: Callable[[str], None] = tell,
        world: World | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self._config, self._device, self._world, self._pulse = config, device, world or World(), pulse or Pulse()
        self._size = self._world.micro_batch(config)
        self.together = self._world.size * self._size  # sequences that all processes pass through at a time
        self._feed = Feed(batches, device, self._size, self._world.rank, self._world.size)
        self.model = build_model(config.block, config.model, config.data.vocab_size, config.init_seed)
        self.model.to(device.torch)
        self._forward: Any = self.model
        self._optimiser = make_optimiser(self.model, config.optimiser)
        self._scaler = device.scaler()
        self._validation = self._feed.cut(batches.validation(config.train.val_sequences))
        self._unchecked: list[tuple[tuple[int, range | None], Tensor]] = []
        self.compiled: str | None = None  # how, if it is
        if wants_compiling(config.train, device):
            self.compiled = self._compile(config.train.compile_mode, warn)
        self._averaged = self._average_gradients() if self._world.size > 1 else None

    def _compile(self, mode: str, warn: Callable[[str], None]) -> str | None:
        """Compile the model now, forward and backward; if that fails, say so and do without. Returns how."""
        try:
            self._forward = compiled(self.model, mode)
            self._loss(self._feed.step(0)[0], self._forward).backward()
        except Exception as error:
            if out_of_memory(error) or isinstance(error, SimplifyError):
                raise
            self._forward = self.model
            reason = next((line for line in str(error).splitlines() if line.strip()), "")[:200]
            warn(f"torch.compile: failed ({type(error).__name__}: {reason}); training without it")
        self._optimiser.zero_grad(set_to_none=True)
        if self._forward is self.model:
            return None
        return "compiled" if mode == "default" else f"compiled ({mode})"

    def _average_gradients(self) -> Any:
        """torch's own wrapper: averages while the backward pass still runs."""
        from torch.nn.parallel import DistributedDataParallel

        group = self._world.gradient_group(self._device.kind)
        known = inspect.signature(DistributedDataParallel).parameters
        quiet = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # by torch's version
        options: dict[str, Any] = {quiet: False}  # the buffers are constants
        self._forward = DistributedDataParallel(self._forward, process_group=group, **options)
        return self._forward

    def step(
        self,
        step: int,
        rate: float,
        on_micro_batch: Callable[[int], None],
        part: range | None = None,
        look: Callable[[], None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One optimiser update on batch `step`; returns its mean loss and its gradient norm, on the device.

        `part`: the sequences of the batch, where it is not the one of a run whose batches do not grow. `look` is
        called while the weights have their gradients, before these are clipped.
        Raises TrainingFailed if either is not finite: on a CPU before the update, so that the
        weights can still be searched; on a GPU at the next `check`, to spare a synchronisation.
        """
        set_learning_rate(self._optimiser, rate)
        loss = torch.zeros((), device=self._device.torch)
        micros = self._feed.step(step, part)
        for number, micro in enumerate(micros):
            on_micro_batch(number)
            with self._alone_until_the_last(number, len(micros)):
                share = self._loss(micro, self._forward) / len(micros)
                self._scaler.scale(share).backward()
            loss += share.detach()
        self._scaler.unscale_(self._optimiser)
        if look is not None:
            look()
        norm = self._clip()
        self._unchecked.append(((step, part), torch.stack([loss, norm])))
        if self._device.kind == "cpu":
            self.check()
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        return loss, norm

    def _clip(self) -> Tensor:
        """The gradient's norm, and the gradient no longer than allowed."""
        weights, limit = list(self.model.parameters()), self._config.optimiser.grad_clip
        norm = torch.nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
        # On a CPU the norm is at hand; on a GPU looking at it would cost more than multiplying by 1.
        if limit is not None and (self._device.kind != "cpu" or norm > limit):
            torch.nn.utils.clip_grads_with_norm_(weights, limit, norm)
        return norm

    def _alone_until_the_last(self, number: int, count: int) -> contextlib.AbstractContextManager[Any]:
        """Gradients are averaged over the processes once a step, with the last micro-batch."""
        if self._averaged is None or number == count - 1:
            return contextlib.nullcontext()
        return self._averaged.no_sync()

    def mean_loss(self, loss: Tensor) -> float:
        """The loss of a step over all processes."""
        (total,) = self._world.sum(float(loss))
        return total / self._world.size

    def _loss(self, micro: MicroBatch, forward: Callable[..., Tensor]) -> Float[Tensor, ""]:
        self._pulse.on()
        rows, places = micro.to(self._device)
        with self._device.autocast():
            return forward(rows[0], targets=rows[1], places=places)

    @torch.no_grad()
    def infer(self, inputs: Int64[Tensor, "b T"]) -> Float[Tensor, "b T V"]:
        """Logits without gradients, for tokens on the device."""
        with self._device.autocast():
            return self._forward(inputs)

    @torch.no_grad()
    def validate(self) -> float:
        """Mean loss in nats a token over the fixed validation set. Eager: it is not worth a second graph."""
        counts = [micro.rows.shape[1] for micro in self._validation]
        losses = [self._loss(micro, self.model) * count for micro, count in zip(self._validation, counts, strict=True)]
        total, count = self._world.sum(float(sum(losses)), sum(counts))
        return total / count

    def check(self) -> None:
        """Raise TrainingFailed if a loss or gradient since the last check was not finite."""
        if not self._unchecked:
            return
        batches, values = zip(*self._unchecked, strict=True)
        self._unchecked = []
        table = torch.stack(values).cpu()
        if self._scaler.is_enabled():  # fp16: an infinite gradient is skipped and the scale lowered
            table = table[:, :1]
        for (step, part), row in zip(batches, table.tolist(), strict=True):
            if not np.isfinite(row).all():
                raise self._not_finite(step, part, row)

    def _not_finite(self, step: int, part: range | None, row: list[float]) -> TrainingFailed:
        micro = self._feed.step(step, part)[0]
        place = culprit(self.model, lambda: self._loss(micro, self.model))  # hooks see nothing of a compiled model
        what = f"loss is {row[0]:g}" if not np.isfinite(row[0]) else f"gradient norm is {row[1]:g}"
        where = f"; first not finite: {place}" if place else ""
        return TrainingFailed(
            "non_finite",
            f"step {step + 1}: {what}{where}; lower optimiser.lr (now {self._config.optimiser.lr:g}), or look at "
            "the gains of the block",
            step=step + 1,
            layer=place,
        )

    def state(self) -> dict[str, Any]:
        """All of it that a resumed run needs to go on bit for bit."""
        random = {"cpu": torch.get_rng_state()}
        if self._device.kind == "cuda":
            random["cuda"] = torch.cuda.get_rng_state()
        return {
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "random": random,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"]["cpu"])
        if self._device.kind == "cuda" and "cuda" in state["random"]:
            torch.cuda.set_rng_state(state["random"]["cuda"])
