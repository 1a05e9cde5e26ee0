"""`simplify diff`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from simplify.compare.difference import ABSENT, APART, Code, Difference, Final, Item, Losses, Point, difference
from simplify.config import show
from simplify.display import answer, console
from simplify.errors import RunFolderError
from simplify.runs.folder import RunFolder, root_path
from simplify.runs.lookup import find_run


def diff_command(first: str, second: str, run_root: Path | None, as_json: bool) -> None:
    """Print what sets two runs apart. Raises RunFolderError where a word names no run, or both name one."""
    root = root_path(str(run_root) if run_root else None)
    runs = find_run(first, root), find_run(second, root)
    if runs[0].path.resolve() == runs[1].path.resolve():
        raise RunFolderError(f"{second}: names the same run as {first}: {runs[0].path}; valid: another run")
    found = difference(*runs)
    if as_json:
        answer("diff", _as_data(runs, found))
    else:
        _print(runs, found)


def _print(runs: tuple[RunFolder, RunFolder], found: Difference) -> None:
    out = console()
    for name, run, missing in zip("AB", runs, found.missing, strict=True):
        _say(out, f"{name}  {run.path}")
        for sentence in missing:
            _say(out, f"   {sentence}", "yellow")
    if found.settings:
        out.print(_table("settings", found.settings))
    elif found.same_settings:
        _say(out, "settings: same run settings")
    if found.beside:
        out.print(_table("outside the run's identity", found.beside, "dim"))
    if found.environment is not None:  # else a run.json is missing, which was said above
        _print_code(out, found.code)
        if found.environment:
            out.print(_table("environment", found.environment))
        else:
            _say(out, "environment: the same")
    if found.attempts[0] != found.attempts[1]:
        for name, starts in zip("AB", found.attempts, strict=True):
            _say(out, f"attempts of {name}: {_attempts(starts)}")
    _print_losses(out, found.losses)


def _print_code(out: Console, code: Code) -> None:
    if code.same:
        _say(out, f"code: same code ({code.hashes[0]})")
    elif code.same is False:
        _say(out, f"code: differs: A ran {code.hashes[0]}, B ran {code.hashes[1]}")
    else:
        _say(out, "code: not known whether it is the same: a run.json has no hash of it")
    if code.items:
        out.print(_table("git", code.items))
    for patch in (item for item in code.items if item.key == "patch"):
        for name, value, path in zip("AB", (patch.first, patch.second), code.patches, strict=True):
            if path is not None:
                _say(out, f"what {name} had beyond its commit: git apply {shlex.quote(str(path))}")
            elif isinstance(value, str):
                _say(out, f"what {name} had beyond its commit was not kept")


def _print_losses(out: Console, losses: Losses) -> None:
    if not losses.shared:
        _say(out, "training loss: no step was logged in both")
    elif losses.differ is None:
        _say(out, f"training loss: the same in all {losses.shared:,} steps that both logged")
    elif losses.apart is None:
        _say(out, f"training loss: never more than {APART:.0%} apart in {losses.shared:,} steps that both logged")
    table = Table("loss, nats a token")
    for name in ("step", "A", "B", "B - A"):
        table.add_column(name, justify="right")
    names = ("training, first difference", f"training, first more than {APART:.0%} apart")
    for name, point in zip(names, (losses.differ, losses.apart), strict=True):
        if point is not None:
            table.add_row(name, f"{point.step:,}", *_numbers(point.first, point.second))
    first, second = losses.final
    if first or second:
        steps = [f"{final.step:,}" + ("" if final.done else " (not done)") if final else "-" for final in losses.final]
        numbers = _numbers(first and first.value, second and second.value)
        table.add_row("validation, final", " / ".join(dict.fromkeys(steps)), *numbers)
    if table.row_count:
        out.print(table)


def _table(title: str, items: Sequence[Item], style: str = "") -> Table:
    table = Table(style=style)
    for name in (title, "A", "B"):
        table.add_column(name, overflow="fold", style=style)
    for item in items:
        table.add_row(item.key, _shown(item.first), _shown(item.second))
    return table


def _shown(value: Any) -> str:
    return "-" if value is ABSENT else show(value)


def _numbers(first: float | None, second: float | None) -> list[str]:
    """Two losses with as many digits as tell them apart, and their difference."""
    if first is None or second is None:
        return ["-" if value is None else f"{value:.4f}" for value in (first, second)] + ["-"]
    alike = first != second and f"{first:.4f}" == f"{second:.4f}"
    texts = [repr(value) if alike else f"{value:.4f}" for value in (first, second)]
    return [*texts, "0" if first == second else f"{second - first:+{'.2g' if alike else '.4f'}}"]


def _attempts(starts: Sequence[int]) -> str:
    if not starts:
        return "none known"
    return f"{len(starts)}, from step{'s' if len(starts) > 1 else ''} {', '.join(f'{step:,}' for step in starts)}"


def _say(out: Console, text: str, style: str | None = None) -> None:
    out.print(text, style=style)


def _as_data(runs: tuple[RunFolder, RunFolder], found: Difference) -> dict[str, Any]:
    """Everything as plain JSON; a value that a run does not have is left out."""
    code, losses = found.code, found.losses
    return {
        **_pair([{"id": run.run_id, "name": run.path.name, "folder": str(run.path)} for run in runs]),
        "same_settings": found.same_settings,
        "settings": [_item(item) for item in found.settings],
        "beside": [_item(item) for item in found.beside],
        "code": {
            "same": code.same,
            "hashes": _pair(code.hashes),
            "differs": [_item(item) for item in code.items],
            "patches": _pair([path and str(path) for path in code.patches]),
        },
        "environment": None if found.environment is None else [_item(item) for item in found.environment],
        "attempts": _pair([list(starts) for starts in found.attempts]),
        "losses": {
            "shared_steps": losses.shared,
            "first_difference": _optional(losses.differ),
            "first_apart": _optional(losses.apart),
            "apart_by": APART,
            "final": _pair([_optional(final) for final in losses.final]),
            "final_difference": _gap(*losses.final),
        },
        "missing": _pair([list(sentences) for sentences in found.missing]),
    }


def _pair(values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(("first", "second"), values, strict=True))


def _item(item: Item) -> Mapping[str, Any]:
    values = {"first": item.first, "second": item.second}
    return {"key": item.key, **{name: value for name, value in values.items() if value is not ABSENT}}


def _optional(value: Point | Final | None) -> dict[str, Any] | None:
    return None if value is None else asdict(value)


def _gap(first: Final | None, second: Final | None) -> float | None:
    return None if first is None or second is None else second.value - first.value
