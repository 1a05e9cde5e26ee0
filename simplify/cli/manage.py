"""`simplify cancel` and `simplify retry`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from simplify.cli.advance import go_on
from simplify.cli.dispatch import dispatch_all, say_started
from simplify.cli.select import Selected, is_setting, select
from simplify.cli.study import is_done
from simplify.cli.table import counted
from simplify.compose import with_settings
from simplify.config import RunConfig
from simplify.dispatch.asked import Asked
from simplify.dispatch.cancel import Cancelled, cancel
from simplify.dispatch.follow import cancel_follow_ups
from simplify.dispatch.local import wake_lanes
from simplify.display import say, tell, tell_aside
from simplify.errors import ConfigError, SimplifyError, TryAgain, UserError
from simplify.runs.files import writing
from simplify.runs.folder import root_path
from simplify.runs.identity import run_id
from simplify.runs.queue import Queue
from simplify.runs.store import RunView
from simplify.runs.studies import answers_in, hold, is_answer, is_study, release, study_names
from simplify.sweep.record import command_of, records

_AGAIN = ("failed", "lost")
_UNKNOWN = "{}: no configuration can be read there; repeat the command that asked for it"
_AGAIN_BY_NAME = (*_AGAIN, "stopped", "cancelled")
_WAITS_FOR = (*_AGAIN_BY_NAME, "new")  # new: a tuned sweep's, taken out of the queue before they began


def cancel_command(words: Sequence[str], run_root: Path | None) -> None:
    """Take runs out of the queue, and ask those being trained to save and stop."""
    if not words:
        raise ConfigError("cancel: which runs? valid: a sweep file, names or ids of runs, settings such as block=sas")
    chosen = select(words, run_root)
    if chosen.studies:
        _hold(chosen)
        chosen = select(words, run_root)  # what was begun until then
    active = [run for run in chosen.runs if run.state in ("queued", "running", "unknown")]
    if not active:
        say("nothing to cancel: none of them waits or is being trained")
        return
    with writing(chosen.store.root):
        say_cancelled(cancel(Queue(chosen.store.root), {run.run_id for run in active}))


def _hold(chosen: Selected) -> None:
    """Let tuned sweeps begin nothing more."""
    root = chosen.store.root
    for record in chosen.studies:
        if is_done(root, record.name):
            continue
        with writing(root):
            hold(root, record.name)
            cancel_follow_ups(root, record.name)
        say(f"{record.name}: begins nothing more, until simplify retry {record.name} or the sweep's command is typed")


def _let_go_on(chosen: Selected, words: Sequence[str], again: Sequence[str]) -> bool:
    """Let tuned sweeps go on, named ones with runs in the states `again` too. Whether any has begun a run."""
    root, went_on = chosen.store.root, False
    names = [record.name for record in chosen.studies] if words else study_names(root)
    for name in names:
        if words:
            with writing(root):
                release(root, name)
        try:
            went_on = bool(go_on(root, name, again if words else ())[1]) or went_on
        except SimplifyError as error:
            if words:
                raise
            tell_aside(f"simplify: {name}: {error}")
    return went_on


def say_cancelled(found: Cancelled) -> None:
    """What a cancellation came to. Raises TryAgain where some could not be told."""
    if found.dequeued:
        say(f"{len(found.dequeued)} taken out of the queue")
    if found.asked_to_stop:
        names = ", ".join(found.asked_to_stop)
        say(f"{len(found.asked_to_stop)} asked to stop, to save after the step at hand, and then cancelled: {names}")
    if found.out_of_reach:
        raise TryAgain("\n".join(f"{name}: {reason}" for name, reason in found.out_of_reach.items()))


def retry_command(words: Sequence[str], run_root: Path | None, changes: Sequence[str], command: list[str]) -> None:
    """Train failed and lost runs again from their checkpoints; what is named by itself also if it was stopped."""
    chosen = select(words, run_root)
    if went_on := _let_go_on(chosen, words, () if changes else _WAITS_FOR):  # with changes they are begun below
        chosen = select(words, run_root)
    by_name = bool(words) and not chosen.sweeps
    again = [run for run in chosen.runs if run.state in (_AGAIN_BY_NAME if by_name else _AGAIN)]
    answers = () if by_name else answers_in(chosen.store.root)
    again = [run for run in again if not is_answer(run.run_id, run.facts.error, answers)]
    if not again and went_on:
        return
    if not again:
        states = counted([run.state for run in chosen.runs])
        say(f"nothing to train again: none has failed or is lost ({states})")
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
    say(f"{added} run{'s'[: added != 1]} queued again: {names}")
    if unknown:
        say(_UNKNOWN.format(", ".join(unknown)))
    _say_unqueued(chosen, words)
    if started is not None:
        say_started(started)


def _say_unqueued(chosen: Selected, words: Sequence[str]) -> None:
    """The command that brings back runs that a sweep asked for, and that have never begun and wait nowhere."""
    begun = {run.run_id for run in chosen.runs if run.state != "new"}
    for record in [] if any(map(is_setting, words)) else chosen.sweeps if words else records(chosen.store.root):
        if is_study(chosen.store.root, record.name):
            continue  # it says so itself
        left = [run for run in record.runs if run.run_id not in begun]
        if left:
            root = chosen.store.root
            elsewhere = [] if root == root_path(None) else [f"run_root={root}"]
            tell(
                f"{record.name}: {len(left)} of its runs have not begun and wait in no queue (cancelled before they "
                "began, or a file of the queue was lost); they come back with "
                f"{shlex.join([*command_of(record), *elsewhere])}"
            )


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
