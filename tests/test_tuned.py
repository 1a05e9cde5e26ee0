"""Tuned sweeps: what is asked, who chooses between which values, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY
from test_sweep import known

from simplify.compose import axes, compose_points
from simplify.config import validate
from simplify.sweep.decisions import append_decision, decision_line
from simplify.sweep.file import Size
from simplify.sweep.freeze import Facts, freeze
from simplify.sweep.plan import make_plan
from simplify.sweep.points import points_of
from simplify.sweep.record import Recorded, record_name
from simplify.sweep.study import (
    StudyRecord,
    decisions_path,
    read_study,
    read_trials,
    trial_config,
    trial_point,
    write_study,
)
from simplify.sweep.tuned import Tune
from simplify.tune.decide import decide

Cli = Callable[..., Any]
FACTS = Facts("a-sweep", "now", ["simplify"], "/", "/code", "/cache", False)


def frozen(*words: str, **tune: Any) -> StudyRecord:
    """The study of typed words, with Pre-LN as its baseline."""
    plan = make_plan(points_of(Size.model_validate({}), axes([*TINY, *words], None)))
    asked = validate(Tune, {"over": {"optimiser.lr": "start"}, **tune})
    return freeze(plan, asked, [run.config.block.name == "pre_ln" for run in plan.runs], None, FACTS)[0]


def test_a_study_is_read_as_it_was_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES", "as it was")
    words = ["wandb.notes=${oc.env:NOTES}-${optimiser.lr}", "wandb.group=${seed}"]
    record = frozen("block=pre_ln,sas", "seed=0,1", *words, at={"train.steps": 10})
    write_study(here, record)
    assert read_study(here, record.name) == record
    monkeypatch.setenv("NOTES", "edited")
    trial = decide(record.study, {}).wanted[0]
    config = trial_config(record, trial)
    assert (config.wandb.notes, config.wandb.group, config.total_steps) == ("as it was-0.0005", "1000", 10)
    monkeypatch.setenv("NOTES", "as it was")
    assert compose_points([trial_point(record, trial)] * 2)[0] == config  # so it has that run's identity
    final = trial_config(record, trial._replace(part="final", seed=0))
    assert (final.total_steps, final.optimiser.lr, final.seed) == (20, 0.0005, 0)


def test_a_torn_line_takes_no_other_with_it(here: Path) -> None:
    record = frozen("block=pre_ln,sas", "seed=0,1")
    decision = decide(record.study, {})
    runs = {trial: Recorded("0" * 10, "a-folder", trial_point(record, trial)) for trial in decision.wanted}
    first, second = dict([*runs.items()][:2]), dict([*runs.items()][2:])
    append_decision(here, record.name, decision_line(record, decision, {}, first))
    with open(decisions_path(here, record.name), "ab") as file:
        file.write(b'{"time": "now", "added": [{"tri')
    assert read_trials(here, record.name) == first
    append_decision(here, record.name, decision_line(record, decision, {}, second))
    assert read_trials(here, record.name) == runs


def ladder(record: StudyRecord, arm: str = "pre_ln", at: int = 0) -> tuple[float, ...]:
    """The values of an arm's first tuned setting, those of the window in the middle."""
    return record.arm(arm).ladders[at].values


