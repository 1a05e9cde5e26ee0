"""`simplify advance`, which lanes and jobs call: a tuned sweep goes on."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

from simplify.cli.dispatch import dispatch_all, say_started
from simplify.dispatch.asked import Asked
from simplify.display import tell
from simplify.errors import SimplifyError
from simplify.runs.files import writing
from simplify.runs.folder import root_path
from simplify.runs.studies import note_stuck
from simplify.sweep.advance import Runs, Standing, advance
from simplify.sweep.study import StudyRecord


def advance_command(name: str, run_root: Path | None) -> None:
    """Decide what a tuned sweep does next, and begin it. Nothing happens where its runs have not ended yet."""
    go_on(root_path(str(run_root) if run_root else None), name)


def go_on(root: Path, name: str, again: Container[str] = ()) -> tuple[Standing, int]:
    """The same, and how many runs were begun; what is in the way is kept for `status`. Raises SimplifyError."""
    begun = 0

    def begin(record: StudyRecord, runs: Runs, corpora: Mapping[str, str]) -> None:
        nonlocal begun
        begun += _begin(root, record, runs, corpora)

    try:
        with writing(root):
            found = advance(root, name, begin, again)
    except Exception as error:
        note_stuck(root, name, str(error) if isinstance(error, SimplifyError) else f"{type(error).__name__}: {error}")
        raise
    note_stuck(root, name, "")
    return found, begun


def _begin(root: Path, record: StudyRecord, runs: Runs, corpora: Mapping[str, str]) -> int:
    """Hand runs to the lanes or to Slurm, as they were asked for."""
    asked = Asked(record.command, record.name, record.fail_fast, Path(record.code), corpora, record.cwd, record.cache)
    added, started = dispatch_all(root, runs, asked)
    if added:
        tell(f"{record.name}: {added} run{'s'[: added != 1]} queued")
    if started is not None:
        say_started(started)
    return added
