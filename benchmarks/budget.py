"""How often reports on blocks that differ in nothing carry a verdict: the error budget, through the report's own code.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/budget.py [SWEEPS] [OTHERS]

Real run folders are read once; each simulated sweep then gives their runs other final losses, and the report's rows
are judged anew by the code that judges them in every report (`judged_rows`). Every hundredth goes through `comparison`
whole and has to come out the same. Losses are a seed's luck (standard deviation 0.05 nats, common to all variants) and
a run's own (0.01); the share of false verdicts does not depend on either.

- SWEEPS with looks at 3, 5 and 8 seeds, planned: a verdict at any of them; target: 5%, within 0.7%
- OTHERS of the same where each report is read as if it were the only one: what the plan is for
- a first report at 3 seeds, then one with 5 seeds more: a verdict of the second alone, on the fresh seeds; target: 5%
- a report at 3 seeds on 20 variants: a verdict in any row; target: at most 5%; and what the rows say uncorrected
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from simplify.compare.asked import Asked
from simplify.compare.comparison import comparison, judged_rows
from simplify.compare.reading import Seen
from simplify.compare.variants import seeds
from simplify.compare.verdict import UNDECIDED
from simplify.compose import compose_run
from simplify.runs.identity import identity, run_id
from simplify.runs.store import RunStore, RunView

LUCK, OWN = 0.05, 0.01  # nats
LOOKS = (3, 5, 8)


def main() -> None:
    """Print all shares, each with its standard error."""
    sweeps = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    others = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with tempfile.TemporaryDirectory() as folder:
        pair, many = Path(folder) / "pair", Path(folder) / "many"
        _make(pair, 2, max(LOOKS))
        _make(many, 21, 3)
        runs = RunStore(pair).runs()
        at = {n: Table([run for run in runs if run.config["seed"] < n]) for n in LOOKS}
        found = [any(at[n].carries(number, LOOKS) for n in LOOKS) for number in _simulated(runs, sweeps)]
        _tell(f"looks at {LOOKS}, planned", found)
        found = [any(at[n].carries(number) for n in LOOKS) for number in _simulated(runs, others)]
        _tell(f"looks at {LOOKS}, each read as if it were the only one", found)
        look = Seen(frozenset(seeds(run) for run in at[3].runs), decided=False)
        again = (at[8].carries(number, seen=look) for number in _simulated(runs, others) if not at[3].carries(number))
        _tell("5 fresh seeds after a look at 3 that did not decide", [*again])
        table = Table(RunStore(many).runs())
        both = [(table.carries(number), table.carries_alone()) for number in _simulated(table.runs, others)]
        _tell("20 variants, any row", [one for one, _ in both])
        _tell("20 variants, any row, uncorrected", [one for _, one in both])


class Table:
    """A report's table over runs whose losses change."""

    def __init__(self, runs: Sequence[RunView]) -> None:
        self.runs = runs
        self._found = comparison(runs, as_given=False)
        self._asked = Asked(runs, self._found.variants, as_given=False)
        self._rows = self._found.rows

    def carries(self, number: int, looks: Sequence[int] = (), seen: Seen | None = None) -> bool:
        """Whether any row has a verdict now."""
        before = [] if seen is None else [seen]
        self._rows = judged_rows(self._found.rows, self._asked, looks, None, lambda *_: before)
        if number % 100 == 0:
            whole = comparison(self.runs, looks=looks, seen=lambda *_: before, as_given=False)
            assert [row.judged for row in whole.rows] == [row.judged for row in self._rows]
        return any(row.judged.verdict != UNDECIDED for row in self._rows if row.judged is not None)

    def carries_alone(self) -> bool:
        """The same without the correction for the number of rows."""
        return any(row.judged.alone != UNDECIDED for row in self._rows if row.judged is not None)


def _simulated(runs: Sequence[RunView], number: int) -> Iterator[int]:
    """The runs with other losses, so many times."""
    draw = np.random.default_rng(0)
    for sweep in range(number):
        luck = LUCK * draw.standard_normal(max(LOOKS))
        for run, own in zip(runs, OWN * draw.standard_normal(len(runs)), strict=True):
            run.last["val/loss"] = 4.0 + float(luck[run.config["seed"]] + own)
        yield sweep


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


def _tell(what: str, found: Sequence[bool]) -> None:
    share = sum(found) / len(found)
    error = math.sqrt(share * (1 - share) / len(found))
    print(f"{what}: {100 * share:.2f}% +- {100 * error:.2f} of {len(found)}", flush=True)


if __name__ == "__main__":
    main()
