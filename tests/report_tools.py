"""Run folders with curves made by hand, for tests of comparisons: every file that a real run has and a report reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conftest import TINY

from simplify.compose import compose_run
from simplify.config import RunConfig
from simplify.runs.identity import identity, run_id
from simplify.runs.metrics import MetricsFile
from simplify.runs.store import RunStore, RunView

Curve = Sequence[tuple[int, float]]  # steps and losses


def make_run(root: Path, words: Sequence[str], losses: Curve, end: str = "done", **facts: Any) -> Path:
    """A run of `words` that logged these validation losses, as `write_run` writes it."""
    return write_run(root, compose_run([*TINY, *words]), losses, end, **facts)


def write_run(
    root: Path,
    config: RunConfig,
    losses: Curve,
    end: str = "done",
    speed: float = 1000.0,
    device: str = "a device",
    gains: Sequence[dict[str, Any]] = (),
    minute: int = 0,
    precision: str = "bf16",
) -> Path:
    """A run that logged these validation losses, a step a second; `end`: done, failed, diverged, stopped.

    It trained for a minute, from that one of an hour on.
    """
    name = f"{config.block.name}-gpt_nano-{run_id(config, 'corpus')}"
    folder = root / name
    folder.mkdir(parents=True)
    about = {"id": name[-10:], "config": config.model_dump(mode="json"), "identity": identity(config, "corpus")}
    about |= {"device": {"kind": "cuda", "name": device, "precision": precision}, "versions": {"torch": "2"}}
    (folder / "run.json").write_text(json.dumps(about))
    rows = [
        {
            "step": step,
            "tokens": 128 * step,
            "seconds": float(step),
            "train/loss": loss + 0.1,
            "val/loss": loss,
            "lr": 1e-3,
            "grad_norm": 1.0,
        }
        for step, loss in losses
    ]
    metrics = MetricsFile(folder / "metrics.jsonl")
    for row in rows:
        metrics.append(row)
    for row in gains:
        MetricsFile(folder / "gains.jsonl").append(row)
    attempt = {"host": "gone", "pid": 1, "started": f"2026-01-01T00:{minute:02}:00+00:00", "from_step": 0}
    ended = {"ended": f"2026-01-01T00:{minute + 1:02}:00+00:00", "how": end if end in ("done", "stopped") else "failed"}
    (folder / "job.json").write_text(json.dumps({"attempts": [{**attempt, **ended}]}))
    if end == "done":
        result = {**rows[-1], "tokens_per_sec": speed, "peak_mem_gib": 1.0, "compiled": False, "parameters": 1}
        (folder / "done.json").write_text(json.dumps(result))
    elif end in ("failed", "diverged"):
        cause = {"failed": "exception", "diverged": "non_finite"}[end]
        (folder / "error.json").write_text(json.dumps({"cause": cause, "message": f"it {end}", "step": len(rows)}))
    return folder


def runs_of(root: Path) -> list[RunView]:
    """All runs of a root."""
    return RunStore(root).runs()


def falling(last: float, steps: int = 10) -> list[tuple[int, float]]:
    """A straight line from `last` + 1 down to `last`."""
    return [(step, last + 1 - step / steps) for step in range(1, steps + 1)]
