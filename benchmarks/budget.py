"""How often reports on blocks that differ in nothing carry a verdict: the error budget, through the report's own code.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/budget.py [SWEEPS] [TABLES]

Real run folders are read once; each simulated sweep then gives their runs other final losses, and `comparison`, by
which every report is made, is asked for its verdicts. Losses are a seed's luck (standard deviation 0.05 nats, common to
all variants) and a run's own (0.01); the share of false verdicts does not depend on either.

- looks at 3, 5 and 8 seeds, planned: a verdict at any of them; target: 5%, within 0.7%
- the same three reports where each is read as if it were the only one: what the plan is for
- one report at 3 seeds on 20 variants: a verdict in any row; target: at most 5%; and what the rows say uncorrected
- a first report at 3 seeds, then one with 5 seeds more: a verdict of the second alone, on the fresh seeds; target: 5%
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from simplify.compare.comparison import Comparison, comparison
from simplify.compare.reading import Seen
from simplify.compare.variants import seeds
from simplify.compose import compose_run
from simplify.runs.identity import identity, run_id
from simplify.runs.store import RunStore, RunView

LUCK, OWN = 0.05, 0.01  # nats
LOOKS = (3, 5, 8)
UNDECIDED = "not decided"


def main() -> None:
    """Print all shares, each with its standard error."""
    sweeps = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    tables = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        pair, many = Path(folder) / "pair", Path(folder) / "many"
        _make(pair, 2, max(LOOKS))
        _make(many, 21, 3)
        runs = RunStore(pair).runs()
        planned, unplanned, fresh, firsts = 0, 0, 0, 0
        for _ in _simulated(runs, draw, sweeps):
            some = {n: [run for run in runs if run.config["seed"] < n] for n in LOOKS}
            planned += any(_says(comparison(some[n], looks=LOOKS, as_given=False)) for n in LOOKS)
            alone = [_says(comparison(some[n], as_given=False)) for n in LOOKS]
            unplanned += any(alone)
            if not alone[0]:
                firsts += 1
                look = Seen(frozenset(seeds(run) for run in some[3]), decided=False)
                fresh += _says(comparison(runs, seen=lambda *_, look=look: [look], as_given=False))
        _tell(f"looks at {LOOKS}, planned", planned, sweeps)
        _tell(f"looks at {LOOKS}, each read as if it were the only one", unplanned, sweeps)
        _tell("fresh seeds after a look at 3 that did not decide", fresh, firsts)
        runs, corrected, plain = RunStore(many).runs(), 0, 0
        for _ in _simulated(runs, draw, tables):
            found = comparison(runs, as_given=False)
            corrected += _says(found)
            plain += any(row.judged.alone != UNDECIDED for row in found.rows if row.judged is not None)
        _tell("20 variants, any row", corrected, tables)
        _tell("20 variants, any row, uncorrected", plain, tables)


def _says(found: Comparison) -> bool:
    """Whether any row carries a verdict."""
    return any(row.judged.verdict != UNDECIDED for row in found.rows if row.judged is not None)


def _simulated(runs: Sequence[RunView], draw: np.random.Generator, number: int) -> Iterator[None]:
    """The runs with other losses, so many times."""
    for _ in range(number):
        luck = LUCK * draw.standard_normal(max(LOOKS))
        for run, own in zip(runs, OWN * draw.standard_normal(len(runs)), strict=True):
            run.last["val/loss"] = 4.0 + float(luck[run.config["seed"]] + own)
        yield


def _make(root: Path, variants: int, number: int) -> None:
    """Finished runs of Pre-LN and of a block at as many rates as it takes."""
    for variant in range(variants):
        words = ["block=pre_ln"] if variant == 0 else ["block=sas", f"block.mlp_branch={1 + variant / 100}"]
        for seed in range(number):
            config = compose_run([*words, "model.n_layers=2", f"seed={seed}"])
            folder = root / f"{config.block.name}-gpt_nano-{run_id(config, 'corpus')}"
            folder.mkdir(parents=True)
            about = {"id": folder.name[-10:], "config": config.model_dump(mode="json")}
            _write(folder / "run.json", {**about, "identity": identity(config, "corpus")})
            _write(folder / "metrics.jsonl", {"step": 10, "val/loss": 4.0, "train/loss": 4.0, "seconds": 1.0})
            _write(folder / "done.json", {"step": 10, "val/loss": 4.0, "seconds": 1.0})


def _write(path: Path, data: Mapping[str, object]) -> None:
    path.write_text(json.dumps(data) + "\n")


def _tell(what: str, number: int, of: int) -> None:
    share = number / of
    print(f"{what}: {100 * share:.2f}% +- {100 * math.sqrt(share * (1 - share) / of):.2f} of {of}", flush=True)


if __name__ == "__main__":
    main()
