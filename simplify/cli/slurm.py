"""Submitting to Slurm from the command line, and what a plan says about it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from simplify.config import RunConfig
from simplify.data.corpus import open_corpus
from simplify.dispatch.asked import Asked
from simplify.dispatch.batch import Request, Runs, script, test_only
from simplify.dispatch.follow import follow_up
from simplify.dispatch.slurm import Submitted, refuse_without_slurm, requests, submit
from simplify.display import tell
from simplify.errors import ConfigError, TryAgain
from simplify.runs.code import save_patch
from simplify.runs.files import writing
from simplify.runs.folder import root_path, run_root
from simplify.runs.folders import find_folder
from simplify.runs.identity import folder_name, run_id
from simplify.runs.slurm import arrays_folder
from simplify.runs.store import RunStore
from simplify.runs.studies import is_study


def submit_one(config: RunConfig, command: list[str], force: bool) -> None:
    """`simplify train` with a Slurm cluster: one job; returns once Slurm has it."""
    root = run_root(config)
    refuse_without_slurm(root)
    corpus = open_corpus(config.data, masked=config.model.kind == "encoder")
    identifier = run_id(config, corpus.facts.fingerprint)
    folder = find_folder(root, identifier, folder_name(config, identifier))
    where = "" if root == root_path(None) else f" --run-root {shlex.quote(str(root))}"
    found = RunStore(root).runs([folder.run_id])
    state = found[0].state if found else "new"
    if state in ("queued", "running", "unknown"):
        note = f" ({found[0].note})" if found[0].note else ""
        tell(f"{folder.path.name}: is {state} already{note}; simplify logs -f {folder.run_id}{where} shows it")
        return
    if state == "done" and not force:
        tell(f"already done: {folder.path} (--force runs it again)")
        return
    with writing(root):
        if force and folder.path.exists():
            tell(f"--force: the old folder is now {folder.set_aside()}")
        save_patch(root)
        submitted = submit(root, [(folder, config)], Asked(command, corpora={folder.run_id: corpus.facts.fingerprint}))
    say_submitted(submitted)
    if submitted.added:
        typed = f"{folder.run_id}{where}"
        tell(f"{folder.path.name}: simplify status {typed}, simplify logs -f {typed}")


def say_submitted(submitted: Submitted) -> None:
    """The jobs that Slurm has now; the rest is submitted all the same.

    Raises UserError with what it refused, else TryAgain with what it may have.
    """
    if submitted.jobs:
        plural = "job" if len(submitted.jobs) == 1 else "jobs"
        runs = "1 run" if submitted.added == 1 else f"{submitted.added} runs"
        tell(f"{runs} submitted to Slurm as {plural} {', '.join(submitted.jobs)}; this shell may be closed")
    if submitted.problems:
        raise ConfigError(*dict.fromkeys([*submitted.problems, *submitted.unknown]))
    if submitted.unknown:
        raise TryAgain("\n".join(submitted.unknown))


def show_slurm_plan(root: Path, runs: Runs, label: str) -> None:
    """The arrays that would be submitted: the exact text for sbatch, when they might begin, the hours asked for."""
    refuse_without_slurm(root)
    found = requests(runs)
    for number, request in enumerate(found, start=1):
        text = script(arrays_folder(root) / "TOKEN", len(request.runs), request, f"{label[:40]}.TOKEN", None)
        tell(f"\n{_heading(number, len(found), request)}")
        for line in text.splitlines():
            tell(f"    {line}".rstrip())
        tell(test_only(text))
    tell(hours_asked(found))


def _heading(number: int, total: int, request: Request) -> str:
    cluster, count = request.cluster, len(request.runs)
    what = f"an array of {count} runs" if count > 1 else "one run"
    limit = f", {request.parallel} at a time" if request.parallel and count > 1 else ""
    size = f"{cluster.nodes} node{'s' if cluster.nodes > 1 else ''} x {cluster.tasks // cluster.nodes} processes each"
    after = f", after job {request.after + 1}" if request.after is not None else ""
    return f"job {number} of {total}: {what}{limit}, {size}{after}; TOKEN is drawn at submission"


def hours_asked(found: Sequence[Request]) -> str:
    """The device-hours that the time limits come to; a run that needs more requeues itself and goes on."""
    total = 0.0
    for request in found:
        seconds = request.cluster.seconds
        if seconds is None:
            return "hours asked for: the partition's default time limit for each run (cluster.timeout sets one)"
        total += len(request.runs) * request.cluster.tasks * seconds / 3600
    return f"hours asked for: at most {total:,.1f} device-hours by cluster.timeout; a run that needs more is requeued"


def submit_all(root: Path, runs: Runs, asked: Asked) -> int:
    """Submit a sweep's runs and say so; returns how many. Raises UserError where Slurm refused some."""
    if not runs:
        return 0
    submitted = submit(root, runs, asked)
    if submitted.jobs and asked.sweep and is_study(root, asked.sweep):
        _follow_up(root, asked.sweep, runs, submitted.jobs, asked.code)
    say_submitted(submitted)
    return submitted.added


def _follow_up(root: Path, name: str, runs: Runs, jobs: Sequence[str], code: Path | None) -> None:
    """A job behind those of a tuned sweep, should the last run die without a word; said where there is none."""
    if why := follow_up(root, name, runs[0][1].cluster, jobs, code):
        tell(
            f"no job follows that sees what is next ({why}): if the last of these runs dies without a word, simplify "
            f"watch {name} goes on, or simplify retry {name}"
        )
