"""`simplify judge`: a change and its baseline on fresh seeds, until the answer is keep, drop or undecided."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.cli.awaited import diverged, train_awaited
from simplify.cli.judge_show import as_data, say_answer, show_campaign
from simplify.cli.judge_sides import Pair, Sides, sides_of, words_of
from simplify.compare.pairs import precision_of
from simplify.dispatch.asked import Asked
from simplify.display import answer, answer_alone, tell
from simplify.errors import ConfigError, UserError
from simplify.judge.campaign import Campaign, Candidate, fresh_seeds, lock_path, looks_of, seeds_of_ledgers
from simplify.judge.rule import standing
from simplify.locks import held
from simplify.runs.code import code_hash, git_state
from simplify.runs.files import writing
from simplify.runs.folder import now, root_path, run_root
from simplify.runs.store import RunStore, RunView
from simplify.sweep.record import PAPER, Record, Recorded, records, write_record

EXIT = {"keep": 0, "drop": 3, "undecided": 4}
FIRST_SEED = 10_000  # people type small ones, in run roots that are not here too


@dataclass(frozen=True)
class Wishes:
    """What was typed beside the two configurations."""

    campaign: str
    seeds: str | None
    looks: str | None
    least: float
    again: bool
    wait: bool | None
    conf: Path | None
    run_root: Path | None
    as_json: bool
    command: list[str]


def judge_command(candidate: str | None, baseline: str | None, wishes: Wishes) -> int:
    """Judge a candidate; returns the exit code of the answer. Without one: show the campaign."""
    if candidate is None:
        show_campaign(
            Campaign(root_path(str(wishes.run_root) if wishes.run_root else None), wishes.campaign), wishes.as_json
        )
        return 0
    if not math.isfinite(wishes.least):
        raise ConfigError(f"--least {wishes.least}: valid: nats, as in --least 0.01")
    with answer_alone(wishes.as_json):
        sides, campaign = _asked(candidate, baseline, wishes)
        mine = _answered(sides, campaign, wishes)  # also where nothing may be written
        if mine is None:
            run_root(sides.pairs([0])[0].mine.config)  # writable, or said in a line
            mine = _opened(sides, campaign, wishes)
        while mine.next_look is not None:
            mine = _look(sides, campaign, mine, wishes)
    if wishes.as_json:
        answer("judge", {**as_data(campaign, mine), "exit_code": EXIT[str(mine.answer)]})
    else:
        say_answer(campaign, mine)
    return EXIT[str(mine.answer)]


def _asked(candidate: str, baseline: str | None, wishes: Wishes) -> tuple[Sides, Campaign]:
    """Both sides, and the campaign in whose run root they are."""
    words = words_of(candidate, "CANDIDATE")
    if baseline is not None:
        sides = sides_of(words, words_of(baseline, "--against"), wishes.conf, wishes.run_root)
        return sides, Campaign(sides.root, wishes.campaign)
    typed = next((word.partition("=")[2] for word in words if word.startswith("run_root=")), None)
    root = root_path(str(wishes.run_root) if wishes.run_root else typed)
    campaign = Campaign(root, wishes.campaign)
    same = next((one for one in reversed(campaign.candidates()) if one.words == words), None)
    kept = campaign.kept_last()
    if same is not None and (same.answer is None or (kept is not None and kept.number == same.number)):
        return sides_of(words, same.baseline, wishes.conf, root), campaign
    if kept is None:
        raise ConfigError(
            f'--against: is missing, and campaign {campaign.name} has kept nothing yet; valid: "block=sas"'
        )
    return sides_of(words, kept.words, wishes.conf, root), campaign


def _locked(root: Path) -> AbstractContextManager[None]:
    return held(lock_path(root), "the ledger of this run root's campaigns")


def _of_these_words(sides: Sides, campaign: Campaign, wishes: Wishes) -> Candidate | None:
    """The newest candidate that is the same question."""
    there = [one for one in campaign.candidates() if (one.keys, one.least) == (sides.keys, wishes.least)]
    return there[-1] if there else None


def _answered(sides: Sides, campaign: Campaign, wishes: Wishes) -> Candidate | None:
    """The candidate, if it has its answer and that is what is asked for."""
    mine = _of_these_words(sides, campaign, wishes)
    if mine is None or mine.answer is None or wishes.again:
        return None
    _say_it_goes_on(mine, looks_of(wishes.looks) if wishes.looks else None, wishes)
    return mine


def _opened(sides: Sides, campaign: Campaign, wishes: Wishes) -> Candidate:
    """The candidate as the ledger has it, or a new one with fresh seeds."""
    looks = looks_of(wishes.looks)
    with writing(sides.root), _locked(sides.root):
        there = _of_these_words(sides, campaign, wishes)
        if there is not None and not (wishes.again and there.answer is not None):
            _say_it_goes_on(there, looks if wishes.looks else None, wishes)
            return there
        seeds = _seeds(sides.root, looks[-1], wishes.seeds)
        told = {"least": wishes.least, "looks": list(looks), "seeds": seeds, "code": code_hash()}
        mine = campaign.open(*sides.words, sides.keys, told)
    tell(
        f"campaign {campaign.name}, candidate {mine.number}: kept in vain with a chance of {mine.share:.2g} at most; "
        f"looks at {', '.join(map(str, mine.looks))} pairs, seeds from {mine.seeds[0]} on"
    )
    return mine


def _say_it_goes_on(mine: Candidate, looks: tuple[int, ...] | None, wishes: Wishes) -> None:
    """What is there already is not planned anew. Raises ConfigError where that is asked for."""
    told = f"candidate {mine.number} has these words already"
    if looks is not None and looks != mine.looks:
        raise ConfigError(
            f"--looks {wishes.looks}: {told}, with looks at {','.join(map(str, mine.looks))}; valid: those"
        )
    if wishes.seeds is not None:
        raise ConfigError(
            f"--seeds {wishes.seeds}: {told}, with seeds of its own; valid: none, or --again once answered"
        )
    if mine.answer is not None:
        tell(f"{told}, and this is its answer; --again judges them anew, as the campaign's next candidate")
    elif mine.code != code_hash():
        tell(f"{told}, from before the code was changed: its later pairs are trained by another program")


def _seeds(root: Path, number: int, typed: str | None) -> list[int]:
    """Seeds that nothing was chosen by. Raises ConfigError where typed ones are none."""
    taken = _taken(root)
    if typed is None:
        return fresh_seeds(number, taken, FIRST_SEED)
    found = _typed_seeds(typed)
    if len(found) < number:
        raise ConfigError(
            f"--seeds {typed}: {len(found)} of the {number} that the last look has; valid: as many, or none"
        )
    if seen := [seed for seed in found if seed in taken]:
        raise ConfigError(
            f"--seeds {typed}: {seen[0]} is not fresh: a run or a candidate of this run root has it, so something may "
            f"have been chosen by it; valid: none (fresh ones are taken), or from {max(taken) + 1} on"
        )
    return found[:number]


def _typed_seeds(typed: str) -> list[int]:
    """`7,8,9` or `20000-20015`."""
    found: list[int] = []
    for word in typed.split(","):
        low, _, high = word.partition("-")
        if not (low.isascii() and low.isdigit() and (not high or (high.isascii() and high.isdigit()))):
            raise ConfigError(f"--seeds {typed}: valid: numbers and ranges with commas, as in 20000-20015")
        if int(high or low) >= 2**32:
            raise ConfigError(f"--seeds {typed}: {high or low} is no seed; valid: below {2**32}")
        found += range(int(low), min(int(high or low), int(low) + 10_000) + 1)
    return list(dict.fromkeys(found))


def _taken(root: Path) -> set[int]:
    """Every seed that a run of the run root has or was asked to have, and those of all ledgers."""
    found = seeds_of_ledgers(root)
    for run in RunStore(root).runs():
        seeds = (run.about.get("identity") or {}).get("seeds") or {"seed": run.config.get("seed")}
        found |= {seed for seed in seeds.values() if isinstance(seed, int)}
    asked = (run.point.get("seed") for record in records(root) for run in record.runs)
    return found | {seed for seed in asked if isinstance(seed, int)}


def _look(sides: Sides, campaign: Campaign, mine: Candidate, wishes: Wishes) -> Candidate:
    """Train the pairs of the next look and note what they come to; the candidate as it then is."""
    look = mine.next_look or 0
    pairs = sides.pairs(mine.seeds[:look])
    runs = [run for pair in pairs for run in pair.runs]
    name = campaign.record_name(mine.number)
    _record(sides.root, name, pairs, sides.words, wishes.command)
    corpora = {run.folder.run_id: run.corpus for p in pairs for run in (p.mine, p.base) if run.folder and run.corpus}
    again = f"the same command goes on with candidate {mine.number}"
    tell(f"candidate {mine.number}: {look} pairs, {len(runs)} runs (simplify status {name})")
    views = train_awaited(sides.root, runs, Asked(wishes.command, name, corpora=corpora), again, wishes.wait)
    by_id = {view.run_id: view for view in views}
    both = [(by_id[a.run_id], by_id[b.run_id]) for (a, _), (b, _) in (pair.runs for pair in pairs)]
    gaps = [_gap(seed, *pair) for seed, pair in zip(mine.seeds, both, strict=False)]
    found = standing(gaps, mine.looks, mine.share, mine.least)
    assert found is not None
    lost = any(diverged(base) for _, base in both)
    told = {"gaps": [gap if math.isfinite(gap) else None for gap in gaps], "runs": len(views), **_price(views, runs)}
    if lost:
        told |= {"answer": "undecided", "reason": "the baseline diverged"}
    with writing(sides.root), _locked(sides.root):
        campaign.look(mine, found, told)
        return next(one for one in campaign.candidates() if one.number == mine.number)


def _record(
    root: Path, name: str, pairs: Sequence[Pair], words: tuple[tuple[str, ...], tuple[str, ...]], command: list[str]
) -> None:
    """The runs under a name, for status, report and retry."""
    both = [run for pair in pairs for run in (pair.mine, pair.base)]
    runs = tuple(Recorded(run.folder.run_id, run.folder.path.name, dict(run.point)) for run in both if run.folder)
    question = (f"{shlex.join(words[0])} against {shlex.join(words[1])}",)
    facts = (now(), git_state(), code_hash(), None)
    with writing(root):
        write_record(root, Record(name, None, PAPER, words[0], question, tuple(command), *facts, runs))


def _gap(seed: int, mine: RunView, base: RunView) -> float:
    """The candidate's loss minus the baseline's; infinite where the candidate diverged. Raises UserError."""
    precisions = [precision_of(run) for run in (mine, base)]
    if precisions[0] != precisions[1] and not diverged(mine):
        raise UserError(
            f"seed {seed}: {mine.name} was trained in {precisions[0]}, {base.name} in {precisions[1]}, so they are no "
            "pair; say train.precision=fp32, or bf16, in both"
        )
    losses = [None if diverged(run) else run.last.get("val/loss") for run in (mine, base)]
    if losses[0] is None or losses[1] is None:
        return math.inf
    return float(losses[0]) - float(losses[1])


def _price(views: Sequence[RunView], runs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    tasks = {folder.run_id: config.cluster.tasks for folder, config in runs}
    seconds = math.fsum((run.last.get("seconds") or 0.0) * tasks[run.run_id] for run in views)
    return {"device_seconds": round(seconds, 3)}
