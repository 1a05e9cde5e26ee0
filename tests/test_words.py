"""One spelling of a setting's value: in plans, status, reports, and in the columns of a notebook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from report_tools import falling, make_run

from simplify.config import DepthGain
from simplify.errors import UserError
from simplify.runs.lookup import find_view
from simplify.runs.settings import varied_words
from simplify.runs.store import RunStore
from simplify.runs.words import as_word, in_order, words_of

Cli = Callable[..., Any]


def gain(value: float, at: int, rule: Any = "inv_sqrt_depth") -> DepthGain:
    return DepthGain(rule=rule, value=value, at_depth=at)


def test_settings_are_as_short_as_tells_them_apart() -> None:
    assert words_of([1, gain(0.2, 18), gain(0.2, 18)], [18, 18, 72]) == ["1", "0.2", "0.1"]
    assert words_of([gain(0.2, 18), gain(0.1, 72)], [18, 18]) == ["0.2@18", "0.1@72"]  # one number by both
    assert words_of([gain(0.2, 18, "inv_sqrt_layer"), 1], [4, 4]) == ["0.2@18", "1"]
    whole = words_of([gain(0.2, 18), gain(0.2, 18, "inv_depth")], [18, 18])
    assert whole[1] == "{rule:inv_depth,value:0.2,at_depth:18}"
    kinds = [{"kind": "reparam", "skip": 1}, {"kind": "dense"}, None]
    assert words_of(kinds, [4, 4, 4]) == ["reparam", "dense", "null"]
    assert words_of([*kinds, {"kind": "dense", "x": 2}], [4] * 4)[1:] == ["dense", "null", "dense x=2"]
    inits = [{"kind": "dense", "init": init} for init in ("normal", "orthogonal")]
    assert words_of(inits, [4, 4]) == ["dense init=normal", "dense init=orthogonal"]
    assert words_of([1.0, 0.0003, True, [1.0, "a"]], [None] * 4) == ["1", "0.0003", "true", "[1,a]"]
    assert as_word(0.1234567891) == "0.1234567891" and as_word({"name": "sas", "alpha": 1}) == "sas"
    assert in_order(["0.003", "b", "3e-4", "0.001", "a", "b"]) == ["3e-4", "0.001", "0.003", "a", "b"]


def ablation(root: Path) -> Path:
    """Two matrices at two rates; the one has a setting that the other lacks."""
    for kind, loss in (("dense", 4.0), ("identity", 4.2)):
        for lr in ("1e-3", "3e-4"):
            make_run(root, ["block=pre_ln", f"block.projection={kind}", f"optimiser.lr={lr}"], falling(loss))
    return root


def test_status_reports_and_selections_have_the_plans_word(cli: Cli, here: Path) -> None:
    ablation(here / "runs")
    shown = cli("status").out
    assert "dense" in shown and "identity" in shown and "{" not in shown and "normal" not in shown
    assert cli("status", "block.projection=dense").out.count("0.0003") == 1
    missed = cli("status", "block.projection=reparam")
    assert missed.code == 2 and "found among 4 runs: dense, identity" in missed.err
    assert varied_words([run.config for run in RunStore(here / "runs").runs()])[0].keys() == {
        "block.projection",
        "optimiser.lr",
    }


def test_a_frame_can_be_grouped_by_any_setting(tmp_path: Path) -> None:
    make_run(ablation(tmp_path), ["block=sas", "block.trainable_gains=[alpha,beta]"], falling(3.9))
    store = RunStore(tmp_path)
    frame: Any = store.frame()
    assert frame.groupby("block.projection")["val/loss"].mean().round(3).to_dict() == {"dense": 4.0, "identity": 4.1}
    assert set(frame["block.projection.init"].dropna()) == {"normal"} and frame["optimiser.lr"].min() == 3e-4
    for column in frame.columns:
        assert frame.groupby(column).ngroups >= 0, column  # every one of them
    steps: Any = store.metrics(with_settings=["block.projection", "optimiser.lr"])
    means = steps.groupby(["block.projection", "optimiser.lr", "step"])["val/loss"].mean()
    assert means["dense", 3e-4, 10] == 4.0 and len(steps) == 5 * 10
    with pytest.raises(UserError, match=r"with_settings=lr: .*valid: a setting's full key"):
        store.metrics(with_settings=["lr"])


def test_a_list_that_is_cut_says_so(tmp_path: Path) -> None:
    for seed in range(9):
        make_run(tmp_path, ["block=sas", f"seed={seed}"], falling(4.0, 1))
    with pytest.raises(UserError, match=r"names 9 runs in .*, \.\.\.; give more"):
        find_view("sas", tmp_path)


def test_the_documented_example_draws_a_line_a_block(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in ("pre_ln", "sas"):
        for seed in (0, 1):
            make_run(here / "runs", [f"block={block}", f"seed={seed}"], falling(4.0 + seed / 10))
    monkeypatch.setenv("MPLBACKEND", "agg")
    text = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    (example,) = [part.split("```")[0] for part in text.split("```python")[1:] if "matplotlib" in part]
    names: dict[str, Any] = {}
    exec(compile(example, "docs/runs.md", "exec"), names)
    assert [line.get_label() for line in names["plt"].gca().get_lines()] == ["pre_ln", "sas"]
    assert names["plt"].gca().get_lines()[0].get_ydata()[-1] == pytest.approx(4.05)
    names["plt"].close("all")
    assert (here / "blocks.png").stat().st_size > 5000
