"""The paper as sweep files, and `simplify paper`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, TINY_DATA
from test_imports import HEAVY, loaded

from simplify.compare.comparison import comparison
from simplify.compare.finals import final_panel
from simplify.compare.tables import PaperNumbers, rows_of
from simplify.config import gain_at
from simplify.runs.store import RunStore
from simplify.sweep.file import Axes, header_parts, read_sweep
from simplify.sweep.paper import asked_for
from simplify.sweep.plan import Plan, make_plan
from simplify.sweep.points import points_of
from simplify.sweep.record import Record, Recorded, write_record

Cli = Callable[..., Any]
FOLDER = ROOT / "sweeps" / "paper"
FILES = sorted(FOLDER.glob("*.yaml"))
_SIX_VALUES, _FIVE_GAINS = 6, 5
# Runs at the paper's size, and at scale=nano: there mostly the same ones with two or three seeds.
RUNS: dict[str, tuple[int, int]] = {
    "fig02_pre_ln_v_skipinit": (2, 2 * 3),
    "fig03_restrict_vp": (_SIX_VALUES * 2, _SIX_VALUES * 2 * 2),
    "fig04_trainable_vp": (1, 1 * 3),
    "fig05_wall_clock": (6, 6 * 3),
    "fig06_depth": (5 * 2, 5 * 2),
    "fig07_bert": (6, 6 * 3),
    "fig08_longer": (3, 3 * 3),
    "fig09_lr_ratio": (_SIX_VALUES * 2, _SIX_VALUES * 2 * 2),
    "fig12_schedule": (3 * 2, 3 * 2 * 3),
    "fig13_attention_matrix": (2 * 2, 2 * 2 * 3),
    "fig14_mlp_branch": (2 * _FIVE_GAINS, 2 * (_FIVE_GAINS + 2) * 2),
    "fig15_tied_orthogonal": (_SIX_VALUES * 4, _SIX_VALUES * 4 * 2),
    "fig16_trainable_vp_parallel": (1, 1 * 3),
    "fig17_18_19_20_gains": (1, 1 * 3),
    "fig21_trainable_vp_orthogonal": (1, 1 * 3),
    "fig22_trainable_vp_with_skip": (1, 1 * 3),
    "fig23_pre_ln_identity_vp": (2, 2 * 3),
    "fig24_first_value": (2 * 2, 2 * 2 * 3),
    "fig25_no_mlp_skip": (1 + 3, (1 + 3) * 3),
    "fig26_steps": (6, 6 * 3),
    "fig27_bert_steps": (6, 6 * 3),
    "fig28_languini": (4, 4 * 3),
    "table1_glue": (6, 6 * 3),
    "table2_glue_tasks": (5, 5 * 3),
}
SHOWN = [*(f"Fig {n}" for n in (*range(2, 10), *range(12, 29))), "Table 1", "Table 2"]


# A plan looks at the corpus; the files' own takes long to tokenise.
SMALL: Axes = {key: [value] for key, _, value in (word.partition("=") for word in TINY_DATA)}


def plan_of(path: Path, scale: str) -> Plan:
    return make_plan(points_of(read_sweep(path).at(scale), SMALL if scale == "nano" else {}))


def test_there_is_a_file_for_every_figure_and_table() -> None:
    asked = asked_for()
    assert [path.stem for path in FILES] == list(RUNS)
    assert [shown for one in asked for shown in one.shown] == SHOWN
    for one in asked:
        runs, small = RUNS[one.file.removesuffix(".yaml")]
        assert list(one.wrong) == []
        assert {scale: len(marks) for scale, marks in one.marks.items()} == {"paper": runs, "nano": small}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_file_is_planned_at_both_scales(path: Path, here: Path) -> None:
    assert here and list(read_sweep(path).scales) == ["nano"]
    for scale, number in zip(("paper", "nano"), RUNS[path.stem], strict=True):
        plan = plan_of(path, scale)
        assert list(plan.wrong) == [] and plan.merged == 0 and len(plan.runs) == number, scale
        assert {run.config.train.device for run in plan.runs} == {"auto"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_header_says_what_is_asked_what_it_costs_and_what_was_found(path: Path) -> None:
    parts = header_parts(path)
    assert list(parts)[:3] == ["question", "cost", "expectation"] and "?" in parts["question"]
    assert path.read_text().startswith("# Question: ") and "(the paper)" in path.read_text()
    assert all(len(line) <= 130 for line in path.read_text().splitlines())
    paper = read_sweep(path).report.paper
    if paper is not None and paper.hours:  # a time that the paper states stands in the cost too
        (number,) = re.findall(r"\d+", paper.hours.split(" on ")[0])
        assert f"{number} hours" in parts["cost"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("fig05_wall_clock", {"pre_ln": 166.6, "parallel": 166.6, "sas": 145.9, "sas_p": 145.9}),
        ("fig07_bert", {"pre_ln": 119.5, "sas": 101.3, "sas_p": 101.3}),
    ],
)
def test_models_have_the_papers_number_of_parameters(name: str, wanted: dict[str, float], here: Path) -> None:
    plan = plan_of(FOLDER / f"{name}.yaml", "paper")
    found = {run.config.block.name: run.parameters / 1e6 for run in plan.runs}
    assert here and {block: found[block] for block in wanted} == pytest.approx(wanted, abs=0.1)


def test_encoders_have_the_papers_gains_and_rates(here: Path) -> None:
    plan = plan_of(FOLDER / "fig07_bert.yaml", "paper")
    found = {r.config.block.name: (gain_at(r.config.block.mlp_branch, 16), r.config.optimiser.lr) for r in plan.runs}
    assert here and found == {
        **dict.fromkeys(("pre_ln", "parallel"), (1.0, 1e-3)),
        "v_skipinit": (0.05, 1e-3),
        **dict.fromkeys(("sas", "sas_p"), (0.05, 3e-3)),
        "sas_p_no_norm": (0.05, 2e-3),
    }


def test_languini_is_as_long_as_the_papers(here: Path) -> None:
    plan = plan_of(FOLDER / "fig28_languini.yaml", "paper")
    for config in (run.config for run in plan.runs):
        assert here and config.batch_sequences == 128 and config.model.seq_len == 512
        assert config.total_steps == 19_000 and config.optimiser.warmup * 19_000 == pytest.approx(500, abs=0.01)


def test_the_table_tells_all_figures_without_anything_heavy(cli: Cli, here: Path) -> None:
    assert here and loaded("paper") & HEAVY == set()
    answer = json.loads(cli("paper", "--json").out)
    told = answer["figures"]
    assert answer["schema"] == "simplify.paper/1"
    assert [row["shown"] for row in told] == SHOWN
    rows = {row["shown"]: row for row in told}
    assert rows["Fig 5"]["scales"]["paper"]["runs"] == 6 and rows["Fig 5"]["status"] == "no runs"
    assert rows["Fig 5"]["hours"] == "about 10 for Pre-LN on one A5000" and rows["Fig 6"]["hours"] is None
    assert rows["Fig 18"]["file"].endswith("fig17_18_19_20_gains.yaml")
    text = cli("paper").out
    assert all(shown in text for shown in SHOWN)


@pytest.fixture
def small_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the paper's sweeps with two that can be trained in a second."""
    folder = tmp_path / "sweeps" / "paper"
    folder.mkdir(parents=True)
    said = {key: value for key, _, value in (word.partition("=") for word in TINY)}
    head = "# Question: which?\n# Cost: two runs,\n# tiny ones.\n# Expectation (the paper): the first.\n"
    body = {"set": said, "grid": {"block": ["pre_ln", "sas"]}, "scales": {"nano": {"set": {"train.steps": "2"}}}}
    (folder / "fig02_tiny.yaml").write_text(head + json.dumps(body))
    again = {"runs_of": "fig02_tiny.yaml", "grid": {"seed": [0, 1]}, "except": [{"block": "sas", "seed": 1}]}
    (folder / "table1_tiny.yaml").write_text(head + json.dumps(again))
    monkeypatch.setattr("simplify.sweep.paper.sweeps_dir", lambda: tmp_path / "sweeps")
    return folder


