"""Sweep files as words that choose runs: what was not dispatched, what is no file, and which scale is shown."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_tools import falling, make_run, runs_of

from simplify.sweep.record import Record, Recorded, record_name, write_record

Cli = Callable[..., Any]
TEXT = "# Question: early?\n# Late?\n# Cost: none.\ngrid: {block: [pre_ln, sas]}\nset: {model: gpt_nano}\n"
TEXT += "scales: {nano: {set: {train.steps: 10}}}\n"


@pytest.fixture
def file(here: Path) -> Path:
    """A sweep file with a second scale."""
    (here / "early.yaml").write_text(TEXT)
    return here / "early.yaml"


def dispatched(file: Path, root: Path, scale: str, *words: str) -> None:
    """Write down that the runs of a root were asked for by a file."""
    runs = tuple(Recorded(run.run_id, run.name, {}) for run in runs_of(root))
    told = ("Question: early?", "Late?", "Cost: none.")
    name = record_name(file, scale, words)
    write_record(root, Record(name, str(file.resolve()), scale, words, told, (), "", None, "", None, runs))


@pytest.mark.parametrize("verb", ["report", "status"])
def test_a_sweep_that_was_not_dispatched(cli: Cli, file: Path, here: Path, verb: str) -> None:
    root = here / "runs"
    start = "valid: (no sweep yet), or start it: simplify sweep early.yaml"
    for words, message in (
        (["early.yaml"], f"early.yaml: was not dispatched in {root}; {start}\n"),
        (["early.yaml", "scale=nano"], f"was not dispatched at scale=nano in {root}; {start} scale=nano\n"),
        (["early.yaml", "scale=nan"], "scale=nan: did you mean nano? valid in this file: paper, nano\n"),
        (["early.yaml", "scale=nano", "run_root=there"], f"{start} scale=nano run_root=there\n"),
    ):
        done = cli(verb, *words)
        assert done.code == 2 and done.err.endswith(message) and done.err.count("\n") == 1, done.err
    make_run(root, ["block=pre_ln"], falling(4.0))
    dispatched(file, root, "paper")
    done = cli(verb, "early.yaml", "scale=nano")
    assert "at scale=nano" in done.err and "valid: scale=paper, or start it" in done.err


def test_what_is_no_file_is_not_to_be_started(cli: Cli, file: Path, here: Path) -> None:
    for word, message in (
        ("earli.yaml", "earli.yaml: no such file; did you mean early.yaml? valid: early.yaml\n"),
        ("zzz.yml", "zzz.yml: no such file; valid: early.yaml\n"),
        (str(here / "earli.yaml"), f"did you mean {shlex.quote(str(here / 'early.yaml'))}? "),
        ("nowhere/fig02.yaml", "nowhere/fig02.yaml: no such file; "),
    ):
        done = cli("report", word)
        assert done.code == 2 and message in done.err and done.err.count("\n") == 1, done.err
    assert "sweeps/" in done.err and " files)" in done.err  # ours, where the folder is not there either
    make_run(here / "runs", ["block=pre_ln"], falling(4.0))
    dispatched(file, here / "runs", "paper")
    file.unlink()
    assert cli("report", "early.yaml").code == 0  # what was dispatched is known without its file


def test_the_scale_that_is_shown_is_named(cli: Cli, file: Path, here: Path) -> None:
    make_run(here / "runs", ["block=pre_ln"], falling(4.0))
    dispatched(file, here / "runs", "nano")
    assert cli("report", "early.yaml").out.startswith("early.yaml scale=nano\n")
    assert cli("report", "early.yaml", "scale=nano").out.startswith("early.yaml scale=nano\n")
    assert cli("status", "early.yaml").out.startswith("early.yaml scale=nano: 1 done\n")
    dispatched(file, here / "runs", "paper")
    assert cli("report", "early.yaml").out.startswith("early.yaml scale=nano,paper\n")
    assert cli("report", "early.yaml", "scale=paper").out.startswith("early.yaml scale=paper\n")
    assert "<h1>early.yaml scale=paper</h1>" in (here / "report" / "index.html").read_text()


def test_what_the_runs_are_is_said_before_the_numbers(cli: Cli, file: Path, here: Path) -> None:
    """On the terminal, the page, in both tables and as data: sizes, budget, seeds, device, and what was typed."""
    for seed in (0, 1):
        for block in ("pre_ln", "sas"):
            make_run(here / "runs", [f"block={block}", f"seed={seed}"], falling(4.0))
    dispatched(file, here / "runs", "nano", "train.steps=20", "seed=0,1")
    done = cli("report", "early.yaml")
    line = "All runs: gpt_nano (2 layers, d_model 32, context 16), text, 20 steps of 128 tokens, seeds 0 1, "
    line += "bf16 on a device"
    typed = "Typed at dispatch: train.steps=20 seed=0,1"
    assert f"- {line}\n- {typed}\n" in done.out, done.out + done.err
    report = here / "report"
    page = (report / "index.html").read_text()
    assert f"<h2>Answer</h2>\n<p>{line}</p>\n<p>{typed}</p>" in page
    assert "<h2>Question</h2>\n<p>early? Late?</p>\n<p>Cost: none.</p>" in page and "4 runs of runs/, " in page
    assert (
        f"\n\n{line}\n\n{typed}\n" in (report / "table.md").read_text()
        and f"% {line}" in (report / "table.tex").read_text()
    )
    told = json.loads((report / "report.json").read_text())
    assert told["said_first"] == [line, typed] and told["title"] == "early.yaml scale=nano"
    assert [(sweep["scale"], sweep["words"]) for sweep in told["sweeps"]] == [("nano", ["train.steps=20", "seed=0,1"])]


def test_only_the_sweeps_of_the_runs_that_are_shown_are_noted(cli: Cli, file: Path, here: Path) -> None:
    root = here / "runs"
    make_run(root, ["block=pre_ln", "train.steps=30"], falling(4.0))
    dispatched(file, root, "paper", "train.steps=30")
    shutil.move(root, here / "aside")  # so that the second sweep does not know the first one's run
    make_run(root, ["block=pre_ln", "train.steps=20"], falling(4.0))
    dispatched(file, root, "paper", "train.steps=20")
    shutil.copytree(here / "aside", root, dirs_exist_ok=True)
    both = cli("report", "early.yaml").out
    assert both.count("Typed at dispatch of ") == 2
    one = cli("report", "early.yaml", "train.steps=30").out
    assert "- Typed at dispatch: train.steps=30\n" in one and "train.steps=20" not in one


def test_what_differs_is_told_from_least_to_largest(cli: Cli, here: Path) -> None:
    root = here / "else where"
    for number, layers in enumerate((2, 4)):
        words = [f"model.n_layers={layers}", f"train.steps={1000 * layers}", f"seed={number}"]
        make_run(root, [*words, "block=sas", "block.gamma=null"], falling(4.0), device=f"card {number}")
    make_run(root, ["block=sas", "model.n_layers=2", "train.steps=2000"], falling(4.0))
    done = cli("report", f"run_root={root}")
    line = "(2 to 4 layers, d_model 32, context 16), text, 2,000 to 4,000 steps of 128 tokens, seeds 0 1, bf16 on "
    assert f"{line}a device and card 0 and card 1" in done.out, done.out
    assert "gamma=null" in done.out and "None" not in done.out
    page = (here / "report" / "index.html").read_text()
    assert "3 runs of else where/, " in page and "gamma=null" in page
    hours = ["train.steps=null", "train.hours=0.5"]
    make_run(here / "runs", hours, falling(4.0))
    assert "- The run: gpt_nano (2 layers" in (out := cli("report").out) and "0.5 hours, steps of 128 tokens" in out
    make_run(here / "runs", ["train.steps=30"], falling(4.0))
    assert "text, steps of 128 tokens, seed 0, " in cli("report").out
