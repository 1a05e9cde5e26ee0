"""Peak memory of training steps, each variant for itself; on a CPU a process a variant.

    python -m simplify.bench.memory < configuration.json

answers with a line of JSON: {"bytes": 12345678} or {"error": "one line"}. A process' peak never falls,
so on a CPU the next variant needs another process. The steps are two, of at most two micro-batches: from
the second on weights, gradients, moments and activations are all there. Eager also with `train.compile`.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
from typing import Any

import torch

from simplify.bench.work import TrainingStep, Variant, settle
from simplify.config import RunConfig, validate
from simplify.display import answer_alone, attach, tell
from simplify.program import program
from simplify.training.device import choose_device, out_of_memory
from simplify.training.timing import Noise
from simplify.training.trainer import Trainer
from simplify.zoo.counts import count_parameters

_WEIGHT = 4  # bytes of a number in fp32
_STEPS = 2


def main() -> None:
    """Answer for the configuration on stdin."""
    attach()
    with answer_alone():
        try:
            answer = {"bytes": _steps_here(validate(RunConfig, json.load(sys.stdin)))}
        except Exception as error:  # the bench goes on without this number
            reason = "out of memory" if out_of_memory(error) else str(error).strip() or type(error).__name__
            answer = {"error": reason.splitlines()[0]}
    tell(json.dumps(answer))


def peak_apart(config: RunConfig) -> dict[str, Any]:
    """Bytes of `config`'s steps above those of the empty process; or `error`, one line."""
    words = program(module="simplify.bench.memory")
    done = subprocess.run(words, input=config.model_dump_json(), capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        answer = {"error": f"its process ended with {done.returncode}"}
    return {**answer, "how": "resident memory of a process of its own, above what it was before the model"}


def peak_here(variant: Variant, before: int) -> dict[str, Any]:
    """Bytes of a variant on a GPU; `before` is what the allocator held before it was built."""
    step = TrainingStep(variant)
    step.prepare()
    step.call()  # the optimiser's moments are made here
    own = torch.cuda.memory_allocated() - before
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    step.call()
    step.prepare()
    return {
        "bytes": own + torch.cuda.max_memory_allocated() - held,
        "how": "torch's allocator",
    }


def certain_bytes(configs: list[RunConfig]) -> int:
    """What the variants together hold for certain: weights and two moments of all, gradients of one."""
    counts = [count_parameters(c.block, c.model, c.data.vocab_size) for c in configs]
    return _WEIGHT * (3 * sum(counts) + max(counts))


def free_bytes() -> int | None:
    """The most that a process may still get here; None where the system does not say."""
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo", encoding="ascii") as lines:
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
    with contextlib.suppress(OSError, ValueError):  # a container's own limit; "max" is none
        found.append(int(_read("/sys/fs/cgroup/memory.max")))
    return min(found, default=None)


def _steps_here(config: RunConfig) -> int:
    sequences = config.micro_batch * min(config.grad_accum, 2)
    tokens = sequences * config.model.seq_len
    train = config.train.model_copy(
        update={"batch_tokens": tokens, "micro_batch": config.micro_batch, "compile": False}
    )
    config = config.model_copy(update={"train": train})
    device = choose_device(config, None)
    settle()  # threads and libraries have their memory before we look
    before = _resident()
    trainer = Trainer(config, Noise(config, sequences), device)
    for step in range(_STEPS):
        trainer.step(step, 0.0, lambda _: None)
    return _resident(peak=True) - before


def _resident(peak: bool = False) -> int:
    """Bytes in memory now, or at most so far.

    Not by getrusage where there is another way: on Linux a child begins with the peak of its parent.
    """
    name = "VmHWM:" if peak else "VmRSS:"
    with contextlib.suppress(OSError):
        lines = _read("/proc/self/status").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


if __name__ == "__main__":
    main()
