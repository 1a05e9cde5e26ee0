"""`simplify report`: the numbers, what is not among them, the files, and the command."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY
from report_tools import falling, make_run, runs_of

from simplify.compare.canvas import FORMATS
from simplify.compare.comparison import comparison
from simplify.compare.curves import Line, common_range, gap_line, mean_line, smoothed, thinned
from simplify.compare.figures import gain_panels, gap_panel, loss_panel, printed_loss
from simplify.compare.finals import final_panel
from simplify.compare.forms import markdown
from simplify.compare.notes import notes_of
from simplify.compare.report import numbers
from simplify.compare.tables import gap_cell, rows_of

Cli = Callable[..., Any]
SEEDS = {0: 4.00, 1: 4.10, 2: 4.20}


def two_blocks(root: Path, gaps: tuple[float, ...] = (0.010, 0.012, 0.014)) -> Path:
    """Pre-LN and SAS, whose losses differ by `gaps` seed by seed."""
    for (seed, loss), gap in zip(SEEDS.items(), gaps, strict=False):
        make_run(root, ["block=pre_ln", f"seed={seed}"], falling(loss), speed=1000)
        make_run(root, ["block=sas", f"seed={seed}"], falling(loss + gap), speed=1100 + 10 * seed)
    return root


def test_numbers_of_known_runs(tmp_path: Path) -> None:
    found = comparison(runs_of(two_blocks(tmp_path)))
    base, row = found.rows
    assert base.is_base and base.loss == (pytest.approx(4.1), pytest.approx(0.1))
    assert row.gap is not None and row.gap.paired and row.gap.n == 3 and row.verdict == "worse"
    half = 4.302652729911275 * 0.002 / math.sqrt(3)  # Student's 97.5% quantile with 2 degrees of freedom, from a table
    assert row.gap.mean == pytest.approx(0.012) and row.gap.high == pytest.approx(0.012 + half, abs=1e-9)
    assert row.speed is not None and (row.speed.middle, row.speed.least, row.speed.most) == (1.11, 1.1, 1.12)
    assert row.memory is not None and row.memory.middle == 1
    assert row.parameters_share is not None and row.parameters_share < 1
    assert row.reach is not None and (row.reach.reached, row.reach.of) == (0, 3)


def test_the_way_to_the_baselines_loss_is_read_between_validations(tmp_path: Path) -> None:
    make_run(tmp_path, ["block=pre_ln"], [(10, 5.0), (20, 4.0)])
    make_run(tmp_path, ["block=sas"], [(10, 4.5), (20, 3.5)])
    row = comparison(runs_of(tmp_path)).rows[1]
    assert row.reach is not None and row.reach.step is not None and row.reach.step.middle == pytest.approx(15 / 20)
    assert row.reach.seconds is not None and row.reach.seconds.middle == pytest.approx(15 / 20)
    assert row.gap is not None and row.verdict == "not decided: one seed"


def test_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    two_blocks(tmp_path)
    make_run(tmp_path, ["block=sas", "seed=3"], falling(4.0, 3), end="diverged")
    make_run(tmp_path, ["block=sas_p", "seed=0"], falling(4.0, 4), end="failed")
    make_run(tmp_path, ["block=parallel", "seed=0"], falling(4.0, 5), end="stopped")
    found = comparison(runs_of(tmp_path))
    rows = {row[0]: row for row in rows_of(found)[1:]}
    assert rows["sas"][1] == "3 of 4, 1 diverged" and rows["sas"][2].endswith("*")
    assert rows["sas"][4] == "diverged in 1 of 4"  # the survivors' loss is no verdict
    assert rows["sas_p"][1:3] == ["0 of 1", "-"]
    assert {run.state for run in found.unfinished} == {"failed", "stopped"} and len(found.unfinished) == 3
    assert any("censored" in note for note in notes_of(found))
    names = {curve.name for curve in loss_panel(found, "val/loss", "step").curves}
    assert names == {"pre_ln", "sas", "sas_p", "parallel"}  # what there is of unfinished ones is drawn


def test_speeds_of_different_machines_are_not_compared(tmp_path: Path) -> None:
    make_run(tmp_path, ["block=pre_ln"], falling(4.0), device="H100")
    make_run(tmp_path, ["block=sas"], falling(4.0), device="A5000")
    found = comparison(runs_of(tmp_path))
    row = found.rows[1]
    assert row.speed is None and row.memory is None and row.reach is not None and row.reach.seconds is None
    assert any("A5000, H100" in note for note in notes_of(found))


def test_no_pair_is_judged_across_precisions(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path, ["block=pre_ln", f"seed={seed}"], falling(4.0 + seed / 10), precision="fp32")
        make_run(tmp_path, ["block=sas", f"seed={seed}"], falling(3.0 + seed / 10))
        mixed = "fp32" if seed < 2 else "bf16"
        make_run(tmp_path, ["block=sas_p", f"seed={seed}"], falling(3.0 + seed / 10 + seed / 1000), precision=mixed)
        make_run(tmp_path, ["block=parallel", f"seed={seed + 10}"], falling(3.0 + seed / 10))  # no pair at all
    found = comparison(runs_of(tmp_path))
    rows = {row.variant.name: row for row in found.rows}
    for name in ("sas", "parallel"):
        row = rows[name]
        assert row.verdict == numbers(row)["verdict"] == "not judged: bf16, the baseline fp32"
        assert row.gap is None and row.reach is None and row.speed is None and gap_cell(row) == "-"
    judged = rows["sas_p"].gap
    assert judged is not None and judged.n == 2 and judged.mean == pytest.approx(-1 + 0.0005)
    assert gap_cell(rows["sas_p"]).endswith("2 pairs")
    (note,) = [note for note in notes_of(found) if "differ in precision" in note]
    assert all(part in note for part in ("fp32: pre_ln;", "bf16: parallel, sas", "bf16 and fp32: sas_p"))
    panel = gap_panel(found, 5)
    assert panel is not None and [curve.name for curve in panel.curves] == ["sas_p"]


def test_each_variant_is_held_against_the_baseline_of_its_size(tmp_path: Path) -> None:
    for layers in (2, 4):
        for block in ("pre_ln", "sas"):
            make_run(tmp_path, [f"block={block}", f"model.n_layers={layers}"], falling(5 - layers / 4))
    make_run(tmp_path, ["block=sas", "model.n_layers=2", "optimiser.lr=1e-4"], falling(4.9))
    make_run(tmp_path, ["block=sas", "train.steps=40"], falling(4.9))
    found = comparison(runs_of(tmp_path))
    rows = {row.variant.name: row for row in found.rows}
    names = {name: row.base.name if row.base else None for name, row in rows.items()}
    lr = next(name for name in names if "0.0001" in name)
    longer = next(name for name in names if "steps=40" in name)
    four = next(name for name in names if name.startswith("sas") and "n_layers=4" in name)
    assert "n_layers=4" in str(names[four]) and "n_layers=2" in str(names[lr]) and names[longer] is None
    assert rows[lr].also == ("optimiser.lr",) and rows[four].also == ()
    assert any("optimiser.lr" in note for note in notes_of(found))
    chosen = comparison(runs_of(tmp_path), "block=sas optimiser.lr=1e-4")
    assert [row.variant.name for row in chosen.rows if row.is_base] == [lr]


def test_curves_are_means_over_what_all_seeds_have_logged(tmp_path: Path) -> None:
    make_run(tmp_path, ["block=sas", "seed=0"], [(10, 5.0), (20, 4.0), (25, 3.9)])
    make_run(tmp_path, ["block=sas", "seed=1"], [(10, 5.2), (20, 4.4)])
    found = comparison(runs_of(tmp_path))
    (variant,) = found.variants
    line = mean_line(variant, found.logged, "val/loss", timed=False)
    assert line is not None and line.x.tolist() == [10, 20] and line.y.tolist() == pytest.approx([5.1, 4.2])
    assert line.high[1] - line.y[1] == pytest.approx(np.std([4.0, 4.4], ddof=1))
    timed = mean_line(variant, found.logged, "val/loss", timed=True)
    assert timed is not None and timed.x[0] == 10 and timed.x[-1] == 20  # seconds that both have
    axes = {view.key: view.curves[0].x[-1] for view in loss_panel(found, "val/loss", "tokens").views}
    assert axes["tokens"] == 20 * 128 and axes["device_hours"] == pytest.approx(20 / 3600)
    assert variant.costs is not None and axes["flops"] == pytest.approx(20 * 128 * variant.costs.training_flops)


def test_gaps_are_paired_at_each_step(tmp_path: Path) -> None:
    found = comparison(runs_of(two_blocks(tmp_path)))
    base, row = found.rows
    line = gap_line(row.variant, base.variant, found.logged, "val/loss")
    assert line is not None and line.y.tolist() == pytest.approx([0.012] * 10)
    assert row.gap is not None and line.high[-1] == pytest.approx(row.gap.high)


def test_printed_curves_are_cut_to_their_common_range(tmp_path: Path) -> None:
    make_run(tmp_path, ["block=pre_ln"], falling(4.0, 10))
    make_run(tmp_path, ["block=sas"], falling(4.0, 10))
    found = comparison(runs_of(tmp_path))
    ends = [curve.x[-1] for curve in printed_loss(found, "val/loss", "flops").curves]
    flops = [v.batch_tokens * v.costs.training_flops for v in found.variants if v.costs]
    assert max(ends) <= 10 * min(flops) and flops[0] > flops[1]


def test_thinning_keeps_spikes_and_ends() -> None:
    y = np.sin(np.arange(10_000) / 500)
    y[[3333, 7777]] = 50, -50
    x = np.arange(10_000.0)
    line = thinned(Line(x, y, y, y, 1), 200)
    assert len(line.x) <= 202 and {50, -50} <= set(line.y.tolist()) and (line.x[0], line.x[-1]) == (0, 9999)
    assert thinned(line, 10_000) is line
    assert common_range([Line(x, y, y, y, 1), Line(x[5:], y[5:], y[5:], y[5:], 1)]) == (5, 9999)
    flat = smoothed(Line(x, np.ones_like(x), y, y, 1), 11)
    assert flat.y.tolist() == pytest.approx([1.0] * len(x))


def test_final_losses_against_a_setting(tmp_path: Path) -> None:
    for value, loss in ((0.1, 4.2), (0.2, 4.0), (0.4, 4.1)):
        for seed in (0, 1):
            make_run(tmp_path, ["block=sas", f"block.mlp_branch={value}", f"seed={seed}"], falling(loss + seed / 100))
    panel = final_panel(comparison(runs_of(tmp_path)), "block.mlp_branch")
    assert panel is not None
    (curve,) = panel.curves
    assert list(curve.x) == [0.1, 0.2, 0.4] and list(curve.y) == pytest.approx([4.205, 4.005, 4.105])
    assert final_panel(comparison(runs_of(tmp_path)), "model.name") is None


def test_gains_of_the_layers(tmp_path: Path) -> None:
    def row(step: int, seed: int) -> dict[str, Any]:
        mean = [1.0 - 0.1 * step + 0.02 * seed, None]
        return {"step": step, "value_ratio": {"mean": mean, "sd": [0.1, None]}}

    for seed in (0, 1):
        make_run(tmp_path, ["block=sas", f"seed={seed}"], falling(4.0), gains=[row(step, seed) for step in range(3)])
    (panel,) = gain_panels(comparison(runs_of(tmp_path)))
    (curve,) = panel.curves
    assert curve.name == "layer 1" and list(curve.y) == pytest.approx([1.01, 0.91, 0.81])
    assert curve.high is not None and curve.high[0] == pytest.approx(1.11)
    assert gain_panels(comparison(runs_of(tmp_path)), ["alpha"]) == []


def test_a_table_in_markdown_holds_any_text() -> None:
    rows = [["a_b", "50%"], ["x | y", "1 ± 2 & {#}"]]
    assert "x \\| y" in markdown(rows, ["note"]) and markdown(rows, ["note"]).endswith("note\n")


def test_the_command_end_to_end(cli: Cli, here: Path) -> None:
    """Real runs; a second report leaves nothing of the first."""
    for block, seed in ((block, seed) for block in ("pre_ln", "sas") for seed in (0, 1)):
        words = [f"block={block}", f"seed={seed}", *TINY, "train.steps=8", "train.val_every=2"]
        assert cli("train", *words).code == 0
    shown = cli("report", "--figure", "gains=alpha", "--figure", "scaling", "--x", "tokens")
    assert shown.code == 0, shown.err
    assert "minus pre_ln (95%)" in shown.out and re.search(r"sas\s+2\s+\d\.\d{4} ± ", shown.out)
    report = here / "report"
    for name in ("loss", "training_loss", "gap", "gains"):
        assert all((report / f"{name}{suffix}").stat().st_size > 5000 for suffix in FORMATS)
    assert (report / "overview.png").stat().st_size > 5000
    page = (report / "index.html").read_text()
    assert "sas: alpha" in page and "http://" not in page.replace("http://www.w3.org", "")
    numbers = json.loads((report / "report.json").read_text())
    finals = [json.loads(p.read_text())["val/loss"] for p in sorted((here / "runs").glob("sas-*/done.json"))]
    assert numbers["rows"][1]["loss"]["mean"] == pytest.approx(np.mean(finals))
    assert (report / "table.md").read_text().startswith("| variant | runs |")
    assert "\\begin{tabular}" in (report / "table.tex").read_text()
    assert cli("report", "block=sas").code == 0
    assert not (report / "gains.png").exists() and not (report / "gap.png").exists() and (report / "loss.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--x", "hours"], "--x=hours: did you mean device_hours"),
        (["--margin", "-1"], "--margin=-1: is no margin"),
        (["--figure", "gain"], "--figure=gain: did you mean gains"),
        (["--baseline", "pre"], "--baseline=pre: did you mean pre_ln"),
        (["--out", "/proc/nowhere"], "--out=/proc/nowhere: cannot be written"),
        (["block=nothing"], "block=nothing: no run has that"),
    ],
)
def test_what_is_typed_wrong(cli: Cli, here: Path, words: list[str], message: str) -> None:
    make_run(here / "runs", ["block=pre_ln"], falling(4.0))
    found = cli("report", *words)
    assert found.code == 2 and message in found.err and len(found.err.strip().splitlines()) == 1
    assert "Traceback" not in found.err


def test_a_baseline_that_has_not_begun_is_no_error(cli: Cli, here: Path) -> None:
    """A sweep's report can be looked at from its first run on; only a typed baseline has to be there."""
    make_run(here / "runs", ["block=sas"], falling(4.0))
    sweep = here / "early.yaml"
    sweep.write_text("grid: {block: [sas, pre_ln]}\nset: {model: gpt_nano}\nreport: {baseline: pre_ln}\n")
    (run,) = runs_of(here / "runs")
    record = {"name": "early-1", "file": str(sweep.resolve()), "scale": "paper", "words": [], "question": ["Early?"]}
    record |= {"command": [], "updated": "", "git": None, "code": "", "snapshot": None}
    asked = [{"run_id": run.run_id, "folder": run.name, "point": {}}]
    asked += [{"run_id": "0123456789", "folder": "pre_ln-gpt_nano-0123456789", "point": {}}]
    (here / "runs" / ".sweeps").mkdir()
    (here / "runs" / ".sweeps" / "early-1.json").write_text(json.dumps({**record, "runs": asked}))
    found = cli("report", "early.yaml")
    assert found.code == 0, found.err
    assert "1 not begun" in found.out and "Early?" in (here / "report" / "index.html").read_text()
    assert cli("report", "early.yaml", "--baseline", "pre_ln").code == 2


