"""What a run logged, one row a step: metrics.jsonl and gains.jsonl together, as W&B is to show it.

gains.jsonl has an object at step 0 and at each validation:
    {"step": n, "<gain>": {"mean": [one number a layer, or null], "sd": [...]}, ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simplify.runs.metrics import read_metrics


def history(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run folder by rising step; where gains were looked at, a row has them under "gains"."""
    merged: dict[int, dict[str, Any]] = {row["step"]: row for row in read_metrics(folder / "metrics.jsonl")}
    for seen in read_metrics(folder / "gains.jsonl"):
        step = seen["step"]
        merged[step] = with_gains(merged.get(step, {"step": step}), seen)
    return [merged[step] for step in sorted(merged)]


def with_gains(row: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """`row` with a line of gains.jsonl of the same step, if it has any."""
    return {**row, "gains": {name: of for name, of in seen.items() if name != "step"}} if seen else dict(row)