def test_the_status_is_that_of_the_runs(cli: Cli, small_paper: Path) -> None:
    def status() -> dict[str, str]:
        return {row["shown"]: row["status"] for row in json.loads(cli("paper", "--json").out)["figures"]}

    assert status() == {"Fig 2": "no runs", "Table 1": "no runs"}
    assert cli("train", *TINY, "block=sas").code == 0
    assert status() == {"Fig 2": "paper: 1 of 2 done", "Table 1": "paper: 1 of 3 done"}
    for words in (["block=pre_ln"], ["block=pre_ln", "train.steps=2"], ["block=sas", "train.steps=2"]):
        assert cli("train", *TINY, *words).code == 0
    assert status() == {"Fig 2": "paper: done; nano: done", "Table 1": "paper: 2 of 3 done; nano: 2 of 3 done"}
    (done,) = [run for run in RunStore().runs() if run.config["block"]["name"] == "sas" and run.total_steps == 20]
    (done.folder.path / "done.json").unlink()
    (row, _) = json.loads(cli("paper", "--json").out)["figures"]
    assert row["status"] == "paper: 1 of 2 done, 1 stopped; nano: done" and row["cost"] == "two runs, tiny ones."
    assert cli("train", *TINY, "train.steps=3").code == 0
    its = tuple(Recorded(run.run_id, run.name, {}) for run in RunStore().runs())
    file = str((small_paper / "fig02_tiny.yaml").resolve())
    write_record(RunStore().root, Record("tried", file, "paper", ("train.steps=3",), (), (), "", None, "", None, its))
    (row, _) = json.loads(cli("paper", "--json").out)["figures"]
    assert row["other_runs"] == 1 and row["status"].endswith("nano: done; 1 with other settings")
    (small_paper / "fig02_tiny.yaml").write_text("set: {block: sos}\n")
    broken = {row["shown"]: row["status"] for row in json.loads(cli("paper", "--json").out)["figures"]}
    assert broken["Fig 2"].startswith("cannot be planned: block=sos: did you mean sas?")
    assert "cannot be planned" in cli("paper").out


