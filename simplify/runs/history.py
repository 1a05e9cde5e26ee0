"""What a run logged, one row a step: metrics.jsonl and what was read off the model, as W&B is to show it.

gains.jsonl has an object at step 0 and at each validation:
    {"step": n, "<gain>": {"mean": [one number a layer, or null], "sd": [...]}, ...}
gradients.jsonl, where wandb.gradients asks for it, one at each validation:
    {"step": n, "<weight>": {"low": smallest entry, "high": largest, "counts": [entries in equal bins between]}, ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simplify.runs.metrics import read_metrics

READINGS = ("gains", "gradients")  # files beside metrics.jsonl, each with an object a step


def history(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run folder by rising step; what was read off the model at a step is under READINGS' names."""
    merged: dict[int, dict[str, Any]] = {row["step"]: row for row in read_metrics(folder / "metrics.jsonl")}
    for name in READINGS:
        for seen in read_metrics(folder / f"{name}.jsonl"):
            step = seen["step"]
            merged[step] = with_reading(merged.get(step, {"step": step}), name, seen)
    return [merged[step] for step in sorted(merged)]


def with_reading(row: Mapping[str, Any], name: str, seen: Mapping[str, Any]) -> dict[str, Any]:
    """`row` with a line of `name`.jsonl of the same step, if it has any."""
    return {**row, name: {key: of for key, of in seen.items() if key != "step"}} if seen else dict(row)
