"""The report of a tuned sweep: rows at each block's choice, verdicts, words, budget, figures, also half-way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_tools import falling, make_run
from study_tools import NAME, Loss, make_study, parabola

from simplify.cli.report_tuned import tuning_of, without_tuning
from simplify.cli.select import select
from simplify.compare.comparison import Comparison, comparison
from simplify.compare.latex import latex_table
from simplify.compare.notes import notes_of
from simplify.compare.tables import columns_of, rows_of
from simplify.compare.tuned import tuned_comparison
from simplify.compare.tuned_figures import tuning_panels
from simplify.compare.tuned_table import HEADS
from simplify.compare.tuned_tables import row_numbers, tuning_numbers, tuning_tables
from simplify.runs.store import RunStore
from simplify.sweep.record import read_record, record_path, write_record
from simplify.tune.study import DIVERGED, Trial

Cli = Callable[..., Any]
BLOCKS = ["block=pre_ln,sas"]
FEW: dict[str, Any] = {"over": {"optimiser.lr": [1e-3, 2e-3, 4e-3]}, "edge": 0}
APART = parabola({"pre_ln": 1e-3, "sas": 4e-3}, {"sas": -0.15}, noise=0.002)


def compared(root: Path, words: Sequence[str], loss: Loss, **tune: Any) -> Comparison:
    """A study made by hand, as `simplify report NAME` compares it."""
    make_study(root, [*words], loss, **{**FEW, **tune})
    return as_it_is(root)


def as_it_is(root: Path) -> Comparison:
    """The comparison of the study that is there."""
    tuning = tuning_of(select([NAME], root))
    assert tuning is not None
    return tuned_comparison(tuning, lambda runs, kinds: comparison(runs, kinds=kinds))


def cells(found: Comparison) -> dict[str, dict[str, str]]:
    """The table by variant and head."""
    head, *rows = rows_of(found)
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def test_what_an_earlier_choice_asked_for_is_not_compared(here: Path) -> None:
    """Tuning runs that were trained anew may lead to another choice; final runs of the first one are still there."""
    root = here / "runs"
    make_study(root, BLOCKS, APART, **FEW)
    for run in RunStore(root).runs():
        if run.name.startswith("sas") and run.config["optimiser"]["lr"] == 1e-3 and run.config["seed"] >= 1000:
            done = run.folder.path / "done.json"
            done.write_text(json.dumps({**json.loads(done.read_text()), "val/loss": 2.0}))
    before = read_record(record_path(root, NAME))
    make_study(root, BLOCKS, APART, **FEW)
    after = read_record(record_path(root, NAME))
    assert before is not None and after is not None
    write_record(root, replace(after, runs=(*after.runs, *(run for run in before.runs if run not in after.runs))))
    tuning = tuning_of(select([NAME], root))
    assert tuning is not None
    found = tuned_comparison(tuning, lambda runs, kinds: comparison(runs, kinds=kinds))
    rates = [[run.config["optimiser"]["lr"] for run in variant.runs] for variant in found.variants]
    assert rates == [[1e-3] * 3, [1e-3] * 3]


def test_each_block_is_reported_at_its_best_and_untuned(cli: Cli, here: Path) -> None:
    """Through the command line: all that it writes."""
    diverging: Loss = lambda settings, trial: (  # noqa: E731
        DIVERGED if trial.arm == "pre_ln" and settings.get("optimiser.lr") == 4e-3 else APART(settings, trial)
    )
    make_study(here / "runs", BLOCKS, diverging, **FEW, shared=True)
    shown = cli("report", NAME, "--checklist")
    assert shown.code == 0, shown.err
    told = (here / "report" / "checklist.md").read_text()
    assert "- each block: " in told and "chosen on seed" in told and "no setting was tuned" not in told
    numbers = json.loads((here / "report" / "report.json").read_text())
    base, row = numbers["rows"]
    assert (base["variant"], row["variant"], row["baseline"]) == ("pre_ln", "sas", "pre_ln")
    assert base["tuned"]["chosen"] == [{"optimiser.lr": 1e-3}] and row["tuned"]["chosen"] == [{"optimiser.lr": 4e-3}]
    assert row["judged"]["n"] == 3 and row["verdict"].startswith("better") and len(row["runs"]) == 3
    assert row["tuned"]["untuned"]["where"] == "final seeds" and row["tuned"]["untuned"]["said"] == "better"
    assert row["tuned"]["words"].startswith("better at every rate")
    assert numbers["tuning"]["phase"] == "done" and "device hours of tuning" in numbers["tuning"]["budget"]
    table = (here / "report" / "table.md").read_text()
    assert "each block: 3 rates from 0.001 to 0.004, 3 seeds" in table
    assert "chosen on seeds 1000-1002; verdict on seeds 0-2" in table
    assert "diverged on a tuning seed at 0.004" in table and "at the edge" in table
    assert "better at every rate" in shown.out and "Tuning" in (here / "report" / "index.html").read_text()
    for name in ("tuning", "tuning_gap", "tuning_trials"):
        assert (here / "report" / f"{name}.png").stat().st_size > 5000
    page = (here / "report" / "index.html").read_text()
    assert '"mark":"hollow"' in page and '"mark":"filled"' in page and '"mark":"cross"' in page


def test_without_final_runs_at_the_untuned_value_the_tuning_seeds_say(tmp_path: Path) -> None:
    found = compared(tmp_path, [*BLOCKS, "optimiser.lr=2e-3"], APART)
    row = found.rows[1].tuned
    assert row is not None and row.untuned is not None and row.untuned.where == "tuning seeds"
    assert "tuning seed" in cells(found)["sas"]["at the untuned lr"]
    assert any("tune.shared makes final runs of it" in note for note in notes_of(found))
    assert {column.key for column in columns_of(found)} >= HEADS.keys()
    panels = tuning_panels(found)
    assert set(panels) == {"tuning", "tuning_gap", "tuning_trials"} and panels["tuning"][0].log_x
    marks = [(curve.name, curve.mark) for curve in panels["tuning"][0].curves]
    assert marks == [(name, mark) for name in ("pre_ln", "sas") for mark in ("hollow", "filled")]
    assert panels["tuning_trials"][0].curves[0].x == [1.0, 2.0, 3.0]
    values, runs = tuning_tables(found)
    assert any(line[-1] == "chosen" for line in values.rows) and len(runs.rows) - 1 == sum(
        row.tuned.runs for row in found.rows if row.tuned
    )
    assert not any("tuning runs are in" in note for note in notes_of(found))
    spent = next(run for run in select([NAME], tmp_path).runs if run.config["seed"] > 2)
    about = json.loads((spent.folder.path / "run.json").read_text())
    about["device"]["precision"] = "fp32"
    (spent.folder.path / "run.json").write_text(json.dumps(about))
    assert any("tuning runs are in bf16 and fp32" in note for note in notes_of(as_it_is(tmp_path)))
    wide, narrow = (latex_table(found, [], (), width) for width in (6.5, 3.25))
    assert "in & chosen" not in wide[0] and "words" in wide[0] and not wide[1] and not narrow[1]


def test_studies_are_the_pairs_and_contain_the_luck_of_tuning(tmp_path: Path) -> None:
    found = compared(tmp_path, BLOCKS, APART, studies=2, over={"optimiser.lr": [1e-3, 4e-3]})
    row = found.rows[1]
    assert row.gap is not None and row.gap.n == 2 and len(row.variant.runs) == 6
    assert row.judged is not None and len(row.judged.seeds) == 2 and "seed" not in row.judged.words
    assert not cells(found)["sas"]["minus pre_ln (95%)"].endswith("pairs")
    assert any("contain the luck of tuning" in note for note in notes_of(found))
    assert cells(found)["sas"]["chosen lr"] == "0.004, 0.004"
    assert "chosen on seeds 1000-1002, 1003-1005; verdict on seeds 0-2, 3-5" in notes_of(found)[0]
    assert row_numbers(row, found) is not None and json.dumps(tuning_numbers(found))


def test_a_block_of_which_every_value_diverges_and_one_that_is_not_tuned(tmp_path: Path) -> None:
    def loss(settings: dict[str, Any], trial: Trial) -> float | None:
        return DIVERGED if trial.arm == "sas" else parabola({"pre_ln": 2e-3, "sas_p": 1e-3})(settings, trial)

    found = compared(tmp_path, ["block=pre_ln,sas,sas_p"], loss, each=["block=pre_ln", "block=sas"])
    table = cells(found)
    assert [*table] == ["pre_ln", "sas", "sas_p"]
    assert table["sas"]["verdict at its best"] == "every value diverged" and table["sas"]["chosen lr"] == "none"
    assert table["sas_p"]["chosen lr"] == "not tuned" and table["sas_p"]["tuning runs"] == "-"
    assert any("(not tuned: sas_p)" in note for note in notes_of(found))
    assert all(tuning_numbers(found) and json.dumps(row_numbers(row, found)) for row in found.rows)
    assert tuning_panels(found)["tuning"]


@pytest.mark.parametrize(("begun", "phase"), [("tune", "final"), ("some", "tuning"), ("none", "tuning")])
def test_an_unfinished_study_says_so_and_gives_no_verdict(tmp_path: Path, begun: str, phase: str) -> None:
    def loss(settings: dict[str, Any], trial: Trial) -> float | None:
        is_over = {"tune": trial.part == "tune" or trial.arm == "pre_ln", "some": trial.seed == 1000, "none": False}
        return APART(settings, trial) if is_over[begun] else None

    found = compared(tmp_path, BLOCKS, loss)
    assert found.tuning is not None and found.tuning.decision.phase == phase
    assert all(row.gap is None and row.judged is None and row.verdict == "-" for row in found.rows)
    assert [row.variant.name for row in found.rows] == ["pre_ln", "sas"]
    first = notes_of(found)[0]
    assert "no verdict yet" in first and "waits for: " in first and "(stopped)" in first
    assert tuning_numbers(found) is not None and isinstance(tuning_panels(found), dict)


def test_several_cells_share_a_choice_and_have_a_row_each(tmp_path: Path) -> None:
    over = {"optimiser.lr": [1e-3, 4e-3], "optimiser.weight_decay": [0.1, 0.2]}
    found = compared(tmp_path, [*BLOCKS, "model.n_layers=2,3"], APART, each=["block"], over=over)
    rows = {row.variant.name: row for row in found.rows}
    assert [*rows] == [f"{block}, n_layers={n}" for block in ("pre_ln", "sas") for n in (2, 3)]
    assert rows["sas, n_layers=3"].base is rows["pre_ln, n_layers=3"].variant
    assert cells(found)["sas, n_layers=2"]["chosen settings"].startswith("lr=0.004 weight_decay=")
    assert set(tuning_panels(found)) == {"tuning", "tuning_gap", "tuning_trials", "tuning_grid"}
    assert rows["sas, n_layers=2"].also == ()  # what was chosen is no difference that has to be excused


def test_beside_other_sweeps_tuning_runs_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path, BLOCKS, APART, **FEW)
    folder = make_run(tmp_path, ["block=sas_p", "seed=0"], falling(4.0))
    chosen = select([NAME, folder.name[-10:]], tmp_path)
    tuning = tuning_of(select([NAME, "block=sas"], tmp_path))
    assert tuning is not None and tuning.all_hours() > (0, 0)
    assert {trial.arm for trial, _ in tuning.compared()} == {"sas"} and len(tuning.choices("pre_ln")) == 1
    shown = without_tuning(chosen)
    assert {run.config["seed"] for run in shown} == {0, 1, 2} and len(shown) == 7
    assert "left out" in capsys.readouterr().err
    for words in ([], ["block=sas,pre_ln"], ["optimiser.lr=4e-3"]):  # no seed on which a rate was chosen is judged on
        chosen = select(words, tmp_path)
        shown = without_tuning(chosen)
        assert 0 < len(shown) < len(chosen.runs) and {run.config["seed"] for run in shown} <= {0, 1, 2}
    spent = next(run for run in select([NAME], tmp_path).runs if run.config["seed"] > 2)
    assert [run.run_id for run in without_tuning(select([spent.run_id], tmp_path))] == [spent.run_id]
