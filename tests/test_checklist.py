"""What reviewers ask by checklist comes from run folders, and only from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from conftest import Result
from report_tools import falling, make_run, runs_of

from simplify.compare.checklist import checklist, hours_of
from simplify.compare.comparison import comparison


def answers(root: Path, search: tuple[str, ...] = ()) -> str:
    found = comparison(runs_of(root))
    return "\n".join(line for answer in checklist(found, runs_of(root), search) for line in answer.says)


def test_what_varies_and_how_often_is_counted(tmp_path: Path) -> None:
    for block in ("pre_ln", "sas"):
        for seed in range(3):
            make_run(tmp_path, [f"block={block}", f"seed={seed}", "model.seed=7"], falling(4.0 + seed / 100))
    said = answers(tmp_path)
    assert "factors of variability: the order of the batches" in said
    assert "the same in all runs: the initial weights" in said
    assert "runs of each variant: 3," in said and "two-sided 95% Student t intervals of the mean of the pairs" in said
    assert "no setting was tuned in these runs" in said and "6 finished of 6" in said
    assert "tuned so" in answers(tmp_path, ("tuned so",)) and "no setting was tuned" not in answers(tmp_path, ("x",))


def test_the_project_counts_what_failed_and_what_was_lost(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path, ["block=pre_ln", f"seed={seed}"], falling(4.0))
    first = runs_of(tmp_path)[0].folder.path
    lost = {"started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T02:00:00Z", "from_step": 0, "how": "stopped"}
    who = {"host": "h", "pid": 1, "born": "b", "boot": "c"}
    (first / "job.json").write_text(json.dumps({"attempts": [{**who, **lost}, {**who, **lost}]}))
    views = {view.folder.path: view for view in runs_of(tmp_path)}
    assert hours_of(views[first]) == 4.0
    failed = next(path for path in views if path != first)
    (failed / "done.json").unlink()
    (failed / "error.json").write_text(json.dumps({"cause": "exception", "message": "x", "traceback": []}))
    said = answers(tmp_path)
    assert "2 runs (1 failed), 4" in said and "runs in the table: 4 device hours," in said


def test_the_command_writes_it_and_takes_it_away(tmp_path: Path, cli: Callable[..., Result]) -> None:
    root = tmp_path / "runs"
    make_run(root, ["block=pre_ln"], falling(4.0))
    out = tmp_path / "out"
    shown = cli("report", f"run_root={root}", "--checklist", "--out", str(out))
    assert "NeurIPS 7, ACL C3" in shown.out and "no variability: one seed" in (out / "checklist.md").read_text()
    assert "NeurIPS 8" in (out / "index.html").read_text()
    cli("report", f"run_root={root}", "--out", str(out))
    assert not (out / "checklist.md").exists()