def test_windows_grow_by_their_own_factor_to_the_numbers_that_are_typed(here: Path) -> None:
    assert here
    rates = ladder(frozen("block=pre_ln", over={"optimiser.lr": {"from": 2.5e-4, "to": 1.6e-2}}))
    assert rates == (6.25e-5, 1.25e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2, 6.4e-2)
    assert ladder(frozen("block=pre_ln", over={"optimiser.lr": [3e-4, 1e-3, 2e-3]}, edge=1)) == pytest.approx(
        (9e-5, 3e-4, 1e-3, 2e-3, 4e-3), rel=1e-11
    )
    zero = frozen("block=pre_ln", over={"optimiser.weight_decay": [0, 0.1, 0.2]})
    assert ladder(zero) == (0, 0.1, 0.2, 0.4, 0.8) and zero.study.arms[0].ladders[0].window == (0, 2)
    start = frozen("block=pre_ln", "optimiser.lr=3e-3", over={"optimiser.lr": "start"})
    assert ladder(start)[6:9] == (1.5e-3, 3e-3, 6e-3) and len(ladder(start)) == 15
    third = frozen("block=pre_ln", f"optimiser.lr={1 / 3}", over={"optimiser.lr": "start"}, edge=0)
    assert ladder(third)[1] == 1 / 3  # the untuned run, and no other one beside it
    heads = ladder(frozen("block=pre_ln", over={"model.n_heads": "start"}, edge=9))  # 1/2 and 64 of 32 are none
    assert heads == (1, 2, 4, 8, 16, 32)


def test_who_has_a_choice_of_its_own(here: Path) -> None:
    assert here
    words = ["block=pre_ln,sas", "optimiser.weight_decay=0,0.1", "seed=3,4"]

    def arms(**tune: Any) -> dict[str, tuple[int, bool, bool]]:
        return {a.name: (a.cells, bool(a.ladders), a.is_baseline) for a in frozen(*words, **tune).study.arms}

    own = arms()
    assert own["sas optimiser.weight_decay=0.1"] == (1, True, False) and len(own) == 4
    assert arms(each=["block"]) == {"pre_ln": (2, True, True), "sas": (2, True, False)}
    assert arms(each=["block=pre_ln"]) == {
        "pre_ln": (2, True, True),
        "sas optimiser.weight_decay=0": (1, False, False),
        "sas optimiser.weight_decay=0.1": (1, False, False),
    }
    record = frozen(*words, each=["block"], studies=2)
    assert record.study.rules.seeds == ((1000, 1001, 1002), (1003, 1004, 1005))
    assert record.study.rules.finals == ((3, 4), (5, 6))
    alone = frozen("block=sas", "seed=0,1")
    assert [arm.name for arm in alone.study.arms] == ["sas"]


def test_a_scale_says_what_is_tuned_setting_by_setting(cli: Cli, here: Path) -> None:
    (here / "sweep.yaml").write_text(
        "grid: {block: [pre_ln, sas], seed: [0, 1]}\n"
        "tune: {over: {optimiser.lr: start}, seeds: [7, 8]}\n"
        "scales: {small: {tune: {over: {optimiser.lr: [1e-3, 2e-3]}, race: false}}}\n"
    )
    words = ["sweep", "sweep.yaml", *TINY, "--plan", "--json"]
    whole, small = json.loads(cli(*words).out), json.loads(cli(*words, "scale=small").out)
    typed = json.loads(cli(*words, "scale=small", "--tune", "weight_decay=0,0.1").out)
    assert [told["tuning"]["seeds"] for told in (whole, small, typed)] == [[[7, 8]]] * 3
    counts = [[told["tuning"]["arms"][1][bound]["tune"] for bound in ("fewest", "most")] for told in (whole, small)]
    assert counts == [[4, 30], [6, 12]]  # the better of two rates is at an edge
    assert [*typed["tuning"]["arms"][0]["over"]] == ["optimiser.lr", "optimiser.weight_decay"]
    asked = ([], ["--tune=optimiser.lr"], ["--tune=optimiser.lr=1,2"])
    assert len({record_name(None, "paper", words) for words in asked}) == 3


