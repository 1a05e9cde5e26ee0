"""Peak memory of a training step against the context, for shaped attention and an explicit-matrix twin.

    python benchmarks/memory.py [LENGTH ...]

`sas` computes alpha V + beta SDPA(Q, K, V) - gamma running-mean(V); its twin holds the T x T matrix
alpha I + beta A - gamma C of every head, as the equations are written. Same weights, same numbers
(printed: the largest difference of the losses). Each point is a process of its own; on a CPU the peak
is that of the resident set above what the process held before the step, on a GPU the allocator's.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

LENGTHS = (512, 1024, 2048, 4096)
WORDS = ["block=sas", "model.n_layers=2", "model.d_model=256", "model.n_heads=8", "model.d_ff=1024"]


def measure(length: int, explicit: bool) -> dict[str, Any]:
    """One training step; in this process."""
    import torch

    from simplify.compose import compose_run
    from simplify.training.optimisers import make_optimiser
    from simplify.zoo.model import build_model

    config = compose_run([*WORDS, f"model.seq_len={length}", f"train.batch_tokens={length}"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build_model(config.block, config.model, 256, 0).to(device)
    if explicit:
        for block in model.blocks:
            block.attention.forward = _explicit_forward(block.attention)  # type: ignore[method-assign]
    optimiser = make_optimiser(model, config.optimiser)
    tokens = torch.randint(256, (1, length + 1), generator=torch.Generator().manual_seed(0)).to(device)
    before = _held(device)
    loss = model(tokens[:, :-1], targets=tokens[:, 1:])
    loss.backward()
    optimiser.step()
    return {"mib": (_peak(device) - before) / 2**20, "loss": float(loss), "device": device}


def _explicit_forward(attention: Any) -> Any:
    import torch

    def forward(u: torch.Tensor, context: Any, read: Any = None, branch: Any = None) -> torch.Tensor:
        q, k, v = (t.transpose(1, 2) for t in attention.project(u, context, read))
        length = q.shape[2]
        causal = torch.ones(length, length, device=u.device).tril()
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(causal == 0, float("-inf")).softmax(-1)
        centre = causal / causal.sum(-1, keepdim=True)
        alpha, beta, gamma = (g.gain[:, None, None] for g in (attention.alpha, attention.beta, attention.gamma))
        shaped = alpha * torch.eye(length, device=u.device) + beta * weights - gamma * centre
        out = attention.projection((shaped @ v).transpose(1, 2).flatten(-2))
        return out if branch is None else branch(out)

    return forward


def _held(device: str) -> float:
    """Bytes in use now."""
    import torch

    if device == "cuda":
        return float(torch.cuda.memory_allocated())
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _peak(device: str) -> float:
    import torch

    if device == "cuda":
        return float(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def main() -> None:
    """Measure every length and print the table."""
    lengths = [int(word) for word in sys.argv[1:]] or list(LENGTHS)
    print(f"{'T':>6} {'sas MiB':>10} {'a token KiB':>12} {'twin MiB':>10} {'a token KiB':>12} {'twin/sas':>9}")
    apart, device = 0.0, ""
    for length in lengths:
        fused, twin = (_apart(length, explicit) for explicit in (False, True))
        apart, device = max(apart, abs(fused["loss"] - twin["loss"])), fused["device"]
        each = [f"{r['mib']:>10.1f} {r['mib'] * 1024 / length:>12.1f}" for r in (fused, twin)]
        print(f"{length:>6} {each[0]} {each[1]} {twin['mib'] / fused['mib']:>9.1f}", flush=True)
    print(f"on {device}; losses apart by at most {apart:.1e}")


def _apart(length: int, explicit: bool) -> dict[str, Any]:
    """`measure` in a process of its own."""
    word = [sys.executable, __file__, "--point", str(length), str(int(explicit))]
    done = subprocess.run(word, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--point"]:
        print(json.dumps(measure(int(sys.argv[2]), sys.argv[3] == "1")))
    else:
        main()
