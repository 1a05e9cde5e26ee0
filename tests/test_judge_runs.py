"""`simplify judge` for real, on a tiny model: lanes, fresh seeds, ledger, exit codes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from lanes_tools import background, kill_all, simplify, until

assert simplify  # a fixture
BASE = shlex.join([*TINY, "model.positions=learned", "optimiser.lr=1e-4"])
BETTER = shlex.join([*TINY, "model.positions=learned", "optimiser.lr=1e-2"])


@pytest.mark.usefixtures("simplify")
def test_a_planted_improvement_is_kept_and_changes_of_nothing_are_not(cli: Callable[..., Any], here: Path) -> None:
    begun = cli("judge", BETTER, "--against", BASE, "--no-wait")
    assert begun.code == 75 and "the same command goes on with candidate 1" in begun.err
    until(lambda: background(here), 60)
    kill_all(here)
    with open(here / "runs" / ".judge" / "main.jsonl", "a") as ledger:
        ledger.write('{"line": 2, "bef')  # as a judge that was killed in the middle of a line
    kept = cli("judge", BETTER, "--against", BASE, "--json")
    told = json.loads(kept.out)
    assert (kept.code, told["answer"], told["number"], told["exit_code"]) == (0, "keep", 1, 0)
    assert told["seeds"] == [10000, 10001, 10002] and told["difference"] < -0.5 < told["interval"][1] + 1
    assert told["price"]["runs"] == 6 and told["price"]["device_seconds"] > 0
    again = cli("judge", BETTER, "--against", BASE)
    assert again.code == 0 and "has these words already" in again.out and "the next baseline" in again.out

    same = cli("judge", f"{BETTER} model.n_positions=17")  # a row of the table that no position reads
    assert same.code == 3 and "drop: the same: +0 nats" in same.out and "seeds 10016 to 10018" in same.out
    little = cli("judge", f"{BETTER} model.norm_eps=1.1e-8", "--least", "0.01")
    assert little.code == 3 and "better by 0.01" in little.out
    campaign = json.loads(cli("judge", "--json").out)
    assert [(one["number"], one["answer"]) for one in campaign["candidates"]] == [(1, "keep"), (2, "drop"), (3, "drop")]
    assert "6 done" in cli("status", "judge-main-2").out

    _slips(cli, here)


def _slips(cli: Callable[..., Any], here: Path) -> None:
    """What is refused once there is a campaign."""
    other = f"{BETTER} optimiser.weight_decay=0.2"
    for words, said in (
        ([other, "--seeds", "10000-10015"], "10000 is not fresh"),
        ([other, "--seeds", "20000-20003"], "4 of the 16"),
        ([other, "--seeds", "4294967280-4294967300"], "is no seed"),
        ([other, "--looks", "5,3"], "ascending"),
        ([other, "--least", "nan"], "--least"),
        ([f"{other} seed=3"], "seed=3"),
        ([f"{BETTER} optimiser.lr=1e-2,2e-2"], "several values"),
        ([BETTER, "--against", BETTER], "same configuration"),
        ([f"{BETTER} data.vocab_size=300"], "another text"),
        ([f"{BETTER} train.precision=bf16"], "train.precision"),
        ([other, "--campaign", "new"], "--against: is missing"),
        ([other, "--campaign", "../x"], "--campaign"),
        (["block='"], "quotation"),
    ):
        found = cli("judge", *words)
        assert (found.code, len(found.err.splitlines())) == (2, 1) and said in found.err, (words, found.err)
    ledger = here / "runs" / ".judge" / "main.jsonl"
    ledger.write_text(ledger.read_text().replace('"answer": "drop"', '"answer": "keep"', 1))
    broken = cli("judge", other, "--json")
    assert broken.code == 2 and "was changed" in json.loads(broken.out)["lines"][0]
    for path in (ledger, ledger.with_suffix(".head")):
        path.unlink()
    assert "is gone" in cli("judge", other).err
