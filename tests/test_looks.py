"""Looks through `simplify report`: planned ones, those that there were, and what a plan can show."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Result
from report_tools import falling, make_run, runs_of
from scipy import stats
from test_readonly import read_only

from simplify.compare.comparison import comparison
from simplify.compare.levels import level_of
from simplify.compare.looks import Looks
from simplify.compare.spread import spread_of
from simplify.compose import compose_run
from simplify.data.corpus import ready_corpus
from simplify.runs.identity import run_id
from simplify.runs.queue import Job, Queue

Cli = Callable[..., Result]
NEAR = (0.010, 0.011, 0.012, 0.011, 0.0105, 0.0112, 0.0108, 0.0111)
FAR = (0.010, -0.020, 0.030)


def add(root: Path, gaps: tuple[float, ...], first: int = 0, end: str = "done") -> None:
    """Pairs of SAS and Pre-LN with these differences, of the seeds from `first` on; the last SAS run ends so."""
    for seed, gap in enumerate(gaps, start=first):
        loss = 4.0 + 0.05 * (seed % 3)
        make_run(root, ["block=pre_ln", f"seed={seed}"], falling(loss))
        how = end if seed == first + len(gaps) - 1 else "done"
        make_run(root, ["block=sas", f"seed={seed}"], falling(loss + gap), end=how)


def look(root: Path, *looks: int, seeds: range = range(99)) -> str:
    """What a report over these runs says of SAS; and it is a look."""
    before = Looks(root)
    runs = [run for run in runs_of(root) if run.config["seed"] in seeds]
    found = comparison(runs, looks=looks, seen=before.of, as_given=False)
    before.keep(found)
    return next(row.verdict for row in found.rows if not row.is_base)


def looks_in(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / ".sweeps/looks.jsonl").read_text().splitlines()]


def test_planned_looks(tmp_path: Path) -> None:
    said: list[str] = []
    for number in (2, 4, 6, 8):
        add(tmp_path, NEAR[number - 2 : number], number - 2)
        said.append(look(tmp_path, 3, 5, 8))
    assert said == [
        "first look at 3 seeds",
        "worse at 3 seeds, next look at 5",
        "worse at 5 seeds, next look at 8",
        "worse at 8 seeds, the last look",
    ]
    assert [len(line["seen"]) for line in looks_in(tmp_path)] == [3, 5, 8]
    assert "looks at 3, 5, 8 were planned" in look(tmp_path)  # which this report knows nothing of
    assert "planned after a look at 3 seeds" in look(tmp_path, 3, 8)


def test_a_report_is_a_look(tmp_path: Path) -> None:
    add(tmp_path, FAR)
    assert look(tmp_path).endswith("fresh seeds would decide")
    assert look(tmp_path) and len(looks_in(tmp_path)) == 1  # the same seeds once more
    add(tmp_path, NEAR[:1], 3)
    assert look(tmp_path).startswith("not decided on 1 fresh seed")
    add(tmp_path, NEAR[:5], 4)
    assert look(tmp_path) == "worse on 6 fresh seeds (all 9 seeds: not decided)"
    assert look(tmp_path) == "worse on 6 fresh seeds (all 9 seeds: not decided)"
    assert "chosen from 9 seeds looked at before" in look(tmp_path, seeds=range(4, 7))
    kept = looks_in(tmp_path)[:2]  # one fresh seed could decide nothing
    assert [line["verdict"] for line in kept] == ["not decided", "worse"]
    assert [seed["init"] for seed in kept[1]["read"]] == [3, 4, 5, 6, 7, 8]
    add(tmp_path, (-9.0,), 9)  # a verdict on fresh seeds stands, whatever comes after it
    assert look(tmp_path).startswith("worse at the look at 6 seeds")


def test_no_verdict_before_the_runs_asked_for_are_in(tmp_path: Path) -> None:
    add(tmp_path, NEAR[:4], end="stopped")
    assert look(tmp_path) == "not yet: 3 of 4 seeds are in"
    assert not (tmp_path / ".sweeps").exists()  # which is no look
    assert look(tmp_path, seeds=range(3)) == "worse"


def test_runs_in_the_queue_are_asked_for(tmp_path: Path) -> None:
    add(tmp_path, NEAR[:3])
    jobs: list[Job] = []
    for block in ("pre_ln", "sas", "sas_p"):  # of which one belongs to no row
        config = compose_run([*TINY, f"block={block}", "seed=7"])
        name = f"{block}-gpt_nano-{run_id(config, 'corpus')}"
        jobs.append(Job(name[-10:], name, config.model_dump(mode="json"), [], "", "", ""))
    Queue(tmp_path).add([jobs[0], jobs[2]])
    assert look(tmp_path) == "worse"  # SAS is not asked for with seed 7
    Queue(tmp_path).add([jobs[1]])
    assert look(tmp_path) == "not yet: 3 of 4 seeds are in"


def test_a_look_that_cannot_be_kept_or_read_is_a_line(cli: Cli, here: Path) -> None:
    root = here / "runs"
    add(root, NEAR[:3])
    (root / ".sweeps").mkdir()
    (root / ".sweeps/looks.jsonl").write_text('{"torn')
    with read_only(root):
        (root / ".sweeps/looks.jsonl").chmod(0o444)
        done = cli("report", "--looks", "3,5,8")
    assert done.code == 0 and "worse at 3 seeds, next look at 5" in done.out
    problems = done.err.splitlines()
    assert len(problems) == 2 and "looks.jsonl, line 1: is no look; " in problems[0]
    assert problems[1].endswith("a report with more seeds will not know of this one")
    notes = " ".join((here / "report/table.md").read_text().split())
    assert "at a level of 1.99%, which spends 5% over all looks" in notes and "plain 95% interval" in notes
    (root / ".sweeps/looks.jsonl").chmod(0o644)
    assert look(root) == "worse"
    text = (root / ".sweeps/looks.jsonl").read_text()
    assert text.startswith('{"torn\n{') and text.count("\n") == 2  # the torn line takes none with it


@pytest.mark.parametrize("typed", ["5,3", "3,3", "1,3", "3,2.5", "", "3,5,500", "three"])
def test_looks_typed_wrong(cli: Cli, typed: str) -> None:
    done = cli("report", "--looks", typed)
    assert done.code == 2 and done.err.startswith(f"simplify: --looks={typed}: are no looks; valid: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("written", ["[5, 3]", "[3, 3]", "[1, 3]", "[3, 2.5]", "3", "[3, 500]", "{3: 5}"])
def test_looks_written_wrong(cli: Cli, here: Path, written: str) -> None:
    (here / "q.yaml").write_text(f"grid: {{block: [pre_ln, sas], seed: [0, 1]}}\nreport: {{looks: {written}}}\n")
    done = cli("sweep", "q.yaml", "--plan")
    assert done.code == 2 and done.err.startswith("simplify: q.yaml: report.looks="), done.err
    assert "are no looks; valid: " in done.err and done.err.count("\n") == 1


def test_a_plan_says_what_it_can_show(cli: Cli, here: Path) -> None:
    axes = ["sweep", *TINY, "block=pre_ln,sas", "seed=0,1,2", "--plan"]
    assert "which differences 3 seeds can show is not known" in " ".join(cli(*axes).out.split())
    add(here / "runs", NEAR[:3])
    corpus = ready_corpus(compose_run(TINY).data, False)
    assert corpus is not None
    for path in (here / "runs").glob("*/run.json"):  # as if they had trained on it
        path.write_text(path.read_text().replace('"corpus": "corpus"', f'"corpus": "{corpus.facts.fingerprint}"'))
    sd = statistics.stdev(NEAR[:3])
    three, five = (float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n) for n in (3, 5))
    told = f"3 seeds can show differences above {three:.2g} nats, 5 above {five:.2g} (spread of pairs seen so far in 6"
    assert told in " ".join(cli(*axes).out.split())
    (here / "q.yaml").write_text("grid: {block: [pre_ln, sas, sas_p], seed: [0]}\nreport: {looks: [3, 8]}\n")
    found = json.loads(cli("sweep", "q.yaml", *TINY, "train.steps=30", "--json").out)["can_show"]
    assert [(one["seeds"], one["variants"], one["same_budget"]) for one in found] == [(1, 2, False)]
    level = level_of((3, 8), 0.025)
    limit = float(stats.t.isf(level / 2, 2)) * sd / math.sqrt(3)
    assert found[0]["least"]["3"] == pytest.approx(limit) and set(found[0]["least"]) == {"3", "8"}


def test_the_spread_of_pairs_is_found_again(tmp_path: Path) -> None:
    """Six variants on eight seeds, whose losses have means of variants and of seeds beside the noise."""
    draw = np.random.default_rng(5)
    seeds = 0.1 * draw.standard_normal(8)
    for place, rate in enumerate((1, 2, 3)):  # two blocks at each of three rates: pairs are of one rate
        for block, mean in (("pre_ln", 4.0), ("sas", 4.1)):
            for seed in range(8):
                loss = mean + 0.3 * place + seeds[seed] + 0.01 * draw.standard_normal()
                words = [f"block={block}", f"seed={seed}", f"optimiser.lr={rate}e-3"]
                make_run(tmp_path, words, [(10, float(loss))])
    found = spread_of(runs_of(tmp_path))
    assert found is not None and found.runs == 48 and found.freedom == 21
    assert found.sd == pytest.approx(0.01 * math.sqrt(2), rel=3 / math.sqrt(2 * 21))
