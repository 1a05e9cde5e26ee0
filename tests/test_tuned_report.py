"""The report of a tuned sweep: rows at each block's choice, verdicts, words, budget, figures, also half-way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from study_tools import NAME, make_study, parabola

Cli = Callable[..., Any]
BLOCKS = ["block=pre_ln,sas"]


def test_a_tuned_sweep_is_reported_at_each_ones_best(cli: Cli, here: Path) -> None:
    make_study(here / "runs", BLOCKS, parabola({"pre_ln": 1e-3, "sas": 4e-3}, {"sas": -0.1}))
    shown = cli("report", NAME)
    assert shown.code == 0, shown.err
    numbers = json.loads((here / "report" / "report.json").read_text())
    assert [row["variant"] for row in numbers["rows"]] == ["pre_ln", "sas"]
