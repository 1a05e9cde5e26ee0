"""The judge's rule, its seeds and its ledger; campaigns simulated through the real rule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from judge_tools import campaign, greedy, judged

from simplify.errors import ConfigError, RunFolderError
from simplify.judge.campaign import Campaign, fresh_seeds, looks_of
from simplify.judge.ledger import Ledger
from simplify.judge.rule import ERROR, LOOKS, level, share, standing


def test_shares_are_the_whole_error_and_no_more() -> None:
    given = math.fsum(share(number) for number in range(1, 100_000))
    rest = ERROR / 2.1097428 / math.log(100_000)  # the integral of what comes after
    assert given + rest == pytest.approx(ERROR, rel=1e-5) and given < ERROR


@pytest.mark.parametrize("number", [1, 8])
def test_looks_spend_a_candidates_share(number: int) -> None:
    """Of many that do nothing, as many are kept as the share says, or fewer; also without early drops."""
    from scipy.special import stdtrit

    draw, many = np.random.default_rng(number), 100_000
    gaps = draw.normal(size=(many, LOOKS[-1]))
    kept, gone = np.zeros(many, bool), np.zeros(many, bool)
    at = level(LOOKS, share(number))
    for look in LOOKS:
        part = gaps[:, :look]
        t = part.mean(1) / part.std(1, ddof=1) * math.sqrt(look)
        limit = float(stdtrit(look - 1, 1 - at / 2))
        kept |= ~gone & (t < -limit)
        gone |= abs(t) > limit
    found, wanted = kept.mean(), share(number)
    assert found < wanted + 4 * math.sqrt(wanted / many)
    assert found > 0.9 * wanted - 4 * math.sqrt(wanted / many)


def test_campaigns_keep_nothing_in_vain_and_what_is_good() -> None:
    """The fast core of benchmarks/judge.py: 25 campaigns of 125, and the last place at its hardest."""
    draw = np.random.default_rng(1)
    in_vain = sum(any(one.answer == "keep" for one in campaign(125, 1.0, draw)) for _ in range(25))
    assert in_vain <= 4  # of 25 at 5%: more has a chance of 1 in 140
    last = [judged(-3.0, math.sqrt(2), 125, draw).answer for _ in range(150)]
    assert last.count("keep") / 150 > 0.74 and [judged(-3.0, 1.0, 125, draw).answer for _ in range(20)] == ["keep"] * 20
    kept, gains = zip(*(greedy(125, draw) for _ in range(500)), strict=True)
    assert 4 < np.mean(kept) < 5 and 2.4 < np.mean(gains) < 2.8  # what a loop on one seed says of nothing


def test_a_kept_candidate_gives_its_share_back(tmp_path: Path) -> None:
    mine = Campaign(tmp_path)
    told = {"least": 0.0, "looks": [3], "seeds": [1, 2, 3], "code": ""}
    for answer in ("drop", "keep", "undecided"):
        one = mine.open(["a"], ["b"], ("x", "y"), told)
        found = standing([-1.0, -1.1, -0.9], (3,), 0.01)
        assert found is not None and found.answer == "keep"
        mine.look(one, found, {"answer": answer, "gaps": [], "runs": 6, "device_seconds": 1.0})
    assert [one.counts_as for one in mine.candidates()] == [1, 2, 2] and mine.kept_last() == mine.candidates()[1]
    assert mine.open(["a"], ["b"], ("x", "y"), told).counts_as == 3


@pytest.mark.parametrize(
    ("gaps", "least", "answer", "reason"),
    [
        ([-0.5, -0.51, -0.49], 0.0, "keep", "surely better"),
        ([-0.5, -0.51, -0.49], 1.0, "drop", "surely not better by 1"),
        ([0.5, 0.51, 0.49], 0.0, "drop", "surely not better"),
        ([0.5, 0.51, 0.49], -0.9, "keep", "surely no worse than by 0.9"),
        ([0.5, -0.1, 0.2], 0.0, "drop", "not better so far"),
        ([0.0] * 3, 0.0, "drop", "the same"),
        ([-0.5, math.inf, -0.5], 0.0, "drop", "diverged in 1 of 3 runs"),
        ([-0.5, -0.1, 0.1], 0.0, None, "not decided yet"),
        ([-0.5, -0.1, 0.1] * 5 + [0.0], 0.0, "undecided", "better so far, but not surely"),
        ([-0.5, -0.1], 0.0, None, ""),
    ],
)
def test_the_rule(gaps: list[float], least: float, answer: str | None, reason: str) -> None:
    found = standing(gaps, LOOKS, share(1), least)
    assert ((found.answer, found.reason) if found else (None, "")) == (answer, reason)
    if found and found.low is not None and found.high is not None:
        assert (found.answer == "keep") == (found.high < -least)


def _lines(path: Path, number: int = 3) -> Ledger:
    ledger = Ledger(path)
    for place in range(number):
        ledger.append({"event": "candidate", "number": place})
    return ledger


def _edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: _edit(path, '"number": 1', '"number": 7'),
        lambda path: _edit(path, '"number": 2', '"number": 7'),  # the last line, whose hash stands in the head
        lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1])),
        lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[1:])),
        lambda path: path.write_text(path.read_text() + '{"event": "look"}\n'),
        lambda path: path.unlink(),
        lambda path: path.with_suffix(".head").unlink(),
        lambda path: path.write_text("no JSON\n"),
    ],
)
def test_a_ledger_cannot_be_rewritten_unnoticed(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    ledger = _lines(tmp_path / "main.jsonl")
    assert [line["line"] for line in ledger.read()] == [1, 2, 3]
    harm(ledger.path)
    with pytest.raises(RunFolderError, match="was changed"):
        ledger.read()


def test_a_ledger_goes_on_where_its_writer_was_killed(tmp_path: Path) -> None:
    ledger = _lines(tmp_path / "main.jsonl")
    head = ledger.path.with_suffix(".head").read_bytes()
    with open(ledger.path, "a") as out:
        out.write('{"line": 4, "before"')  # in the middle of a line
    ledger.append({"event": "candidate", "number": 3})
    assert [line["number"] for line in ledger.read()] == [0, 1, 2, 3]
    ledger.path.with_suffix(".head").write_bytes(head)  # before its head was written
    ledger.append({"event": "candidate", "number": 4})
    assert len(ledger.read()) == 5 and json.loads(ledger.path.read_text().splitlines()[-1])["number"] == 4


def test_a_ledger_of_another_version_is_named(tmp_path: Path) -> None:
    _lines(tmp_path / ".judge" / "main.jsonl", 1)
    with pytest.raises(RunFolderError, match="this version cannot read"):
        Campaign(tmp_path).candidates()


def test_seeds_are_the_next_that_nobody_has() -> None:
    assert fresh_seeds(3, [7, 9], 7) == [8, 10, 11]


@pytest.mark.parametrize("typed", ["", "1,2", "5,3", "3,3", "3,x", "3,1001", "-3"])
def test_looks_that_are_none(typed: str) -> None:
    with pytest.raises(ConfigError, match="--looks"):
        looks_of(typed)
