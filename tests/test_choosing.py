"""Runs by words that people type from memory: relative paths, moved sweep files, sweeps' names, copies of a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TEXT
from report_tools import falling, make_run

from simplify.cli.report import _report_of
from simplify.cli.select import select
from simplify.sweep.file import header
from simplify.sweep.record import Record, Recorded, record_name, write_record

Cli = Callable[..., Any]


@pytest.fixture
def swept(here: Path) -> Path:
    """A sweep file of two runs that are there; a third one has not begun, a fourth run is nobody's."""
    file = here / "wp.yaml"
    file.write_text("# Question: does it matter?\ngrid: {block: [pre_ln, sas]}\nreport: {labels: {sas: SAS}}\n")
    folders = [make_run(here / "runs", [f"block={block}"], falling(4.0)) for block in ("pre_ln", "sas", "parallel")]
    runs = [Recorded(folder.name[-10:], folder.name, {}) for folder in folders[:2]]
    runs.append(Recorded("0123456789", "sas-gpt_nano-0123456789", {}))
    name, told = record_name(file, "paper", ()), tuple(header(file))
    write_record(here / "runs", Record(name, str(file), "paper", (), told, (), "now", None, "c", None, tuple(runs)))
    return file


def blocks(*words: str) -> list[str]:
    return [run.config["block"]["name"] for run in select(words, None).runs]


def test_a_moved_file_is_known_by_its_name_and_question(
    cli: Cli, swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert blocks("wp.yaml") == blocks("wp") == ["pre_ln", "sas"]  # `wp` is the sweep's name without its digits
    assert select(["wp"], None).unstarted == ["sas-gpt_nano-0123456789"]
    (swept.parent / "else").mkdir()
    moved = swept.rename(swept.parent / "else" / "wp.yaml")
    shown = cli("status", "else/wp.yaml")
    assert shown.code == 0 and "2 done, 1 new" in shown.out and "taken for the file that was dispatched" in shown.err
    assert select([str(moved)], None).sweeps[0].file == str(moved)  # whose report is the one that is shown
    moved.write_text("# Question: another one?\ngrid: {block: [sas]}\n")
    assert "was not dispatched" in cli("status", "else/wp.yaml").err
    assert _report_of(select(["wp"], None)).labels == {}
    assert "is there no more: without its baseline, figures and labels" in capsys.readouterr().err


def test_a_path_may_be_typed_as_train_takes_it(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLIFY_RUNS", str(swept.parent / "runs"))
    monkeypatch.chdir(TEXT.parent)
    for typed in (TEXT.name, f"./{TEXT.name}", f'"{TEXT.name}"', str(TEXT), f"nowhere,{TEXT.name}/"):
        assert len(blocks(f"data.path={typed}")) == 3, typed


def test_copies_are_said_by_the_verbs_of_one_run(cli: Cli, here: Path) -> None:
    folder = make_run(here / "runs", ["block=sas"], falling(4.0))
    shutil.copytree(folder, folder.with_name("copy"))
    run_id = folder.name[-10:]
    found = cli("why", run_id)
    assert found.code == 0 and "left alone as copies of it: copy" in found.err
    folder.rename(folder.with_name("my best run"))  # now nothing tells which one is the run
    for verb in ("why", "sample"):
        found = cli(verb, run_id)
        assert found.code == 2 and f"several folders are run {run_id}: copy, my best run" in found.err, found.err


def test_the_folder_of_groups_is_named_from_above_and_below(cli: Cli, here: Path) -> None:
    (here / "mine" / "block").mkdir(parents=True)
    (here / "mine" / "block" / "a.yaml").write_text("defaults: [sas]\n")
    for given in ("mine/block", "."):
        found = cli("config", "--conf", given)
        assert found.code == 2 and f"--conf={given}: holds none of block/" in found.err
        assert f"did you mean {here / 'mine'}?" in found.err
    (here / "empty").mkdir()
    assert cli("config", "--conf", "empty").code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sweep", "--block", "sas", "--plan"], "--block: settings are typed without dashes; did you mean block=sas?"),
        (["train", "--lr=3e-4"], "did you mean optimiser.lr=3e-4?"),
        (["bench", "--batch-tokens", "--twin"], "did you mean train.batch_tokens=VALUE?"),
        (["train", "seed=0..3"], "; for a run of each: simplify sweep with seed=0,1,2,3 or 'seed=range(0,4)'"),
        (["train", "model.n_layers=2-40"], "; for a run of each: simplify sweep with 'model.n_layers=range(2,41)'"),
        (["status", "seed=0..7"], "seed=0..7: of several each is typed, as in seed=0,7; found among 3 runs: 0"),
    ],
)
def test_words_of_other_programs_get_ours(cli: Cli, swept: Path, words: list[str], told: str) -> None:
    found = cli(*words)
    assert swept.is_file() and found.code == 2 and told in found.err, found.err


def test_an_option_that_is_no_setting_gets_no_hint(cli: Cli) -> None:
    found = cli("train", "--banana")
    assert found.code == 2 and "--banana" in found.err and "did you mean" not in found.err


def test_a_mixed_root_is_shown_in_the_order_of_its_settings(cli: Cli, here: Path) -> None:
    for words in (["block=sas", "optimiser.lr=1e-2"], ["block=sas", "optimiser.lr=3e-3"], ["block=pre_ln", "seed=10"]):
        make_run(here / "runs", words, falling(4.0))
    make_run(here / "runs", ["block=pre_ln", "seed=9"], falling(4.0))
    shown = [line.split()[1:4] for line in cli("status").out.splitlines() if "-gpt_nano-" in line]
    assert [row[0] for row in shown] == ["pre_ln", "pre_ln", "sas", "sas"]
    assert [row[2] for row in shown[:2]] == ["9", "10"] and [row[1] for row in shown[2:]] == ["0.003", "0.01"]
