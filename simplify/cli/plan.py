"""A plan on the screen: every run, what varies, how it stands, how long it will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simplify.cli.duration import between, is_sure, known_by
from simplify.cli.plan_table import print_runs_of
from simplify.display import console, short_time
from simplify.machine import cores
from simplify.runs.precision import Answer
from simplify.sweep.estimate import Estimate
from simplify.sweep.file import paragraphs
from simplify.sweep.plan import Plan
from simplify.sweep.record import Recorded
from simplify.sweep.steps import Time


def show_plan(plan: Plan, estimate: Estimate, gone: Sequence[Recorded], question: Sequence[str], lanes: int) -> None:
    """The question, the runs, and what they cost on this machine."""
    screen = console()
    for paragraph in paragraphs(question):  # the file's own breaks are for its own width
        screen.print(paragraph, style="dim")
    print_runs_of(plan, estimate.times, summary(plan, gone))
    for line in (cost(estimate, lanes), *busy(estimate), *_dropped(gone)):
        if line:
            screen.print(line)


def summary(plan: Plan, gone: Sequence[Recorded]) -> str:
    """The plan in a line: `15 runs: +3 new, 12 done, 1 dropped`."""
    counts = [f"+{number} new" if state == "new" else f"{number} {state}" for state, number in plan.counts().items()]
    counts += [f"{len(gone)} dropped"] if gone else []
    number, many = len(plan.runs), len(plan.wrong)
    merged = f"; {plan.merged} repeated point{'s'[: plan.merged != 1]} merged" if plan.merged else ""
    wrong = f"; {'1 point is no run' if many == 1 else f'{many} points are no runs'}" if many else ""
    return f"{number} run{'s'[: number != 1]}: {', '.join(counts) or 'none'}{merged}{wrong}"


def cost(estimate: Estimate, lanes: int) -> str:
    """What is ahead, how sure that is, and where it is known from."""
    ahead = [time for time in estimate.times if time and time.seconds]
    problem = estimate.problem or ""
    if not ahead:
        return problem
    unknown, plural = None in estimate.times, "lane" if lanes == 1 else "lanes"
    parts = [(sum(bound), max(sum(bound) / lanes, max(bound))) for bound in zip(*map(_bounds, ahead), strict=True)]
    (least, soonest), (total, likely), (most, latest) = parts
    if is_sure(ahead):
        much = device_hours(total) if total >= 3600 else f"{short_time(total)} of training"
        text = f"{'at least' if unknown else 'about'} {much}, {short_time(likely)} on {lanes} {plural}"
    else:
        much, when = between(least, most, "device-hours"), f"{between(soonest, latest)} on {lanes} {plural}"
        much += "" if much.endswith("device-hours") else " of training"
        text = f"{'at least ' if unknown else ''}{f'{much}; ' if lanes > 1 else ''}{when}"
    rough = any(time.how in ("similar", "flops") for time in ahead)
    text += f" ({known_by(ahead)}{'; --measure tells more exactly' if rough else ''})"
    return text + (f"; {problem}" if problem else "")


def _bounds(time: Time) -> tuple[float, float, float]:
    return time.low, time.seconds, time.high


def busy(estimate: Estimate) -> list[str]:
    """A warning where other programs use the machine."""
    if not estimate.load:
        return []
    used = f"{estimate.load:.1f} of its {cores()} cores"
    return [f"the machine has other work now ({used}): while that lasts, training may take as long as that or longer"]


def device_hours(seconds: float) -> str:
    """A sum of training times as people quote it."""
    hours = seconds / 3600
    return f"{hours:,.0f} device-hours" if hours >= 20 else f"{hours:.1f} device-hours"


def _dropped(gone: Sequence[Recorded]) -> list[str]:
    names = ", ".join(run.folder for run in gone[:8]) + (", ..." if len(gone) > 8 else "")
    return [f"dropped since the last time: {names}"] if gone else []


def plan_as_data(
    plan: Plan,
    estimate: Estimate,
    gone: Sequence[Recorded],
    auto: Answer | None = None,
    shown: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The plan for --json."""
    runs = [
        {
            "id": run.folder.run_id if run.folder else None,
            "folder": str(run.folder.path) if run.folder else None,
            "point": dict(run.point),
            "parameters": run.parameters,
            "seconds": time and time.seconds,
            "seconds_between": [time.low, time.high] if time else None,
            "known_by": time and time.how,
            "state": run.state,
        }
        for run, time in zip(plan.runs, estimate.times, strict=True)
    ]
    told = {
        "merged": plan.merged,
        "wrong": list(plan.wrong),
        "missing": list(plan.missing),
        "corpora": list(plan.corpora),
        "auto_precision": {"precision": auto.precision, "why": auto.why} if auto else None,
    }
    told |= {"can_show": list(shown)}
    return {"runs": runs, "axes": plan.axes, **told, "dropped": [run.folder for run in gone]}