REFUSED = {
    "--tune optimiser.rl": "--tune optimiser.rl: is no setting; did you mean optimiser.lr? valid: a",
    "--tune block.mlp_branch.value": "--tune block.mlp_branch.value: is no setting of block=pre_ln; valid: one that",
    "--tune block.mlp_branch": "--tune block.mlp_branch: is no number in block=sas; did you mean block.mlp_br",
    "--tune block.projection": "--tune block.projection: takes no number; valid: a setting that is a number",
    "--tune seed": "--tune seed: a seed is luck, and no setting to choose",
    "--tune train.steps": "--tune train.steps: losses at different values of it are not comparable",
    "--tune train.log_every=1,2": "--tune train.log_every: changes no result in block=pre_ln; valid: a setting",
    "--tune model.n_heads=2,3": "--tune model.n_heads: model.n_heads=3: does not divide model.d_model=32",
    "--tune optimiser.lr=1e-3": "--tune optimiser.lr=[0.001]: needs at least two values, and each once; valid: {from:",
    "--tune optimiser.lr=1e-3,0.001": "--tune optimiser.lr=[0.001,0.001]: needs at least two values, and each once",
    "--tune optimiser.lr=strat": "--tune optimiser.lr=strat: is no window; valid: {from: 2.5e-4, to: 1.6e-2, fac",
    "--tune optimiser.lr={from:1,to:0.1}": "--tune optimiser.lr={from:1,to:0.1}: is empty; valid: from and to above 0",
    "--tune optimiser.lr={from:0.1,to:1,factor:1}": "factor:1}: factor has to be above 1",
    "--tune optimiser.lr --tune optimiser.lr=start": "--tune optimiser.lr=start: a second time; valid: each setting",
    "--tune optimiser.lr optimiser.lr=1e-3,2e-3": "--tune optimiser.lr: is an axis too; valid: one of them",
    "--tune optimiser.lr seed=0,1000": "tune.seeds=[1000,1001,1002]: seed 1000 is used twice, and what is chosen on a",
    "--tune optimiser.lr model.seed=3": "model.seed=3: would be the same in tuning and final runs",
    "--tune optimiser.weight_decay optimiser.weight_decay=0": "optimiser.weight_decay=start: its untuned value is 0.0",
}
REFUSED_FILES = {
    "{seeds: [0, 7]}": "tune.seeds=[0,7]: seed 0 is used twice, and what is chosen on a seed cannot be judged on it",
    "{seeds: [10, 11], studies: 6}": "tune.seeds=[10,11]: seed 10 is used twice over 6 studies",
    "{seeds: []}": "tune.seeds=[]: needs at least one seed, and each once",
    "{seeds: [7, 7]}": "tune.seeds=[7,7]: needs at least one seed, and each once",
    "{each: [block=sas]}": "tune.each: leaves out the baseline, block=pre_ln, which has to be at its best too",
    "{each: [blok]}": "tune.each=blok: did you mean block? valid here: block, ",
    "{each: [block=sass]}": "tune.each=block=sass: no run has that; valid here: block=pre_ln, block=sas",
    "{each: block}": "tune.each=block: needs a list with settings, as in [block], or [block=sas]",
    "{each: []}": "tune.each=[]: needs a list with settings",
    "{at: {block.qk_norm: true}}": "tune.at: tunes a block with other settings for final runs of block=pre_ln",
    "{at: {model.activation: gelu}}": "tune.at: tunes model.activation=gelu for final runs of block=pre_ln",
    "{at: {block: sas}}": "tune.at={block: ...}: block is compared; valid: settings that all runs share",
    "{at: {optimiser.lr: 1}}": "tune.at={optimiser.lr: ...}: optimiser.lr is tuned; valid: settings that all",
    "{at: {seed: 1}}": "tune.at={seed: ...}: seed is set by tune.seeds; valid: settings that all runs share",
    "{at: {model.d_modle: 1}}": "tune.at: model.d_modle: unknown key; did you mean model.d_model?",
    "{at: {model.seed: 3}}": "tune.at: model.seed=3: would be the same in tuning and final runs",
    "{at: {data.seed: 0}}": "tune.at: data.seed=0: would be the same in tuning and final runs",
    "{at: {run_root: else}}": "tune.at={run_root: else}: all runs of a sweep lie in one run root",
    "{each: ['']}": "tune.each=",
    "{over: {train.batch_tokens: [64, 128]}}": "tune.over.train.batch_tokens: with train.steps=",
    "{over: {model.seq_len: [16, 32]}}": "tune.over.model.seq_len: losses at different values of it are not comparable",
    "{over: {optimiser.lr: {from: 1.0e-300, to: 1.0e+300}}}": "tune.over.optimiser.lr: has too many values",
    "{over: {optimiser.lr: {from: 1.0e-4, to: 1, factor: 1.00001}}}": "tune.over.optimiser.lr: has too many values",
    "{over: {optimiser.lr: [0.3, 0.30000000000000004]}}": "tune.over.optimiser.lr=[0.3,0.30000000000000004]: needs at",
    "{over: {optimiser.lr: [1, 1%s]}}" % ("0" * 400): "tune.over.optimiser.lr=",
    "{edge: -1}": "tune.edge=-1: needs a number >= 0 or null",
    "{gap: 0}": "tune.gap=0: needs a number > 0",
    "{rase: true}": "tune.rase: unknown key; did you mean tune.race?",
    "{race: 1}": "tune.race=1: needs true or false",
    "{over: {}}": "tune.over: names no setting; valid: {optimiser.lr: start}",
    "{over: optimiser.lr}": "tune.over=optimiser.lr: needs settings with values",
    "{over: {optimiser.lr: [no, yes]}}": "tune.over.optimiser.lr.0=false: needs a number",
    "{over: {optimiser.lr: []}}": "tune.over.optimiser.lr=[]: needs at least two values, and each once",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_tuned_is_refused_in_a_line(cli: Cli, here: Path, words: str) -> None:
    done = cli("sweep", *TINY, "block=pre_ln,sas", "seed=0,1", *words.split(), "--plan")
    assert done.code == 2 and REFUSED[words] in done.err and done.err.count("\n") == 1, done.err
    assert not (here / "runs").exists()


@pytest.mark.parametrize("text", REFUSED_FILES)
def test_a_tune_that_says_nothing_is_refused_in_a_line(cli: Cli, here: Path, text: str) -> None:
    over = "" if "over" in text else "over: {optimiser.lr: start}, "
    (here / "sweep.yaml").write_text(
        f"grid: {{block: [pre_ln, sas], seed: [0, 1]}}\ntune: {{{over}{text[1:]}\nreport: {{baseline: pre_ln}}\n"
    )
    done = cli("sweep", "sweep.yaml", *TINY, "--plan")
    assert done.code == 2 and f"sweep.yaml: {REFUSED_FILES[text]}" in done.err, done.err
    assert done.err.count("\n") == 1 or "[no, yes]" in text


def test_the_shipped_comparison_says_what_it_takes_where_its_corpus_is_not_here(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simplify.cli.plan_time.estimate_times", known(60.0))
    words = ["sweep", str(ROOT / "sweeps" / "tuned_comparison.yaml"), "train.precision=fp32", "--plan"]
    told = json.loads(cli(*words, "--json").out)
    arms = {arm["arm"]: arm for arm in told["tuning"]["arms"]}
    assert [*arms] == ["pre_ln", "sas", "sas_p"] and arms["pre_ln"]["baseline"] and not arms["sas"]["baseline"]
    assert all(arm["windows"] == {"optimiser.lr": [2.5e-4, 1.6e-2]} for arm in arms.values())
    counts = [(arm["fewest"]["tune"], arm["most"]["tune"], arm["most"]["final"]) for arm in arms.values()]
    assert counts == [(9, 33, 3)] * 3 and told["tuning"]["fewest_seconds"] == 36 * 60
    done = cli(*words)
    assert done.code == 2 and "nothing is trained: data=codeparrot: is not on this machine yet" in done.err
    assert "36 to 108 runs to be trained" in done.out