BAD_BASES = {
    "runs_of: nothing.yaml": "no such file beside it or below; valid: fig02_tiny.yaml, table1_tiny.yaml",
    "runs_of: table1_tiny.yaml": "runs_of=table1_tiny.yaml: has runs_of itself; valid: fig02_tiny.yaml",
}


@pytest.mark.parametrize("text", BAD_BASES)
def test_a_file_that_asks_nobodys_runs(cli: Cli, small_paper: Path, text: str) -> None:
    (small_paper / "fig03_bad.yaml").write_text(text)
    done = cli("sweep", str(small_paper / "fig03_bad.yaml"), "--plan")
    assert done.code == 2 and BAD_BASES[text] in done.err and done.err.count("\n") == 1


def test_a_sweep_over_matrices_is_reported_by_their_settings(cli: Cli, here: Path) -> None:
    """Fig 15 in small: baseline, paper's numbers and curves are told by settings inside W_V's own."""
    for init, tie in (("identity", "none"), ("orthogonal", "none"), ("orthogonal", "all")):
        both = [
            f"block.{name}.{key}={value}"
            for name in ("value", "projection")
            for key, value in (("init", init), ("tie", tie))
        ]
        assert cli("train", *TINY, "train.steps=2", "block=skipless_reparam", *both).code == 0
    found = comparison(RunStore(here / "runs").runs(), "block.value.init=orthogonal block.value.tie=none")
    (base,) = (row for row in found.rows if row.is_base)
    assert base.variant.name == "value.init=orthogonal, value.tie=none"  # W_P's are the same
    numbers = PaperNumbers("Fig 3", {"loss": {"block.value.init=identity block.value.branch=0.2": "1.178"}})
    cells = {row[0]: row[-1] for row in rows_of(found, numbers)}
    assert [name for name, cell in cells.items() if cell == "1.178"] == [n for n in cells if "init=identity" in n]
    panel = final_panel(found, "block.value.branch", "block.value.init block.value.tie")
    assert panel is not None
    names = {f"value.init={init}, value.tie=none" for init in ("identity", "orthogonal")}
    assert {curve.name for curve in panel.curves} == {*names, "value.init=orthogonal, value.tie=all"}
