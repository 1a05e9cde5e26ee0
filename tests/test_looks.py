"""Looks through `simplify report`: planned ones, those that there were, and what a plan can show."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Result
from report_tools import falling, make_run, runs_of
from test_readonly import read_only

from simplify.compare.comparison import comparison
from simplify.compare.looks import Looks

Cli = Callable[..., Result]
NEAR = (0.010, 0.011, 0.012, 0.011, 0.0105, 0.0112, 0.0108, 0.0111)
FAR = (0.010, -0.020, 0.030)


def add(root: Path, gaps: tuple[float, ...], first: int = 0, end: str = "done") -> None:
    """Pairs of SAS and Pre-LN with these differences, of the seeds from `first` on; the last SAS run ends so."""
    for seed, gap in enumerate(gaps, start=first):
        loss = 4.0 + 0.05 * (seed % 3)
        make_run(root, ["block=pre_ln", f"seed={seed}"], falling(loss))
        how = end if seed == first + len(gaps) - 1 else "done"
        make_run(root, ["block=sas", f"seed={seed}"], falling(loss + gap), end=how)


def look(root: Path, *looks: int, seeds: range = range(99)) -> str:
    """What a report over these runs says of SAS; and it is a look."""
    before = Looks(root)
    runs = [run for run in runs_of(root) if run.config["seed"] in seeds]
    found = comparison(runs, looks=looks, seen=before.of, as_given=False)
    before.keep(found)
    return next(row.verdict for row in found.rows if not row.is_base)


def looks_in(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / ".sweeps/looks.jsonl").read_text().splitlines()]


def test_planned_looks(tmp_path: Path) -> None:
    said: list[str] = []
    for number in (2, 4, 6, 8):
        add(tmp_path, NEAR[number - 2 : number], number - 2)
        said.append(look(tmp_path, 3, 5, 8))
    assert said == [
        "first look at 3 seeds",
        "worse at 3 seeds, next look at 5",
        "worse at 5 seeds, next look at 8",
        "worse at 8 seeds, the last look",
    ]
    assert [len(line["seen"]) for line in looks_in(tmp_path)] == [3, 5, 8]
    assert "looks at 3, 5, 8 were planned" in look(tmp_path)  # which this report knows nothing of
    assert "planned after a look at 3 seeds" in look(tmp_path, 3, 8)


def test_a_report_is_a_look(tmp_path: Path) -> None:
    add(tmp_path, FAR)
    assert look(tmp_path).endswith("fresh seeds would decide")
    assert look(tmp_path) and len(looks_in(tmp_path)) == 1  # the same seeds once more
    add(tmp_path, NEAR[:1], 3)
    assert look(tmp_path).startswith("not decided on 1 fresh seed")
    add(tmp_path, NEAR[:5], 4)
    assert look(tmp_path) == "worse on 6 fresh seeds (all 9 seeds: not decided)"
    assert look(tmp_path) == "worse on 6 fresh seeds (all 9 seeds: not decided)"
    assert "chosen from 9 seeds looked at before" in look(tmp_path, seeds=range(4, 7))
    kept = looks_in(tmp_path)[:2]  # one fresh seed could decide nothing
    assert [line["verdict"] for line in kept] == ["not decided", "worse"]
    assert [seed["init"] for seed in kept[1]["read"]] == [3, 4, 5, 6, 7, 8]
    add(tmp_path, (-9.0,), 9)  # a verdict on fresh seeds stands, whatever comes after it
    assert look(tmp_path).startswith("worse at the look at 6 seeds")


def test_no_verdict_before_the_runs_asked_for_are_in(tmp_path: Path) -> None:
    add(tmp_path, NEAR[:4], end="stopped")
    assert look(tmp_path) == "not yet: 3 of 4 seeds are in"
    assert not (tmp_path / ".sweeps").exists()  # which is no look
    assert look(tmp_path, seeds=range(3)) == "worse"


def test_a_look_that_cannot_be_kept_or_read_is_a_line(cli: Cli, here: Path) -> None:
    root = here / "runs"
    add(root, NEAR[:3])
    (root / ".sweeps").mkdir()
    (root / ".sweeps/looks.jsonl").write_text('{"torn')
    with read_only(root):
        (root / ".sweeps/looks.jsonl").chmod(0o444)
        done = cli("report", "--looks", "3,5,8")
    assert done.code == 0 and "worse at 3 seeds, next look at 5" in done.out
    problems = done.err.splitlines()
    assert len(problems) == 2 and "looks.jsonl, line 1: is no look; " in problems[0]
    assert problems[1].endswith("a report with more seeds will not know of this one")
    notes = " ".join((here / "report/table.md").read_text().split())
    assert "at a level of 1.99%, which spends 5% over all looks" in notes and "plain 95% interval" in notes
    (root / ".sweeps/looks.jsonl").chmod(0o644)
    assert look(root) == "worse"
    text = (root / ".sweeps/looks.jsonl").read_text()
    assert text.startswith('{"torn\n{') and text.count("\n") == 2  # the torn line takes none with it


@pytest.mark.parametrize("typed", ["5,3", "3,3", "1,3", "3,2.5", "", "3,5,500", "three"])
def test_looks_typed_wrong(cli: Cli, typed: str) -> None:
    done = cli("report", "--looks", typed)
    assert done.code == 2 and done.err.startswith(f"simplify: --looks={typed}: are no looks; valid: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("written", ["[5, 3]", "[3, 3]", "[1, 3]", "[3, 2.5]", "3", "[3, 500]", "{3: 5}"])
def test_looks_written_wrong(cli: Cli, here: Path, written: str) -> None:
    (here / "q.yaml").write_text(f"grid: {{block: [pre_ln, sas], seed: [0, 1]}}\nreport: {{looks: {written}}}\n")
    done = cli("sweep", "q.yaml", "--plan")
    assert done.code == 2 and done.err.startswith("simplify: q.yaml: report.looks="), done.err
    assert "are no looks; valid: " in done.err and done.err.count("\n") == 1
