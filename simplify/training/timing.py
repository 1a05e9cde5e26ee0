"""How long one optimiser step takes on this machine, measured without a corpus; a program of its own.

    python -m simplify.training.timing < configurations.json

It reads a JSON list of whole run configurations and answers each with a line of JSON as soon as it is
known: {"step_seconds": 0.12} or {"error": "one line"}. A line each, so that a configuration the system
kills this process for (memory) does not take the earlier answers with it.

Models are timed in eager mode even with `train.compile`: compiling takes longer than all the rest of
the measurement, so for a compiled run the answer is an upper bound.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import sys
import time
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from simplify.config import RunConfig, validate
from simplify.data.batches import Batches
from simplify.data.objectives import Batch, next_token
from simplify.display import answer_alone, attach, tell
from simplify.training.device import Device, choose_device, out_of_memory
from simplify.training.trainer import Trainer

_BUDGET = 2.0  # seconds of repetitions for a configuration, after its warm-up; begun ones are ended
_LEAST, _ENOUGH = 3, 20  # repetitions


def main() -> None:
    """Answer the configurations on stdin, in their order."""
    attach()
    own = torch.get_num_threads()
    for data in json.load(sys.stdin):
        torch.set_num_threads(own)  # an earlier configuration's cluster.cpu_threads was for it alone
        with answer_alone():
            answer = _answer(data)
        tell(json.dumps(answer))
        gc.collect()  # a model that did not fit must not take the next one's memory
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _answer(data: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"step_seconds": step_seconds(validate(RunConfig, data))}
    except Exception as error:  # whatever one configuration dies of, the others are still to be measured
        if out_of_memory(error):
            model = data.get("model", {}).get("name")
            return {"error": f"out of memory with model={model} train.micro_batch={data['train'].get('micro_batch')}"}
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {"error": lines[0] if lines else type(error).__name__}


def step_seconds(config: RunConfig) -> float:
    """Seconds of one optimiser step: its micro-batches and its update.

    Where a micro-batch would take longer than the budget, which a big model's does on a CPU, fewer
    sequences are timed and scaled up. Raises ConfigError where the device or the precision is not to
    be had here, and whatever a model that does not fit raises.
    """
    device, whole = choose_device(config, None), config.micro_batch
    with _Stopwatch(config, device) as watch:
        rows = whole
        if device.kind == "cpu":
            watch.time(1)  # warm-up: memory, threads, the optimiser's state
            rows = min(whole, math.ceil(_BUDGET / watch.time(1)[0]))
        else:
            watch.time(whole)  # warm-up: kernels are loaded, memory is reserved
        found, end = [watch.time(rows)], time.perf_counter() + _BUDGET
        while len(found) < _LEAST or (len(found) < _ENOUGH and time.perf_counter() < end):
            found.append(watch.time(rows))
    # The quickest, not the median: whatever else the machine does only ever adds to it.
    micro, update = (min(part) for part in zip(*found, strict=True))
    return config.grad_accum * micro * whole / rows + update


class _Stopwatch(contextlib.AbstractContextManager["_Stopwatch"]):
    """Takes apart the time of a step of one micro-batch, done by the trainer that trains runs."""

    def __init__(self, config: RunConfig, device: Device) -> None:
        one = {"batch_tokens": config.micro_batch * config.model.seq_len, "micro_batch": config.micro_batch}
        train = config.train.model_copy(update={**one, "compile": False})
        self._noise, self._device = Noise(config), device
        self._trainer = Trainer(config.model_copy(update={"train": train}), self._noise, device)
        self._marks: list[float] = []
        self._hook = register_optimizer_step_pre_hook(lambda *_: self._mark())

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def time(self, rows: int) -> tuple[float, float]:
        """Seconds of forward and backward passes over `rows` sequences, and of the update after them."""
        self._marks, self._noise.rows = [], rows
        self._trainer.step(0, 0.0, lambda _: self._mark())  # at a rate of 0 the same work, and no divergence
        self._mark()
        begin, update, end = self._marks
        return update - begin, end - update

    def _mark(self) -> None:
        self._device.synchronise()
        self._marks.append(time.perf_counter())


class Noise(Batches):
    """What a trainer asks of a corpus, without one: `rows` sequences of random tokens."""

    def __init__(self, config: RunConfig, rows: int = 1) -> None:
        self.rows = rows
        self._length, self._vocab_size = config.model.seq_len, config.data.vocab_size

    def batch(self, step: int, part: range | None = None) -> Batch:  # noqa: ARG002  rows says how many
        """Random tokens, by the step."""
        return next_token(np.random.RandomState(step).randint(0, self._vocab_size, (self.rows, self._length + 1)))

    def validation(self, count: int) -> Batch:  # noqa: ARG002  is never computed with
        """One sequence."""
        return self.batch(0)


if __name__ == "__main__":
    main()
