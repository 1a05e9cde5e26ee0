"""The benches below a run root: one JSON file each, whole or absent. What is in it: simplify.bench.record.

<run root>/.bench/<model>-<six digits of the configurations>-<time>.json     and .png, the picture
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.runs import bench_shape
from simplify.runs.files import read_json, write_json, writing

FORMAT = 1  # of the files; raise it when what they say means something else
_FOLDER = ".bench"


@dataclass(frozen=True)
class Bench:
    """One bench as it was kept."""

    path: Path
    record: Mapping[str, Any]


def keep_bench(record: Mapping[str, Any], root: Path) -> Bench:
    """Write the record below the run root. Raises RunFolderError."""
    configs = [variant["config"] for variant in record["variants"].values()]
    digest = hashlib.sha256(json.dumps(configs, sort_keys=True).encode()).hexdigest()[:6]
    stamp = record["created"].replace("-", "").replace(":", "").removesuffix("Z")
    folder, label = root / _FOLDER, f"{configs[0]['model']['name']}-{digest}-{stamp}"
    with writing(root):
        folder.mkdir(parents=True, exist_ok=True)
        path, number = folder / f"{label}.json", 2
        while path.exists():  # another one of the same second
            path, number = folder / f"{label}-{number}.json", number + 1
        write_json(path, {"format": FORMAT, **record})
    return Bench(path, record)


def read_benches(root: Path) -> list[Bench]:
    """All benches below a run root, oldest first. A file that is not whole, or of another format, is left out."""
    ours = [path for path in (root / _FOLDER).glob("*.json") if (read_json(path) or {}).get("format") == FORMAT]
    found = [Bench(path, record) for path in ours if (record := read_json(path, bench_shape.Bench))]
    return sorted(found, key=lambda bench: (bench.record["created"], bench.path.name))
