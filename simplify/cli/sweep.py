"""`simplify sweep`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from simplify.choices import overlay_dir
from simplify.compose import axes
from simplify.config import show
from simplify.display import console, is_terminal
from simplify.errors import ConfigError, TrainingFailed
from simplify.sweep.file import PAPER, Size, SweepFile, header, read_sweep
from simplify.sweep.plan import Plan, make_plan
from simplify.sweep.points import points_of


def sweep_command(
    words: Sequence[str], conf: Path | None, plan: bool, as_json: bool, retry: bool, fail_fast: bool, yes: bool
) -> None:
    """Words without `=`: one sweep file. The others are settings and axes, which win over the file's."""
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise ConfigError(f"{files[1]}: a second sweep file; valid: one file, then settings such as seed=0,1,2")
    typed = axes([word for word in words if "=" in word], overlay_dir(conf))
    scale = str(typed.pop("scale", [PAPER])[0])
    size: Size = SweepFile.model_validate({})
    if files:
        size = read_sweep(Path(files[0])).at(scale)
    elif not typed:
        raise ConfigError("sweep: nothing to run; valid: a sweep file, or settings such as block=pre_ln,sas seed=0,1,2")
    made = make_plan(points_of(size, typed), conf)
    if as_json:
        print(json.dumps(_as_data(made), indent=2))
        return
    if files:
        for line in header(Path(files[0])):
            console().print(line, style="dim", markup=False, highlight=False)
    _show(made)
    if not plan:
        _train(made, retry, fail_fast, yes)
    elif made.wrong:
        raise ConfigError(*made.wrong)


def _show(plan: Plan) -> None:
    names = plan.axes
    table = Table(title=_summary(plan), title_justify="left")
    table.add_column("run", no_wrap=True)
    for name in names:
        table.add_column(name, overflow="fold")
    table.add_column("parameters", justify="right")
    table.add_column("state")
    for run in plan.runs:
        cells = [show(run.point[name]) if name in run.point else "-" for name in names]
        table.add_row(run.folder.path.name, *map(escape, cells), f"{run.parameters:,}", run.state)
    console().print(table)


def _summary(plan: Plan) -> str:
    counted = ", ".join(f"{number} {state}" for state, number in plan.counts().items())
    merged = f"; {plan.merged} repeated points merged" if plan.merged else ""
    wrong = f"; {len(plan.wrong)} points are no runs" if plan.wrong else ""
    return f"{len(plan.runs)} runs: {counted or 'none'}{merged}{wrong}"


def _as_data(plan: Plan) -> dict[str, Any]:
    runs = [
        {
            "id": run.folder.run_id,
            "folder": str(run.folder.path),
            "point": dict(run.point),
            "parameters": run.parameters,
            "state": run.state,
        }
        for run in plan.runs
    ]
    return {"runs": runs, "axes": plan.axes, "merged": plan.merged, "wrong": list(plan.wrong)}


_MANY = 20  # runs from which a sweep asks before it starts


def _ask(number: int) -> None:
    """Go on only after a yes; without a terminal nobody can give one."""
    if not (is_terminal() and sys.stdin.isatty()):
        raise ConfigError(f"sweep: {number} runs are to be trained; --yes trains more than {_MANY} without asking")
    if input(f"train {number} runs? [y/N] ").strip().lower() not in ("y", "yes"):
        raise ConfigError("sweep: not started; narrow it with settings such as seed=0, or answer y")


def _train(plan: Plan, retry: bool, fail_fast: bool, yes: bool) -> None:
    from simplify.dispatch.one_by_one import train_one_by_one

    wanted = ("new", "stopped", "failed") if retry else ("new", "stopped")
    todo = [(run.folder, run.config) for run in plan.runs if run.state in wanted]
    for line in plan.wrong:  # one bad point never loses the others
        print(f"left out: {line}", flush=True)
    if len(todo) > _MANY and not yes:
        _ask(len(todo))
    if not todo:
        failed = plan.counts().get("failed", 0)
        print("nothing to train" + (f"; {failed} failed: --retry trains them again" if failed else ""), flush=True)
    else:
        ended = train_one_by_one(todo, lambda text: print(text, flush=True), fail_fast)
        print(f"{ended.done} done, {ended.failed} failed, {ended.elsewhere} being trained elsewhere", flush=True)
        if ended.failed:
            raise TrainingFailed("exception", f"sweep: {ended.failed} of {len(todo)} runs failed; --retry repeats them")
    if plan.wrong:
        raise ConfigError(*plan.wrong)
