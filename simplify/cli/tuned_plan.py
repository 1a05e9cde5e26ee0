"""The plan of a tuned sweep: its phases, what each block tries, the fewest and the most runs, what is chosen so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simplify.cli.duration import between, is_sure, known_by
from simplify.cli.fit import Columns, first_that_fits, framed, listed, say_gone, with_short_heads, without
from simplify.cli.plan import busy
from simplify.cli.plan_time import estimate, lanes_of
from simplify.display import console, tell
from simplify.runs.precision import Answer
from simplify.runs.words import as_word
from simplify.sweep.estimate import Estimate
from simplify.sweep.file import paragraphs
from simplify.sweep.outlook import Outlook, Replay, Where, as_planned, outlook, representatives
from simplify.sweep.plan import Plan
from simplify.sweep.record import Recorded
from simplify.sweep.steps import Time
from simplify.tune.decide import Choice
from simplify.tune.study import Arm, Ladder

_PHASES = {"tuning": "tuning", "final": "final runs", "done": "all is done"}


@dataclass(frozen=True)
class Ahead:
    """A tuned sweep as far as it is, and what is still to come."""

    replay: Replay
    outlook: Outlook
    times: Mapping[Where, Time | None]  # of a run
    estimate: Estimate  # whose problem and load are told
    lanes: int

    def spent(self, which: Mapping[Where, int]) -> Time | None:
        """The time of so many runs, one after the other; None where that of any is unknown."""
        known = [time.times(which[where]) for where in which if (time := self.times[where])]
        if len(known) < len(which):
            return None
        if not known:
            return Time.around(0.0, "budget", 1.0)
        low, high = sum(time.low for time in known), sum(time.high for time in known)
        return Time(sum(time.seconds for time in known), low, high, known[0].how)


def ahead_of(replay: Replay, plan: Plan, measure: bool, auto: Answer | None) -> Ahead:
    """What is still to come, with its cost on this machine; `auto`: as `auto_precision` says."""
    found = outlook(replay.record.study, replay.results)
    kinds = representatives(replay.record, [*found.most])
    runs = tuple(map(as_planned, kinds.values()))
    kind = Plan(plan.root, runs, (), (), 0)
    times = estimate(kind, measure, auto)
    return Ahead(replay, found, dict(zip(kinds, times.times, strict=True)), times, lanes_of(kind))


def show_tuned_plan(ahead: Ahead, question: Sequence[str], gone: Sequence[Recorded]) -> None:
    """The question, who tries what, and what it costs."""
    screen = console()
    for paragraph in paragraphs(question):
        screen.print(paragraph, style="dim")
    _print_arms(ahead)
    for line in (*phases(ahead), cost(ahead), *busy(ahead.estimate)):
        if line:
            screen.print(line)
    if gone:
        names = ", ".join(run.folder for run in gone[:8]) + (", ..." if len(gone) > 8 else "")
        screen.print(f"dropped since the last time: {names}")


def _print_arms(ahead: Ahead) -> None:
    whole, screen = _columns(ahead), console()
    few, most = ahead.outlook.total()
    title = f"{_many(few, most)} to be trained: {_PHASES[ahead.replay.decision.phase]}"
    right = ("tuning runs", "final runs")
    short = with_short_heads(whole)
    tries = ((whole, []), (short, []), (without(short, "tuning runs", "final runs"), ["tuning runs", "final runs"]))
    found = first_that_fits(tries, screen.width)
    if found is not None:
        screen.print(framed(found[0], title, right=right))
        say_gone(found[1])
        return
    rows = zip(*short.values(), strict=True)
    cells = [dict(zip(short, row, strict=True)) for row in rows]
    lines = listed([(row.pop("block"), [f"{key}: {cell}" for key, cell in row.items()]) for row in cells], screen.width)
    tell("\n".join([title, *lines]))


def _columns(ahead: Ahead) -> Columns:
    arms, study = ahead.replay.record.study.arms, ahead.replay.record.study
    keys = dict.fromkeys(ladder.key for arm in arms for ladder in arm.ladders)
    columns: Columns = {"block": [arm.name + " (baseline)" * arm.is_baseline for arm in arms]}
    for key in keys:
        columns[key] = [
            next((_window(ladder) for ladder in arm.ladders if ladder.key == key), "untuned") for arm in arms
        ]
    columns["tuning runs"] = [_runs(ahead, arm, "tune") for arm in arms]
    columns["final runs"] = [_runs(ahead, arm, "final") for arm in arms]
    several = len(study.rules.seeds) > 1
    columns["chosen"] = [
        ", ".join(
            chosen_words(ahead.replay.decision.choices.get((number, arm.name)), f"{number + 1}: " if several else "")
            for number in range(len(study.rules.seeds))
        )
        for arm in arms
    ]
    return columns


def _window(ladder: Ladder) -> str:
    """`7 from 0.00025 to 0.016 (up to 11)`."""
    low, high = ladder.window
    first, last, inside = ladder.values[low], ladder.values[high], high - low + 1
    grows = f" (up to {len(ladder.values)})" if len(ladder.values) > inside else ""
    return f"{inside} from {as_word(first)} to {as_word(last)}{grows}"


def _runs(ahead: Ahead, arm: Arm, part: str) -> str:
    """`7 to 33, 2 done`: what is still to be trained."""
    parts = (part, "shared") if part == "final" else (part,)
    few, most = (
        sum(number for where, number in which.items() if where[0] in parts and where[1] == arm.name)
        for which in (ahead.outlook.fewest, ahead.outlook.most)
    )
    done = sum(trial.part in parts and trial.arm == arm.name for trial in ahead.replay.results)
    left = str(few) if few == most else f"{few} to {most}"
    return f"{left}, {done} done" if done else left


def chosen_words(choice: Choice | None, study: str = "") -> str:
    """What a block has chosen so far, and whether that lies at an edge."""
    if choice is None:
        return "-"
    if not choice.settled:
        return f"{study}not yet"
    if choice.chosen is None:
        return f"{study}none: all diverged"
    values = zip(choice.arm.ladders, choice.chosen, strict=True)
    edge = " (at the edge)" if any(line.edges for line in choice.lines) else ""
    return study + " ".join(as_word(ladder.values[index]) for ladder, index in values) + edge


def phases(ahead: Ahead) -> list[str]:
    """What happens in which order, on which seeds."""
    rules = ahead.replay.record.study.rules
    each = [
        f"{_seeds(own)}, then judged on {_seeds(finals)}" for own, finals in zip(rules.seeds, rules.finals, strict=True)
    ]
    how = (
        f"a value is dropped where it is {rules.gap:g} nats behind on the first seed, or surely worse on more"
        if rules.race
        else "each value gets every seed"
    )
    return [f"each block chooses for itself on seeds {'; then all again on '.join(each)}; {how}"]


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and [*seeds] == [*range(seeds[0], seeds[-1] + 1)]:
        return f"{seeds[0]}-{seeds[-1]}"
    return ",".join(map(str, seeds))


def cost(ahead: Ahead) -> str:
    """The cost of the fewest and of the most runs."""
    problem = ahead.estimate.problem or ""
    least, most = ahead.spent(ahead.outlook.fewest), ahead.spent(ahead.outlook.most)
    if least is None or most is None or not most.seconds:
        return problem
    times = [time for time in ahead.times.values() if time]
    low, high = (least.seconds, most.seconds) if is_sure(times) else (least.low, most.high)
    text = between(low, high, "device-hours")
    text += "" if text.endswith("device-hours") else " of training"
    wall = f"; {between(low / ahead.lanes, high / ahead.lanes)} on {ahead.lanes} lanes" if ahead.lanes > 1 else ""
    return f"{text}{wall} ({known_by(times)})" + (f"; {problem}" if problem else "")


def _many(few: int, most: int) -> str:
    return f"{few} run{'s'[: few != 1]}" if few == most else f"{few} to {most} runs"
