"""A plan on the screen: every run, what varies, how it stands, how long it will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simplify.cli.plan_table import print_runs_of
from simplify.display import console, short_time
from simplify.sweep.estimate import Estimate
from simplify.sweep.file import paragraphs
from simplify.sweep.plan import Plan
from simplify.sweep.record import Recorded


def show_plan(plan: Plan, estimate: Estimate, gone: Sequence[Recorded], question: Sequence[str], lanes: int) -> None:
    """The question, the runs, and what they cost on this machine."""
    screen = console()
    for paragraph in paragraphs(question):  # the file's own breaks are for its own width
        screen.print(paragraph, style="dim", markup=False, highlight=False)
    print_runs_of(plan, estimate.seconds, summary(plan, gone))
    for line in (cost(estimate, lanes), *_dropped(gone)):
        if line:
            screen.print(line, markup=False, highlight=False)


def summary(plan: Plan, gone: Sequence[Recorded]) -> str:
    """The plan in a line: `15 runs: +3 new, 12 done, 1 dropped`."""
    counts = [f"+{number} new" if state == "new" else f"{number} {state}" for state, number in plan.counts().items()]
    counts += [f"{len(gone)} dropped"] if gone else []
    number, many = len(plan.runs), len(plan.wrong)
    merged = f"; {plan.merged} repeated point{'s'[: plan.merged != 1]} merged" if plan.merged else ""
    wrong = f"; {'1 point is no run' if many == 1 else f'{many} points are no runs'}" if many else ""
    return f"{number} run{'s'[: number != 1]}: {', '.join(counts) or 'none'}{merged}{wrong}"


def cost(estimate: Estimate, lanes: int) -> str:
    """What is ahead, in device-hours, from measured steps."""
    ahead = [seconds for seconds in estimate.seconds if seconds]
    problem, unknown = estimate.problem or "", None in estimate.seconds
    if not ahead:
        return problem
    total = sum(ahead)
    plural = "lane" if lanes == 1 else "lanes"
    much = device_hours(total) if total >= 3600 else f"{short_time(total)} of training"
    least = "at least" if unknown else "about"
    text = f"{least} {much}, {short_time(max(total / lanes, max(ahead)))} on {lanes} {plural}"
    return f"{text} (by steps measured on this machine)" + (f"; {problem}" if problem else "")


def device_hours(seconds: float) -> str:
    """A sum of training times as people quote it."""
    hours = seconds / 3600
    return f"{hours:,.0f} device-hours" if hours >= 20 else f"{hours:.1f} device-hours"


def _dropped(gone: Sequence[Recorded]) -> list[str]:
    names = ", ".join(run.folder for run in gone[:8]) + (", ..." if len(gone) > 8 else "")
    return [f"dropped since the last time: {names}"] if gone else []


def plan_as_data(plan: Plan, estimate: Estimate, gone: Sequence[Recorded]) -> dict[str, Any]:
    """The plan for --json."""
    runs = [
        {
            "id": run.folder.run_id if run.folder else None,
            "folder": str(run.folder.path) if run.folder else None,
            "point": dict(run.point),
            "parameters": run.parameters,
            "seconds": seconds,
            "state": run.state,
        }
        for run, seconds in zip(plan.runs, estimate.seconds, strict=True)
    ]
    told = {"merged": plan.merged, "wrong": list(plan.wrong), "missing": list(plan.missing)}
    return {"runs": runs, "axes": plan.axes, **told, "dropped": [run.folder for run in gone]}
