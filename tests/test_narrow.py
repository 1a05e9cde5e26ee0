"""Plans, runs, reports, fine-tunings and the paper's table on real, narrow terminals: no number or name is broken."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pexpect
import pytest
from conftest import ROOT, TINY_DATA
from report_tools import falling, make_run
from test_finetune import PRETRAINED

from simplify.cli.plan_table import fitted
from simplify.cli.table import as_columns
from simplify.cli.table import cells as table_cells
from simplify.cli.table import fitted as fitted_runs
from simplify.cli.watch import _moving
from simplify.finetune.kept import Kept
from simplify.finetune.recipe import read_recipe
from simplify.finetune.tasks import TASKS, TITLES
from simplify.runs.store import RunStore

Cli = Callable[..., Any]
Screen = Callable[..., list[str]]
PAPER = ROOT / "sweeps" / "paper"
# A budget in hours needs no step measured.
PLAN = ["scale=nano", *TINY_DATA, "train.steps=null", "train.hours=0.1", "train.precision=fp32"]
PLAN += ["wandb.mode=disabled", "--plan"]


@pytest.fixture
def screen(here: Path) -> Screen:
    """The lines that a command shows on a terminal of so many columns, without colours."""

    def run(*words: str, columns: int = 80) -> list[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        words = ("-m", "simplify", *words)
        options: dict[str, Any] = {"env": env, "encoding": "utf-8", "timeout": 90, "dimensions": (40, columns)}
        child = pexpect.spawn(sys.executable, list(words), cwd=str(here), **options)
        text = child.read()
        child.close()
        assert child.exitstatus == 0, text
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n").splitlines()

    return run


def cells(lines: Sequence[str]) -> list[list[str]]:
    """The rows of a table in a frame."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]


def test_a_plan_over_depth(cli: Cli, screen: Screen) -> None:
    file = str(PAPER / "fig06_depth.yaml")
    cli("data", "prepare", "text", *TINY_DATA[1:])  # whose progress is no part of a plan
    lines = screen("sweep", file, *PLAN)
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("Question: do the simplified blocks") and lines[1].startswith("layers with d_ff")
    (head,) = [line.replace("┃", " ").split() for line in lines if line.startswith("┃")]
    assert head == ["id", "lr", "n_layers", "block", "mlp_branch", "time", "state"]
    rows = {(row[2], row[3]): [row[4], row[1]] for row in cells(lines)}
    assert len(rows) == 10 == len(cells(lines))
    assert rows["4", "sas"] == ["0.4243", "0.001"]  # 0.2 at 18 layers
    assert rows["16", "v_skipinit"] == ["0.2121", "0.0001"] and rows["16", "pre_ln"][0] == "1"
    assert any(line.startswith("not shown on so narrow a screen: names of runs, parameters") for line in lines)
    wide = cli("sweep", file, *PLAN).out
    assert "block.mlp_branch" in wide and "sas-gpt_nano-" in wide and "0.4243" in wide and "parameters" in wide
    least = screen("sweep", file, *PLAN, columns=46)
    assert max(map(len, least)) <= 46 and any("n_layers=4  block=sas" in line for line in least), least


def test_columns_that_say_the_same_go_first(cli: Cli, screen: Screen) -> None:
    cli("data", "prepare", "text", *TINY_DATA[1:])
    lines = screen("sweep", str(PAPER / "fig15_tied_orthogonal.yaml"), *PLAN)
    assert max(map(len, lines)) <= 80
    (head,) = [line.replace("┃", " ").split() for line in lines if line.startswith("┃")]
    assert head == ["id", "seed", "branch", "init", "tie", "parameters", "time", "state"]
    assert "block.projection.tie (as block.value.tie)" in " ".join(lines)


def test_heads_stay_whole_where_their_last_parts_are_alike() -> None:
    columns = {"run": ["sas-gpt_nano-0123456789"], "block.value.branch": ["1"], "block.projection.branch": ["2"]}
    found = fitted({**columns, "parameters": ["1"], "time": ["1:00"], "state": ["new"]}, 90)
    assert found is not None and list(found[0])[1:3] == ["block.value.branch", "block.projection.branch"]
    assert fitted({**columns, "parameters": ["1"], "time": ["1:00"], "state": ["new"]}, 40) is None


