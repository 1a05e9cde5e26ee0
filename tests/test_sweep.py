"""Sweeps: files, axes, plans, and training what is planned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, rows
from hypothesis import given
from hypothesis import strategies as st
from test_imports import HEAVY, loaded

from simplify.compose import axes, compose_points, compose_run
from simplify.errors import ConfigError
from simplify.sweep.file import Size, read_sweep
from simplify.sweep.plan import make_plan
from simplify.sweep.points import points_of, varying

Cli = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[str]"]
SHIPPED = sorted((ROOT / "sweeps").glob("*.yaml"))


def size(**words: Any) -> Size:
    return Size.model_validate({name.replace("leave_out", "except"): value for name, value in words.items()})


@given(st.lists(st.integers(1, 3), max_size=3), st.integers(0, 3), st.integers(0, 2))
def test_points_are_the_product_of_all_axes(lengths: list[int], paired: int, added: int) -> None:
    grid = {f"axis{n}": list(range(length)) for n, length in enumerate(lengths)}
    pairs = [{"left": list(range(paired)), "right": list(range(10, 10 + paired))}] if paired else []
    found = points_of(size(set={"fixed": 1}, grid=grid, zip=pairs, add=[{"extra": n} for n in range(added)]), {})
    combined = 1
    for length in [*lengths, *([paired] if paired else [])]:
        combined *= length
    assert len(found) == (combined if lengths or paired else (0 if added else 1)) + added
    assert all(point["fixed"] == 1 for point in found)
    assert all(point["right"] == point["left"] + 10 for point in found if "left" in point)
    assert len({json.dumps(point, sort_keys=True) for point in found}) == len(found)


def test_typed_words_win_over_the_file() -> None:
    file = size(
        set={"a": 1, "b": 2},
        grid={"block": ["x", "y"], "seed": [0, 1]},
        add=[{"block": "z", "seed": 7}],
        leave_out=[{"block": "x", "seed": 1}],
    )
    assert len(points_of(file, {})) == 4
    assert points_of(file, {"seed": [5], "a": [9]}) == [
        {"a": 9, "b": 2, "seed": 5, "block": "x"},
        {"a": 9, "b": 2, "seed": 5, "block": "y"},
        {"a": 9, "b": 2, "seed": 5, "block": "z"},
    ]
    assert len(points_of(file, {"b": [1, 2, 3]})) == 3 * 3 + 1


def test_what_varies() -> None:
    assert varying([{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "b": 3, "c": 0}]) == ["b", "c"]
    assert varying([{"a": 1}]) == []


def test_points_compose_as_single_runs_do() -> None:
    points = [
        {"block": "sas_p", "model": "gpt_small", "optimiser.lr": 3e-4, "seed": 3},
        {"block.mlp_branch": {"rule": "inv_depth", "value": 0.5, "at_depth": 2}, "train.tokens": 4096},
        {"model": "bert_nano", "train.hours": 2, "wandb.tags": ["a", "b"]},
    ]
    words = [
        ["block=sas_p", "model=gpt_small", "optimiser.lr=3e-4", "seed=3"],
        ["block.mlp_branch={rule:inv_depth,value:0.5,at_depth:2}", "train.tokens=4096"],
        ["model=bert_nano", "train.hours=2", "wandb.tags=[a,b]"],
    ]
    assert compose_points(points) == [compose_run(w) for w in words]


def test_interpolations_of_a_users_yaml_see_the_point(tmp_path: Path) -> None:
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "deep.yaml").write_text("mlp_branch: ${model.init_std}\n")
    points = [{"block": "deep", "model.init_std": value} for value in (0.1, 0.2)]
    found = compose_points(points, tmp_path)
    assert found == [compose_run(["block=deep", f"model.init_std={v}"], tmp_path) for v in (0.1, 0.2)]


def test_hydras_sweep_grammar() -> None:
    found = axes(["block=glob(sas_p*)", "seed=range(0,3)", "optimiser.lr=choice(1e-3,3e-4)", "train.steps=5"], None)
    assert found == {
        "block": ["sas_p", "sas_p_no_norm"],
        "seed": [0, 1, 2],
        "optimiser.lr": [1e-3, 3e-4],
        "train.steps": [5],
    }
    for word, message in (
        ("seed=glob(*)", "glob\\(\\) chooses among files"),
        ("optimiser.lr=interval(0,1)", "no end of values"),
        ("block=glob(zzz*)", "no values"),
        ("~seed", "settings are not deleted"),
    ):
        with pytest.raises(ConfigError, match=message):
            axes([word], None)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_sweeps_compose_at_every_scale(path: Path) -> None:
    file = read_sweep(path)
    assert path.read_text().startswith("# Question: ")
    for scale in ["paper", *file.scales]:
        points = points_of(file.at(scale), {})
        assert len(points) >= 3
        errors = [run for run in compose_points(points) if isinstance(run, ConfigError)]
        assert errors == []


def test_depth_scaling_has_the_papers_gains_and_rates() -> None:
    file = read_sweep(ROOT / "sweeps" / "depth_scaling.yaml")
    found = compose_points(points_of(file, {}))
    assert len(found) == 10
    from simplify.config import RunConfig, gain_at

    for run in found:
        assert isinstance(run, RunConfig)
        depth, name = run.model.n_layers, run.block.name
        assert gain_at(run.block.mlp_branch, depth) == pytest.approx(
            1.0 if name == "pre_ln" else {18: 0.2, 72: 0.1}[depth]
        )
        assert run.optimiser.lr == ({18: 3e-4, 72: 1e-4}[depth] if name == "v_skipinit" else 1e-3)
        assert run.model.d_ff == 1536


def test_planning_needs_nothing_heavy(here: Path) -> None:
    assert here and loaded("sweep", *TINY, "block=pre_ln,sas", "--plan") & HEAVY == set()


def test_repeated_points_are_merged_and_wrong_ones_kept_apart(here: Path) -> None:
    base = {word.partition("=")[0]: word.partition("=")[2] for word in TINY}
    points = axes([*TINY, "model.d_head=null,16", "seed=0,1"], None)
    plan = make_plan(points_of(Size.model_validate({}), points))
    assert here and base and len(plan.runs) == 2 and plan.merged == 2  # d_head=16 is what null means here
    heads = axes([*TINY, "model.n_heads=2,5,4"], None)
    mixed = make_plan(points_of(Size.model_validate({}), heads))
    assert len(mixed.runs) == 2 and len(mixed.wrong) == 1 and "model.n_heads=5: does not divide" in mixed.wrong[0]


BAD_FILES = {
    "grid: {block: []}": "block: an axis without values; valid: at least one, or leave the axis out",
    "zip: {a: [1, 2], b: [1]}": "zip: axes of unequal length: a has 2, b has 1; valid: the same number of values",
    "gird: {a: [1]}": "gird: did you mean grid? valid in a sweep file: set, grid, zip, add, except, report, scales",
    "- a\n- b": "holds no settings; valid: a sweep file",
    "set: {a: [1}": "line 1, column 12: expected ',' or ']'",
    "set:\n  cluster.timeout: 12:30:00": "line 2: 12:30:00 without quotes is a number to the base 60 in YAML",
    "grid: {seed: [0]}\nexcept: [{blok: sas}]": "except: blok=sas: names a setting that the points do not have",
    "grid: {seed: [0, 1]}\nzip: {seed: [2, 3]}": "seed: is an axis twice (grid and zip)",
    "grid: {optimiser.rl: [1, 2]}": "optimiser.rl: unknown key; did you mean optimiser.lr?",
    "report: {x: stepp}\nset: {seed: 1}": "report.x=stepp: did you mean step?",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_bad_files_are_one_line(cli: Cli, here: Path, text: str) -> None:
    (here / "sweep.yaml").write_text(text)
    done = cli("sweep", "sweep.yaml", *TINY[5:], "--plan")
    assert done.code == 2 and BAD_FILES[text] in done.err and done.err.count("\n") == 1, done.err


def test_bad_words(cli: Cli, here: Path) -> None:
    assert here
    for words, message in (
        ([], "sweep: nothing to run"),
        (["nothing.yaml"], "nothing.yaml: No such file or directory; valid: a sweep file"),
        (["a.yaml", "b.yaml"], "b.yaml: a second sweep file"),
        (
            [str(ROOT / "sweeps/seeds.yaml"), "scale=nan"],
            "scale=nan: did you mean nano? valid in this",
        ),
        (["block=sas,sos"], "block=sos: did you mean sas?"),
    ):
        done = cli("sweep", *words, "--plan")
        assert done.code == 2 and message in done.err, done.err


def test_many_runs_are_asked_about(cli: Cli, here: Path) -> None:
    done = cli("sweep", *TINY, "seed=range(0,21)")
    assert done.code == 2 and "21 runs are to be trained; --yes trains more than 20 without asking" in done.err
    assert not (here / "runs").exists()


def test_a_sweep_trains_all_it_can_and_only_once(spawn: Spawn, here: Path) -> None:
    """Four runs, one of which fails; then nothing is left to do but the failed one."""
    words = [*TINY, "train.steps=6", "block=pre_ln,sas", "optimiser.lr=1e-3,1e30"]
    plan = json.loads(_out(spawn("sweep", *words, "--json"), 0))
    assert [run["state"] for run in plan["runs"]] == ["new"] * 4 and plan["axes"] == ["block", "optimiser.lr"]
    out = _out(spawn("sweep", *words), 1)
    assert "2 done, 2 failed, 0 being trained elsewhere" in out and out.count(": failed: step ") == 2
    folders = sorted((here / "runs").glob("*-*"))
    assert len(folders) == 4 and sum((f / "done.json").exists() for f in folders) == 2
    attempts = {f.name: len(json.loads((f / "job.json").read_text())["attempts"]) for f in folders}
    assert set(attempts.values()) == {1}
    assert "nothing to train; 2 failed: --retry trains them again" in _out(spawn("sweep", *words), 0)
    again = _out(spawn("sweep", *words, "--retry", "--fail-fast"), 1)
    assert "0 done, 1 failed" in again
    assert {f.name: len(rows(f)) for f in folders if (f / "done.json").exists()}.keys() < attempts.keys()


def test_two_sweeps_at_once_train_each_run_once(spawn: Spawn, here: Path) -> None:
    words = [*TINY, "train.steps=40", "seed=0,1,2"]
    both = [spawn("sweep", *words), spawn("sweep", *words)]
    for process in both:
        _, err = process.communicate(timeout=180)
        assert process.returncode == 0 and "Traceback" not in err, err
    folders = sorted((here / "runs").glob("*-*"))
    assert len(folders) == 3 and all((folder / "done.json").exists() for folder in folders)
    for folder in folders:
        assert [row["step"] for row in rows(folder)] == list(range(1, 41))
        assert len(json.loads((folder / "job.json").read_text())["attempts"]) == 1


def test_a_stopped_sweep_goes_on(spawn: Spawn, here: Path) -> None:
    words = [*TINY, "train.steps=400", "seed=0,1", "train.checkpoint_every=5"]
    process = spawn("sweep", *words, start_new_session=True)
    deadline = time.monotonic() + 60
    while not any((f / "metrics.jsonl").exists() for f in (here / "runs").glob("*-*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the whole group
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, out + err
    assert "the same command goes on from there" in err and "Traceback" not in err
    states = json.loads(_out(spawn("sweep", *words, "--json"), 0))["runs"]
    assert sorted(run["state"] for run in states) == ["new", "stopped"]
    frozen = here / "runs" / ".frozen"  # before the first began
    assert {path.stem for path in frozen.iterdir()} == {run["id"] for run in states}


def test_what_may_change_reaches_a_run_that_goes_on(spawn: Spawn, here: Path) -> None:
    """A smaller micro-batch is the remedy for a run out of memory: the same run, trained with the new word."""
    words = [*TINY, "train.steps=6", "optimiser.lr=1e30"]
    _out(spawn("sweep", *words), 1)
    out = _out(spawn("sweep", *words, "train.micro_batch=2", "--retry"), 1)
    assert "in 4 micro-batches" in out
    assert len(list((here / "runs").glob("*-*"))) == 1


def _out(process: subprocess.Popen[str], code: int) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, out + err
    assert "Traceback" not in err
    return out
