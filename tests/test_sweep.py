"""Sweeps: files, axes, plans, and training what is planned."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY
from hypothesis import given
from hypothesis import strategies as st
from test_imports import HEAVY, loaded

from simplify.compose import axes, compose_points, compose_run
from simplify.errors import ConfigError
from simplify.sweep.estimate import Estimate
from simplify.sweep.file import Size, read_sweep
from simplify.sweep.plan import make_plan
from simplify.sweep.points import points_of, varying
from simplify.sweep.steps import Time

Cli = Callable[..., Any]
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
    assert len(points_of(file, {"b": [1, 2, 3]})) == (3 + 1) * 3
    assert points_of(file, {"seed": [5, 6]})[-1] == {"a": 1, "b": 2, "block": "z", "seed": 7}


def test_a_typed_axis_holds_for_the_added_points_too() -> None:
    file = size(set={"a": 1}, grid={"block": ["x", "y"]}, add=[{"block": "z", "lr": 3}])
    assert points_of(file, {"seed": [0, 1]})[-2:] == [
        {"a": 1, "block": "z", "lr": 3, "seed": 0},
        {"a": 1, "block": "z", "lr": 3, "seed": 1},
    ]


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


def test_references_see_the_point_and_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed, what stands in a file and what a point holds means the same."""
    monkeypatch.setenv("TEXT", "some text")
    words = [
        "model.d_ff=${model.d_model}",
        "wandb.group=${block.name}-${optimiser.lr}-${seed}",
        "wandb.tags=['${seed}']",
    ]
    words += ["wandb.project=${model.d_ff}", "block.projection=${block.value}", "wandb.notes=${oc.env:TEXT}"]
    found = compose_points(points_of(size(), axes([*words, "model.d_model=64,128", "seed=3"], None)))
    assert found == [compose_run([*words, f"model.d_model={width}", "seed=3"]) for width in (64, 128)]
    run = found[0]
    assert not isinstance(run, ConfigError)
    assert (run.model.d_ff, run.wandb.group, run.wandb.tags) == (64, "sas-0.003-3", ("3",))
    assert (run.wandb.project, run.block.projection, run.wandb.notes) == ("64", run.block.value, "some text")


def test_references_of_every_form_lead_to_the_same() -> None:
    """Also those that stand in lists, lead through other ones, or are more than a key."""
    forms = [
        "${seed}",
        "${wandb.name}",
        "${wandb.tags.1}",
        "${oc.decode:'${seed}'}",
        "${..seed}",
        "${oc.env:NO,${seed}}",
    ]
    words = ["seed=5", "wandb.name=${seed}", "wandb.tags=[a,'${wandb.name}']"]
    for form in forms:
        run = compose_run([*words, f'wandb.group="{form}"'])
        assert (run.wandb.group, run.wandb.tags, run.wandb.name) == ("5", ("a", "5"), "5"), form


def test_references_in_a_file_mean_the_runs_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDS", "[4, 5]")
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "set: {model.d_ff: '${model.d_model}', wandb.group: 'lr ${optimiser.lr}'}\n"
        "grid: {seed: '${oc.decode:${oc.env:SEEDS}}', wandb.project: ['${seed}', b]}\n"
    )
    found = [run for run in compose_points(points_of(read_sweep(path), {})) if not isinstance(run, ConfigError)]
    assert [(run.seed, run.wandb.project) for run in found] == [(4, "4"), (4, "b"), (5, "5"), (5, "b")]
    assert {(run.model.d_ff, run.wandb.group) for run in found} == {(128, "lr 0.003")}


