"""What the heartbeats of a running run say: of its first process, and where several train it, of the others."""

from __future__ import annotations

import re
import time
from pathlib import Path

from simplify.runs.facts import Facts
from simplify.runs.process import SILENT_AFTER, silent_for, still_since
from simplify.runs.slurm_board import SUSPENDED, SlurmBoard

_QUIET = 30.0  # seconds without a heartbeat after which Slurm is asked whether it has suspended the run
_SHOWN = 4
_RANK = re.compile(r"heartbeat-(\d+)")


def rank_heartbeat(folder: Path, rank: int) -> Path:
    """The file that process `rank` of several touches while it trains; process 0 has the run's own."""
    return folder / f"heartbeat-{rank}"


def forget_ranks(folder: Path) -> None:
    """Take away what processes of an earlier attempt have left: they may have been more."""
    for path in folder.glob("heartbeat-*"):
        path.unlink(missing_ok=True)


def silence_note(run_id: str, folder: Path, facts: Facts, slurm: SlurmBoard) -> str:
    """Why a run that is trained stands still, as far as that is known.

    Slurm may have suspended it; its process says so itself, where threads or processes wait for each other or for a
    device; or it is one of the processes other than 0, whose own heartbeat has stopped.
    """
    if (silent_for(folder / "heartbeat") or 0.0) > _QUIET and slurm.suspended(run_id):
        return SUSPENDED
    if (still := still_since(folder / "heartbeat")) is not None:
        return f"lives, but has stood still since {_clock(time.time() - still)}"
    ranks = sorted(int(match[1]) for name in facts.names if (match := _RANK.fullmatch(name)))
    times = ((rank, silent_for(rank_heartbeat(folder, rank))) for rank in ranks)
    silent = [(rank, seconds) for rank, seconds in times if seconds is not None and seconds > SILENT_AFTER]
    said = [f"process {rank} silent since {_clock(seconds)}" for rank, seconds in silent[:_SHOWN]]
    return "; ".join(said) + (f" and {len(silent) - _SHOWN} more" if len(silent) > _SHOWN else "")


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M", time.localtime(time.time() - seconds))
