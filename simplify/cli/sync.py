"""`simplify sync`: runs that were recorded offline, to W&B."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from simplify.cli.select import Selected, select
from simplify.disk import file_of
from simplify.display import answer, answer_alone, tell
from simplify.errors import AlreadyRunning, RunFolderError
from simplify.locks import Taken, acquire
from simplify.runs.store import RunView
from simplify.runs.upload import Uploaded, upload
from simplify.runs.wandb_client import connect, tear_down
from simplify.sweep.record import records


def sync_command(
    words: Sequence[str],
    run_root: Path | None,
    project: str | None,
    entity: str | None,
    disabled_too: bool,
    as_json: bool,
) -> None:
    """Upload what the server lacks of the chosen runs, a line a run."""
    with answer_alone(as_json):
        chosen = select(words, run_root)
        found = sync(chosen, project, entity, disabled_too)
    if as_json:
        told = zip(chosen.runs, found, strict=True)
        answer("sync", {"runs": [{"id": run.run_id, "name": run.name, **vars(done)} for run, done in told]})


def sync(chosen: Selected, project: str | None, entity: str | None, disabled_too: bool = False) -> list[Uploaded]:
    """The same for runs that were chosen already. Raises UploadError at the first run that cannot be uploaded."""
    found: list[Uploaded] = []
    if not chosen.runs:
        tell(f"{chosen.title}: no run to upload")
        return found
    root = chosen.store.root
    with _alone(root):
        try:
            server = connect()
            groups = _groups(root)
            width = max(len(run.name) for run in chosen.runs)
            for run in chosen.runs:
                done = upload(server, run, groups.get(run.run_id), project, entity, disabled_too)
                found.append(done)
                tell(f"{run.name:{width}}  {_told(run, done)}")
            _total(found)
        finally:
            tear_down()
    return found


def _alone(root: Path) -> AbstractContextManager[Any]:
    """Keep another sync out of the run root; where it cannot be locked the upload is worth more than that."""
    try:
        return acquire(root / ".locks" / "sync.lock")
    except Taken:
        raise AlreadyRunning(f"sync: another simplify sync works in {root}; try again when it has ended") from None
    except (OSError, RunFolderError) as error:
        why = f"{file_of(error)}: {error.strerror}" if isinstance(error, OSError) else error
        tell(f"sync: {why}; so run only one sync of {root} at a time")
        return nullcontext()


def _groups(root: Path) -> Mapping[str, str]:
    """The sweep of each run, the one dispatched last where there are several."""
    return {run.run_id: record.name for record in records(root) for run in record.runs}


def _told(run: RunView, done: Uploaded) -> str:
    if done.skipped:
        return f"skipped: {done.skipped}"
    what = f"uploaded {_counted(done.rows, 'row')}" if done.rows else "complete already"
    if run.is_active and not done.rows:
        what = "nothing new"
    return f"{what}; {done.lacking}, sync again in a while to see all" if done.lacking else what


def _total(found: Sequence[Uploaded]) -> None:
    rows, skipped = sum(done.rows for done in found), sum(bool(done.skipped) for done in found)
    urls = [done.url for done in found if done.url]
    where = f"; {urls[0] if len(urls) == 1 else urls[0].rpartition('/runs/')[0]}" if urls else ""
    tell(f"{_counted(len(found), 'run')}: {_counted(rows, 'row')} uploaded, {skipped} skipped{where}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