def test_texts_are_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "set: {cluster: slurm, cluster.partition: 3090, cluster.account: 012345, wandb.tags: [1, 2.50, yes]}\n"
        "zip: {wandb.project: [1e3, 2024-01-01, 1_000], seed: [0, 1, 2]}\n"
        "scales: {nano: {set: {cluster.qos: 0x1F}}}\n"
    )
    found = [
        run for run in compose_points(points_of(read_sweep(path).at("nano"), {})) if not isinstance(run, ConfigError)
    ]
    assert [run.wandb.project for run in found] == ["1e3", "2024-01-01", "1_000"]
    one = found[0]
    assert (one.cluster.partition, one.cluster.account, one.cluster.qos) == ("3090", "012345", "0x1F")
    assert one.wandb.tags == ("1", "2.50", "yes")


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
    "gird: {a: [1]}": "gird: did you mean grid? valid in a sweep file: set, grid, zip, add, except, tune, report",
    "- a\n- b": "holds no settings; valid: a sweep file",
    "set: {a: [1}": "line 1, column 12: expected ',' or ']'",
    "set:\n  cluster.timeout: 12:30:00": "line 2: 12:30:00 without quotes is a number to the base 60 in YAML",
    "grid: {seed: [0]}\nexcept: [{blok: sas}]": "except: blok=sas: names a setting that the points do not have",
    "grid: {seed: [0, 1]}\nexcept: [{seed: 2}]": "except: seed=2: no point has these values; valid: values of the axes",
    "grid: {seed: [0]}\nexcept: [{seed: 0}]": "except: leaves no point; valid: fewer exceptions, or more values",
    "grid: {block: sas}": "block=sas: needs a list, as in block: [sas]",
    "grid: {seed: [0, 1]}\nzip: {seed: [2, 3]}": "seed: is an axis twice (grid and zip)",
    "grid:": "sweep.yaml: grid=null: needs keys with values, as in {a: 1}",
    "grid: {optimiser.rl: [1, 2]}": "sweep.yaml: optimiser.rl: unknown key; did you mean optimiser.lr?",
    "report: {x: stepp}\nset: {seed: 1}": "report.x=stepp: did you mean step?",
    "grid: {null: [1]}": "sweep.yaml: Incompatible key type 'NoneType'; valid: a sweep file",
    "set: {seed: !!timestamp 2020-01-01}": "sweep.yaml: Value 'date' is not a supported primitive type; valid: a sweep",
    "set: {seed: !!int x}": "sweep.yaml: holds a value that cannot be read (ValueError: invalid literal for int()",
    "set: {seed: !!bool maybe}": "sweep.yaml: holds a value that cannot be read (KeyError: 'maybe')",
    "set: &a {seed: *a}": "sweep.yaml: is nested too deep, or holds itself; valid: a sweep file",
    "set: {wandb.group: !!binary aGk=}": "sweep.yaml: set.wandb.group: is binary data in YAML",
    "set: {wandb.group: '${sed}'}": "sweep.yaml: wandb.group=${sed}: there is no setting sed; did you mean seed?",
    "grid: {wandb.group: ['${oc.env:NOT_THERE}']}": "sweep.yaml: wandb.group=${oc.env:NOT_THERE}: the variable "
    "NOT_THERE is not set; set it, or give a default, as in ${oc.env:NOT_THERE,VALUE}",
    "set: {seed: 1}\nreport: {margin: '${optimiser.lr}'}": "sweep.yaml: report.margin=${optimiser.lr}: there is no "
    "optimiser.lr in this file; valid: a variable of the shell",
    "set: {optimiser.grad_clip: None}": "sweep.yaml: optimiser.grad_clip=None: did you mean null? valid: a number",
    "scales: {nano: null}\nset: {seed: 1}": "sweep.yaml: scales.nano=null: is a group of settings",
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
        (["zzz.yaml"], "zzz.yaml: no such file; valid: "),
        (["fig06_depht.yaml"], f"did you mean {shlex.quote(str(ROOT / 'sweeps/paper/fig06_depth.yaml'))}? "),
        (["a.yaml", "b.yaml"], "b.yaml: a second sweep file"),
        (["block=sas", "~wandb"], "~wandb: settings are not deleted; set wandb.mode=disabled"),
        (["block@model=sas"], "block@model=sas: not understood; valid: key=value"),
        (
            [str(ROOT / "sweeps/seeds.yaml"), "scale=nan"],
            "scale=nan: did you mean nano? valid in this",
        ),
    ):
        done = cli("sweep", *words, "--plan")
        assert done.code == 2 and message in done.err, done.err