def test_a_diverged_baseline_judges_nobody(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path, ["block=pre_ln", f"seed={seed}"], falling(4.0 + seed))
        make_run(tmp_path, ["block=sas", f"seed={seed}"], falling(3.9 + seed))
    make_run(tmp_path, ["block=pre_ln", "seed=2"], falling(4.0, 3), end="diverged")
    row = comparison(runs_of(tmp_path)).rows[1]
    assert row.gap is not None and row.gap.high is not None and row.gap.high < 0
    assert row.verdict == "baseline diverged in 1 of 3"


def test_the_number_of_pairs_is_told_where_it_is_not_that_of_runs(tmp_path: Path) -> None:
    two_blocks(tmp_path)
    make_run(tmp_path, ["block=sas", "seed=9"], falling(4.3))
    found = comparison(runs_of(tmp_path))
    assert rows_of(found)[2][3].endswith("3 pairs") and any("n pairs" in note for note in notes_of(found))


def test_a_run_that_has_just_begun_limits_no_picture(tmp_path: Path) -> None:
    make_run(tmp_path, ["block=pre_ln"], falling(4.0, 10))
    make_run(tmp_path, ["block=sas"], falling(4.0, 2), end="stopped")
    curves = {curve.name: curve for curve in printed_loss(comparison(runs_of(tmp_path)), "val/loss", "step").curves}
    assert curves["pre_ln"].x[-1] == 10 and curves["sas"].x[-1] == 2
    assert curves["sas"].partial and not curves["pre_ln"].partial


