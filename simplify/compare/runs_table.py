"""The runs behind a comparison, one by one: what was trained, how it ended, and where it lies."""

from __future__ import annotations

from simplify.compare.comparison import Comparison
from simplify.compare.page import Section, Table
from simplify.compare.variants import Variant
from simplify.display import near
from simplify.runs.store import RunView

_FEW = 30  # rows of a table that nobody has to unfold
_HOW = (
    "simplify why, logs and sample take the id of a run (the first characters do); simplify train --config "
    "FOLDER/config.yaml repeats it; RunStore(...)[id] has it in Python."
)


def runs_section(found: Comparison) -> Section:
    """All runs of all variants, in the table's order."""
    rows = [_row(variant, run) for variant in found.variants for run in variant.runs]
    head = ["run", "variant", "seed", "state", "step", "final loss", "folder"]
    title = f"{len(rows)} run{'s'[: len(rows) != 1]}"
    return Section("Runs", _HOW, [Table(title, [head, *rows], folded=len(rows) > _FEW)])


def _row(variant: Variant, run: RunView) -> list[str]:
    seeds = run.about["identity"]["seeds"]
    same = len(set(seeds.values())) == 1
    seed = str(next(iter(seeds.values()))) if same else ", ".join(f"{name} {seed}" for name, seed in seeds.items())
    loss = run.last.get("val/loss") if run.state == "done" else None
    cells = (variant.name, seed, run.state, str(run.last.get("step", "-")), "-" if loss is None else f"{loss:.4f}")
    return [run.run_id, *cells, near(run.folder.path)]
