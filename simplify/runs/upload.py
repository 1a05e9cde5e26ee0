"""Uploads runs that were recorded offline: any number of times, each row once. The server says what it has."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.runs.history import history
from simplify.runs.mirror import Asked, There, asked, look_up, open_run
from simplify.runs.store import RunView
from simplify.runs.wandb_client import talking

# How a run that is over is closed there; 75 marks it as preempted. Any other is left open.
_EXIT_CODES = {"done": 0, "failed": 1, "lost": 1, "cancelled": 1, "stopped": 75}
_FOR_A_MODEL = 600  # seconds
_ROWS_A_SECOND = 50  # a slow line; a row has some 300 bytes


@dataclass(frozen=True)
class Uploaded:
    """What came of one run. `skipped` says why it was left alone; `lacking`: the server has not shown all rows yet."""

    rows: int = 0
    skipped: str = ""
    url: str = ""
    lacking: str = ""


def upload(
    server: Any, run: RunView, group: str | None, project: str | None, entity: str | None, disabled_too: bool
) -> Uploaded:
    """Bring the server's copy of a run up to date. Raises UploadError; what was sent until then stays."""
    why = _why_not(run, disabled_too)
    if why:
        return Uploaded(skipped=why)
    rows = history(run.folder.path)
    if run.is_active:
        rows = rows[:-1]  # the gains of the newest row may not be written yet
    if not rows:
        return Uploaded(skipped="has logged nothing yet")
    wanted = asked(run.folder, run.config, run.about, group, project, entity)
    there = look_up(server, wanted)
    last = rows[-1]["step"]
    if there.last >= last and (run.is_active or there.state == _ended_as(run)):
        return Uploaded(url=there.url)
    with talking():
        sent, url = _send(wanted, there, rows, run)
    now = look_up(server, wanted).last
    lacking = f"the server shows rows to step {now} of {last} so far" if now < last else ""
    return Uploaded(sent, url=url, lacking=lacking)


def is_uploading(run: RunView) -> bool:
    """Whether the process that trains a run uploads it itself."""
    if run.state != "running":
        return False
    try:
        return (run.folder.path / "wandb" / "latest-run").readlink().name.startswith("run-")
    except OSError:
        return run.config.get("wandb", {}).get("mode") == "online"  # about to open it


def _why_not(run: RunView, disabled_too: bool) -> str:
    if not run.about.get("config"):
        return "has not begun"
    if run.config["wandb"]["mode"] == "disabled" and not disabled_too:
        return "was trained with wandb.mode=disabled; --disabled-too uploads it"
    if is_uploading(run):
        return "is being trained and uploads itself"
    return ""


def _send(wanted: Asked, there: There, rows: list[dict[str, Any]], run: RunView) -> tuple[int, str]:
    """Returns the number of rows sent, and where they can be seen."""
    patience = 60 + len(rows) // _ROWS_A_SECOND + (_FOR_A_MODEL if wanted.wishes("model") else 0)
    with tempfile.TemporaryDirectory(prefix="simplify-sync-", ignore_cleanup_errors=True) as local:
        copy = open_run(wanted, there, "online", Path(local), patience, over=not run.is_active)
        for row in rows:
            copy.log(row)
        summary = {key: value for key, value in (run.facts.done or rows[-1]).items() if key != "ended"}
        copy.finish(summary, _EXIT_CODES.get(run.state, 0), str((run.facts.error or {}).get("message") or run.state))
        return copy.sent, copy.url


def _ended_as(run: RunView) -> str:
    return {0: "finished", 1: "failed", 75: "preempted"}[_EXIT_CODES[run.state]]