def test_other_cadences_of_logging_and_damaged_rows(tmp_path: Path) -> None:
    make_run(tmp_path, ["block=sas", "seed=0"], [(step, 6.0 - step / 10) for step in range(5, 45, 5)])
    folder = make_run(tmp_path, ["block=sas", "seed=1"], [(10, 5.0), (30, 3.0)])
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": "a"}\n{"step": 50, "val/loss": "bad", "seconds": null}\n[1]\n{"step": 60, "val')
    found = comparison(runs_of(tmp_path))
    (variant,) = found.variants  # how often a run logs is no part of what it is
    line = mean_line(variant, found.logged, "val/loss", timed=False)
    assert line is not None and line.x.tolist() == [10, 15, 20, 25, 30]
    assert line.y.tolist() == pytest.approx([5.0, 4.5, 4.0, 3.5, 3.0])


def test_figures_that_say_nothing_are_told(cli: Cli, here: Path) -> None:
    make_run(here / "runs", ["block=sas"], falling(4.0))
    found = cli("report", "--figure", "gains=alpha", "--figure", "final=seed", "--figure", "final=model.name")
    assert found.code == 0
    for what in ("gains=alpha: no run has such a gain", "final=seed: no finished", "final=model.name: no finished"):
        assert f"figure {what}" in found.out


def test_what_no_report_wrote_stays(cli: Cli, here: Path) -> None:
    make_run(here / "runs", ["block=sas"], falling(4.0))
    (here / "mine").mkdir()
    (here / "mine" / "index.html").write_text("mine")
    found = cli("report", "--out", "mine")
    assert found.code == 2 and "holds index.html, which no report wrote" in found.err
    assert [path.name for path in (here / "mine").iterdir()] == ["index.html"]
    assert (here / "mine" / "index.html").read_text() == "mine"
    (here / "mine" / "index.html").rename(here / "mine" / "report.json")
    found = cli("report", "--out", "mine")
    assert found.code == 2 and "holds report.json, which no report wrote" in found.err


def test_a_root_without_results_says_so(cli: Cli) -> None:
    found = cli("report")
    assert found.code == 2 and "none has begun" in found.err
