"""Answers for programs: every verb that prints a table, by its schema; errors too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, TINY_DATA, TINY_MODEL

from simplify.cli.app import app
from simplify.display.answers import plain

FEW = [*TINY, "train.steps=2"]
# What prints no table: it trains, changes or shows something live.
WITHOUT = {"watch", "logs", "sample", "export", "cancel", "retry", "clean", "job", "task", "advance"}
# Each verb's own words, and the names that its answer has at least.
ASKED: dict[str, tuple[list[str], set[str]]] = {
    "train": ([*FEW, "seed=0"], {"id", "folder", "already_done", "result"}),
    "status": ([], {"runs"}),
    "why": (["RUN"], {"state", "attempts", "files", "to_type"}),
    "sweep": ([*FEW, "seed=0,1"], {"runs", "axes", "wrong"}),
    "noise": (FEW, {"spreads", "seeds_needed", "lacking"}),
    "judge": ([], {"campaign", "candidates"}),
    "report": (["--no-title"], {"rows", "title", "file"}),
    "diff": (["RUN", "RUN"], {"settings", "losses"}),
    "config": (FEW, {"config", "parameters"}),
    "blocks": (["sas", *TINY_MODEL], {"model", "blocks"}),
    "probe": (["RUN", "--out", "here"], {"readings", "file"}),
    "bench": ([*TINY, "--rounds", "2", "--only", "train"], {"file", "variants"}),
    "eval": (["RUN", "--text", "some.txt"], {"nats_per_token", "perplexity"}),
    "paper": ([], {"figures"}),
    "doctor": ([], {"cores", "lanes"}),
    "data": (["prepare", "text", *TINY_DATA[1:]], {"corpus", "folder"}),
    "finetune": ([], {"rows"}),
    "sync": (["state=failed"], {"runs"}),
}
ELSEWHERE = {"finetune", "paper", "bench"}  # slow ones, in the tests of their own


def test_every_verb_answers_with_its_schema(cli: Callable[..., Any], here: Path) -> None:
    names = [(one.name or getattr(one.callback, "__name__", "")).replace("_", "-") for one in app.registered_commands]
    assert set(names) == WITHOUT | set(ASKED)
    (here / "some.txt").write_text("a text " * 20)
    assert cli("train", *FEW, "seed=1").code == 0
    found = {}
    for verb, (words, keys) in ASKED.items():
        if verb in ELSEWHERE:
            continue
        runs = iter(sorted(path.name for path in (here / "runs").iterdir() if not path.name.startswith(".")))
        done = cli(verb, *(next(runs) if word == "RUN" else word for word in words), "--json")
        assert done.code == 0, (verb, done.err)
        found[verb] = json.loads(done.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert found[verb]["schema"] == f"simplify.{verb}/1" and keys <= set(found[verb]), (verb, sorted(found[verb]))
    assert found["train"]["result"]["step"] == 2 and len(found["status"]["runs"]) == 2
    assert found["config"]["config"]["train"]["steps"] == 2 and found["noise"]["spreads"][0]["n"] == 2
    assert found["blocks"]["blocks"][0]["equations"] and found["report"]["rows"][0]["losses"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "optimiser.lr=-1"], "optimiser.lr=-1"),
        (["config", "blok=sas"], "blok"),
        (["status", "nosuch.yaml"], "nosuch.yaml"),
        (["why", "nosuch"], "nosuch"),
        (["sweep"], "nothing to run"),
        (["noise", "block=nosuch"], "nosuch"),
        (["judge", "block=sas"], "--against"),
        (["report", "--x", "colour"], "colour"),
        (["diff", "one"], "Missing argument"),
        (["diff", "one", "two"], "one"),
        (["blocks", "nosuch"], "nosuch"),
        (["probe", "nosuch"], "nosuch"),
        (["bench", "--only", "speed"], "speed"),
        (["eval", "nosuch", "--text", "-"], "nosuch"),
        (["doctor", "cluster=nosuch"], "nosuch"),
        (["data", "prepare", "nosuch"], "nosuch"),
        (["finetune", "task=mnli"], "names no run"),
        (["sync", "nosuch.yaml"], "nosuch.yaml"),
        (["paper", "--bogus"], "--bogus"),
        (["nosuch"], "nosuch"),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_an_error_is_an_answer_too(cli: Callable[..., Any], words: list[str], said: str) -> None:
    found = cli(*words, "--json")
    told = json.loads(found.out)
    assert found.code == told["exit_code"] == 2 and told["schema"] == "simplify.error/1"
    assert said in " ".join(told["lines"]) and found.err  # people see it as ever
    without = cli(*words)
    assert without.code == 2 and "simplify.error" not in without.out


def test_numbers_that_json_does_not_have_are_null() -> None:
    assert plain({"a": [float("nan"), 1.0, (float("inf"),)], 2: "x"}) == {"a": [None, 1.0, [None]], "2": "x"}