def test_fine_tunings(cli: Cli, screen: Screen, here: Path) -> None:
    """Nine numbers of four runs; a run without any says by which other recipe there are some."""
    for block in ("sas", "sas_p", "pre_ln", "parallel"):
        assert cli("train", *PRETRAINED, f"block={block}", "train.steps=1").code == 0
    runs = RunStore(here / "runs").runs()
    recipe, _, _ = read_recipe(["lr=5e-3", "batch=16"])
    for seed in (0, 1):
        for place, run in enumerate(runs):
            for task in TASKS.values():
                numbers = {split.number: 0.431 + place / 100 + seed / 10 for split in task.splits}
                Kept(run.folder, recipe).write(task, seed, {"numbers": numbers, "failed": None, "data": "one"})
    names = [run.name for run in runs]
    words = ["finetune", *names, "--show", "lr=0.005", "batch=16"]
    lines = screen(*words)
    assert max(map(len, lines)) <= 80 and "…" not in "".join(lines)
    heads = [line.split() for line in lines if line.startswith("run ")]
    assert len(heads) > 1 and [name for head in heads for name in head[1:]] == names
    for title in (*TITLES.values(), "mean"):
        found = [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{title} ") and "±" in line]
        cells = [cell.strip() for line in found for cell in re.split(r"(?<=\))", line) if cell.strip()]
        assert cells == [f"{48.1 + place:.1f} ± 7.1 (2/3)" for place in range(4)], title
    wide = cli(*words, "seeds=2").out.splitlines()
    assert [line.split()[0] for line in wide[:5]] == ["run", *names]

    none = cli("finetune", names[0], "--show").out
    told = f"finetune/{recipe.folder})"
    assert f"{names[0]}: nothing by this recipe, but by lr=0.005 batch=16 (16 results in {told}\n" in none
    both = cli("finetune", names[0], "--show", "lr=0.005", "batch=16").out
    assert "nothing by this recipe" not in both


@pytest.fixture
def root(here: Path) -> Path:
    """Runs of three blocks at two rates, and one that has diverged with a number where others have a rule."""
    root = here / "runs"
    for block in ("pre_ln", "sas", "v_skipinit"):
        for rate in ("0.001", "0.0003"):
            for seed in (0, 1):
                make_run(root, [f"block={block}", f"optimiser.lr={rate}", f"seed={seed}"], falling(3.0 + seed / 100))
    make_run(root, ["block=v_skipinit", "block.mlp_branch=0.5"], falling(3.2), end="diverged")
    return root


def heads_of(lines: Sequence[str]) -> list[str]:
    (head,) = [line.split("┃")[1:-1] for line in lines if line.startswith("┃")]
    return [cell.strip() for cell in head]


def test_status_leaves_out_what_matters_least_and_is_a_list_in_the_end(
    cli: Cli, screen: Screen, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = screen("status")
    assert max(map(len, lines)) <= 80 and len(cells(lines)) == 13
    assert heads_of(lines) == ["id", "block", "lr", "seed", "mlp_branch", "state", "step"]
    gone = "device, attempt, tokens/s, names of runs, train loss, val loss"
    assert f"not shown on so narrow a screen: {gone} (simplify status --json has all)" in _joined(lines)
    wide = screen("status", columns=150)
    assert heads_of(wide)[:2] == ["run", "block"] and heads_of(wide)[-4:] == [
        "val loss",
        "tokens/s",
        "device",
        "attempt",
    ]
    assert "mlp_branch" in heads_of(wide) and "not shown" not in _joined(wide), _joined(wide)

    narrow, runs = screen("status", columns=50), RunStore(root).runs()
    listed = narrow[narrow.index(f"{runs[0].name}  {runs[0].state}") :]  # below the title, a path
    assert max(len(line) for line in listed if "{" not in line) <= 50 and "…" not in "".join(narrow)
    named = [line for line in narrow if line.endswith(("  done", "  failed"))]  # in the order of their settings
    assert sorted(named) == [f"{run.name}  {run.state}" for run in runs]
    assert sum("block.mlp_branch=0.3" in line for line in narrow) == 4  # 0.2 at 18 layers
    assert any("train loss 3.1000" in line for line in narrow)  # in one piece

    plain = cli("status").out.splitlines()
    assert len(plain) == 2 + 13 + 2 and "block.mlp_branch" in plain[1] and max(map(len, plain)) > 120
    monkeypatch.setenv("COLUMNS", "80")
    assert heads_of(cli("status").out.splitlines()) == heads_of(lines)


def test_watching(screen: Screen, root: Path) -> None:
    """The picture while runs are watched and the table at the end, here at once."""
    shutil.rmtree(next(root.glob("v_skipinit-*/error.json")).parent)
    lines = screen("watch", columns=60)
    assert max(map(len, lines)) <= 60 and "…" not in "".join(lines)
    heads = [[cell.strip() for cell in line.split("┃")[1:-1]] for line in lines if line.startswith("┃")]
    assert heads[0] == heads[-1] == ["id", "block", "lr", "seed", "state", "step"]


def test_what_runs_vary_in_is_the_last_to_go(screen: Screen, here: Path) -> None:
    """Two runs of one rate and seed differ in W_P alone; without its column they were one row twice."""
    for words in itertools.product(("dense", "identity"), ("0.003", "0.001"), ("0", "1")):
        axes = ("block.projection", "optimiser.lr", "seed")
        make_run(here / "runs", ["block=pre_ln", *(f"{a}={w}" for a, w in zip(axes, words, strict=True))], falling(3.0))
    runs = RunStore(here / "runs").runs()
    for columns in (160, 120, 80, 64, 52):
        shown, (moving, bar) = fitted_runs(as_columns(table_cells(runs)), columns), _moving(runs, columns)
        assert shown is not None and bar is (columns > 64)
        for heads in (shown[0], moving):
            assert {"projection", "lr", "seed", "state"} <= {head.rpartition(".")[2] for head in heads}, columns
    assert heads_of(screen("status")) == ["id", "projection", "lr", "seed", "state", "step", "val loss"]
    least = [line for line in screen("watch", columns=38) if "│" in line]
    assert (
        max(map(len, least)) <= 38
        and "identity," in "".join(least)
        and "0.001, 0" in "".join(least)
        and "…" not in "".join(least)
    )


@pytest.mark.usefixtures("root")
def test_a_report_is_in_parts_or_a_list(cli: Cli, screen: Screen) -> None:
    plain = cli("report").out.splitlines()
    assert plain[1].startswith("variant  ") and plain[2].startswith("pre_ln, lr=0.0003  ") and len(plain[1]) > 120
    width = {line: len(line) for line in plain if line.startswith("- ")}
    assert len(width) > 3 and max(width.values()) > 150
    names = [line.split("  ")[0] for line in plain[2:9]]
    assert "v_skipinit, mlp_branch=0.5, lr=0.001" in names

    split = screen("report", columns=95)
    assert max(len(line) for line in split if "/" not in line) <= 95
    assert sum(line.startswith("variant ") for line in split) == 3
    assert all(sum(line.startswith(f"{name}  ") for line in split) == 3 for name in names)
    assert [line.split()[-1] for line in split if line.startswith("variant ")] == ["loss", "verdict", "tokens/s"]

    lines = screen("report", columns=60)
    assert max(len(line) for line in lines if "/" not in line) <= 60 and "…" not in "".join(lines)
    assert set(names) <= set(lines) and "minus baseline (95%): +0.0000 (+0.0000 to +0.0000) " in _joined(lines)


def _joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines)


def test_the_papers_files_are_never_broken(
    cli: Cli, screen: Screen, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [path.name for path in PAPER.glob("*.yaml")]
    lines = screen("paper")
    for name in files:  # from here their paths are longer than the screen
        assert any(f"  {PAPER / name}" in line for line in lines), name
    assert max(len(line) for line in lines if line.startswith("  ")) <= 80
    assert lines[-3].startswith("runs: of the scales paper, nano; ") and max(map(len, lines[-3:-1])) <= 80
    text = _joined(lines)
    assert "GPU-hours a run" not in text and ".;" not in text and "no time for V-SkipInit. finding:" in text
    monkeypatch.chdir(ROOT)
    wide = cli("paper", "--run-root", str(here)).out.splitlines()
    assert len(max(wide, key=len)) == 200 and any("│ question, sweep file" in line.replace("┃", "│") for line in wide)
    monkeypatch.setenv("COLUMNS", "90")
    narrow = cli("paper", "--run-root", str(here)).out.splitlines()
    assert max(len(line) for line in narrow if line.startswith("  ")) in range(80, 91)
    for shown in (wide, narrow):
        assert all(any(f" sweeps/paper/{name}" in line for line in shown) for name in files)
    monkeypatch.setenv("COLUMNS", "140")
    middle = cli("paper", "--run-root", str(here)).out
    assert len(max(middle.splitlines(), key=len)) == 140 and all(f" sweeps/paper/{name}" in middle for name in files)
