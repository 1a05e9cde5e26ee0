"""`simplify cancel` and `simplify retry`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from simplify.cli.select import Selected, is_setting, select
from simplify.cli.table import counted
from simplify.compose import with_settings
from simplify.config import RunConfig
from simplify.dispatch.asked import Asked
from simplify.dispatch.cancel import Cancelled, cancel
from simplify.dispatch.launch import Started
from simplify.dispatch.local import dispatch, wake_lanes
from simplify.display import tell
from simplify.errors import ConfigError, TryAgain, UserError
from simplify.runs.files import writing
from simplify.runs.folder import RunFolder, root_path
from simplify.runs.identity import run_id
from simplify.runs.queue import Queue
from simplify.runs.store import RunView
from simplify.sweep.record import command_of, records

Runs = Sequence[tuple[RunFolder, RunConfig]]
_AGAIN = ("failed", "lost")
_UNKNOWN = "{}: no configuration can be read there; repeat the command that asked for it"
_AGAIN_BY_NAME = (*_AGAIN, "stopped", "cancelled")


def cancel_command(words: Sequence[str], run_root: Path | None) -> None:
    """Take runs out of the queue, and ask those being trained to save and stop."""
    if not words:
        raise ConfigError("cancel: which runs? valid: a sweep file, names or ids of runs, settings such as block=sas")
    chosen = select(words, run_root)
    active = [run for run in chosen.runs if run.state in ("queued", "running", "unknown")]
    if not active:
        tell("nothing to cancel: none of them waits or is being trained")
        return
    with writing(chosen.store.root):
        say_cancelled(cancel(Queue(chosen.store.root), {run.run_id for run in active}))


def say_cancelled(found: Cancelled) -> None:
    """What a cancellation came to. Raises TryAgain where some could not be told."""
    if found.dequeued:
        tell(f"{len(found.dequeued)} taken out of the queue")
    if found.asked_to_stop:
        names = ", ".join(found.asked_to_stop)
        tell(f"{len(found.asked_to_stop)} asked to stop, to save after the step at hand, and then cancelled: {names}")
    if found.out_of_reach:
        raise TryAgain("\n".join(f"{name}: {reason}" for name, reason in found.out_of_reach.items()))


def retry_command(words: Sequence[str], run_root: Path | None, changes: Sequence[str], command: list[str]) -> None:
    """Train failed and lost runs again from their checkpoints; what is named by itself also if it was stopped."""
    chosen = select(words, run_root)
    by_name = bool(words) and not chosen.sweeps
    again = [run for run in chosen.runs if run.state in (_AGAIN_BY_NAME if by_name else _AGAIN)]
    if not again:
        states = counted([run.state for run in chosen.runs])
        tell(f"nothing to train again: none has failed or is lost ({states})")
        _say_unqueued(chosen, words)
        if any(run.waits_for_lane for run in chosen.runs):  # its lanes may have been killed
            with writing(chosen.store.root):
                say_started(wake_lanes(chosen.store.root))
        return
    unknown = [run.name for run in again if not run.config]
    again = [run for run in again if run.config]
    if not again:
        raise UserError(_UNKNOWN.format(", ".join(unknown)))
    ids = {run.run_id for run in again}
    theirs = chosen.sweeps or [r for r in records(chosen.store.root) if ids <= {run.run_id for run in r.runs}]
    sweep = theirs[-1].name if theirs else None
    runs = [(run.folder, _config(run, changes)) for run in again]
    corpora = {run.run_id: corpus for run in again if (corpus := _corpus(run))}
    with writing(chosen.store.root):
        added, started = dispatch_all(chosen.store.root, runs, Asked(command, sweep, corpora=corpora))
    names = ", ".join(run.name for run in again[:8]) + (", ..." if len(again) > 8 else "")
    tell(f"{added} run{'s'[: added != 1]} queued again: {names}")
    if unknown:
        tell(_UNKNOWN.format(", ".join(unknown)))
    _say_unqueued(chosen, words)
    if started is not None:
        say_started(started)


def _say_unqueued(chosen: Selected, words: Sequence[str]) -> None:
    """The command that brings back runs that a sweep asked for, and that have never begun and wait nowhere."""
    begun = {run.run_id for run in chosen.runs if run.state != "new"}
    for record in [] if any(map(is_setting, words)) else chosen.sweeps if words else records(chosen.store.root):
        left = [run for run in record.runs if run.run_id not in begun]
        if left:
            root = chosen.store.root
            elsewhere = [] if root == root_path(None) else [f"run_root={root}"]
            tell(
                f"{record.name}: {len(left)} of its runs have not begun and wait in no queue (cancelled before they "
                "began, or a file of the queue was lost); they come back with "
                f"{shlex.join([*command_of(record), *elsewhere])}"
            )


def dispatch_all(root: Path, runs: Runs, asked: Asked) -> tuple[int, Started | None]:
    """Runs to the lanes or to Slurm, as each one's cluster says; how many were added, and the lanes if any were."""
    local = [(folder, config) for folder, config in runs if config.cluster.kind == "local"]
    others = [(folder, config) for folder, config in runs if config.cluster.kind == "slurm"]
    added, started = dispatch(root, local, asked) if local or not others else (0, None)
    if others:
        from simplify.cli.slurm import submit_all

        added += submit_all(root, others, asked)
    return added, started


def _config(run: RunView, changes: Sequence[str]) -> RunConfig:
    """The run's own configuration with changes that leave it the same run."""
    config = with_settings(run.config, changes)
    corpus = _corpus(run)
    if changes and corpus and run_id(config, corpus) != run.run_id:
        raise ConfigError(
            f"--set {' '.join(changes)}: would make {run.name} another run; valid: what cannot change a result, such "
            "as train.micro_batch, train.checkpoint_every, train.device or cluster.cpu_threads"
        )
    return config


def _corpus(run: RunView) -> str | None:
    """The fingerprint of the corpus that a run has begun on."""
    return run.about.get("identity", {}).get("data", {}).get("corpus")


def say_started(started: Started) -> None:
    """How many lanes work now; raises UserError if none could be started."""
    if started.problem:
        raise UserError(f"lanes: {started.problem}; what is queued stays queued")
    if started.alive:
        plural = "lane works" if started.alive == 1 else "lanes work"
        tell(f"{started.alive} {plural} in the background; this shell may be closed")