@pytest.mark.parametrize("words", [["block=pre_ln,sas,sass"], ["seed=0,yes,1"], ["block=pre_ln", "seed=0,true"]])
def test_after_a_slip_nothing_is_trained(
    cli: Cli, here: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cli("sweep", *TINY, *words)
    assert done.code == 2 and "; nothing is trained; --skip-invalid trains the other " in done.err, done.err
    assert done.err.count("\n") == 1 and not (here / "runs").exists()
    asked: list[int] = []
    monkeypatch.setattr("simplify.cli.sweep._dispatch", lambda _question, plan, *_: asked.append(len(plan.known)))
    done = cli("sweep", *TINY, *words, "--skip-invalid")
    assert done.code == 2 and done.err.startswith("simplify: left out: ") and asked == [len(words[-1].split(",")) - 1]


def test_yes_and_no_in_a_file_are_no_numbers(cli: Cli, here: Path) -> None:
    (here / "sweep.yaml").write_text("grid: {seed: [yes, no]}\n")
    done = cli("sweep", "sweep.yaml", *TINY)
    assert done.code == 2 and done.err.splitlines() == [
        f"simplify: sweep.yaml: seed={word}: needs a number (in YAML yes and on are true, no and off false)"
        for word in ("true", "false")
    ]


def test_a_combination_that_is_no_run_is_left_out(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its values is one elsewhere, so the others are trained."""
    asked: list[int] = []
    monkeypatch.setattr("simplify.cli.sweep._dispatch", lambda _question, plan, *_: asked.append(len(plan.known)))
    done = cli("sweep", *TINY, "block=pre_ln,sas", "model.n_kv_heads=null,1")
    assert done.code == 2 and asked == [3] and here
    assert done.err.startswith("simplify: left out: block=sas model.n_kv_heads=1: model.n_kv_heads=1: block.value is")


def test_a_word_may_be_longer_than_a_files_name(cli: Cli, here: Path) -> None:
    done = cli("sweep", *TINY, "seed=" + ",".join(map(str, range(1000, 1060))), "optimiser.rl=1", "--plan")
    assert here and done.code == 2 and "optimiser.rl: unknown key" in done.err


def test_many_runs_are_asked_about(cli: Cli, here: Path) -> None:
    done = cli("sweep", *TINY, "seed=range(0,21)")
    assert done.code == 2 and "21 runs to be trained; --yes trains that much without asking" in done.err
    assert not (here / "runs").exists()


def known(seconds: float) -> Callable[..., Estimate]:
    """That each run takes so long."""
    return lambda configs, _: Estimate((Time.around(seconds, "steps", 1.0),) * len(configs))


def test_a_plan_as_json_is_json_where_the_corpus_has_to_be_made(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPLIFY_CACHE", str(here / "a new cache"))
    monkeypatch.setattr("simplify.cli.plan_time.estimate_times", known(1.0))
    monkeypatch.setattr("simplify.display.progress.LINE_EVERY", 0.0)  # each update is a line
    done = cli("sweep", *TINY, "block=pre_ln,sas", "--json")
    assert len(json.loads(done.out)["runs"]) == 2 and "data" in done.err


def test_what_is_left_of_a_run_is_what_it_costs(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has begun goes on from its checkpoint; the plan counts the rest."""
    monkeypatch.setattr("simplify.cli.plan_time.estimate_times", known(100.0))
    words = [*TINY, "train.steps=20", "seed=0,1"]
    assert cli("train", *TINY, "train.steps=20", "seed=0").code == 0
    (run,) = (p for p in (here / "runs").iterdir() if not p.name.startswith("."))
    (run / "done.json").unlink()
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:5]))
    told = json.loads(cli("sweep", *words, "--json").out)
    assert [(r["state"], r["seconds"]) for r in told["runs"]] == [("stopped", 75.0), ("new", 100.0)]
