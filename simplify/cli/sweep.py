"""`simplify sweep`: plan, ask, dispatch."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from simplify.cli.baseline import bases_of, label_slips, planned_line
from simplify.cli.dispatch import say_started
from simplify.cli.manage import say_cancelled
from simplify.cli.plan import device_hours, plan_as_data, show_plan
from simplify.cli.plan_shows import shown_by, shows_lines
from simplify.cli.plan_time import auto_precision, estimate, lanes_of
from simplify.cli.question import Options, Question, read_question
from simplify.compose import shell_lines
from simplify.config import RunConfig
from simplify.display import agreed, answer, answer_alone, can_ask, say, work_counts
from simplify.errors import ConfigError
from simplify.runs.code import code_hash, git_silence, git_state, save_patch, snapshot
from simplify.runs.files import writing
from simplify.runs.folder import RunFolder, now, run_root
from simplify.runs.queue import Queue
from simplify.runs.store import RunStore
from simplify.runs.studies import retire
from simplify.sweep.estimate import Estimate
from simplify.sweep.file import header
from simplify.sweep.plan import Plan, make_plan
from simplify.sweep.points import points_of
from simplify.sweep.record import PAPER, Record, Recorded, dropped, read_record, record_path, write_record

_MANY = 20  # runs from which a sweep asks before it starts
_LONG = 24 * 3600.0  # device-seconds from which it asks


def sweep_command(words: Sequence[str], options: Options) -> None:
    """Words without `=`: one sweep file. The others are settings and axes, which win over the file's."""
    question = read_question(words, options.conf, options.tune)
    with answer_alone(options.as_json):
        plan = _plan(question, options)  # tells of a corpus that it prepares
        if slips := label_slips(plan, question.source):
            raise ConfigError(*with_file(question, slips))
    if question.tune:
        from simplify.cli.tuned import tuned_command

        tuned_command(question, plan, options)
        return
    with answer_alone(options.as_json):
        auto = auto_precision(plan)
        ahead = estimate(plan, options.measure, auto)
    todo = _todo(plan, options.retry)
    record = read_record(record_path(plan.root, question.name))
    gone = [] if plan.missing else dropped(record, {folder.run_id for _, folder in plan.known})
    held = bases_of(plan, question.source.report.baseline)
    shown = shown_by(plan, question.source.report, held)
    if options.as_json:
        answer("sweep", plan_as_data(plan, ahead, gone, auto, shown))
        return
    show_plan(plan, ahead, gone, header(question.file) if question.file else [], lanes_of(plan))
    for line in (*shows_lines(plan, shown), *([auto.line] if auto else []), *plan.corpora, *of_the_shell(plan)):
        say(line)
    if line := planned_line(plan, question.source.report.baseline, held):
        say(line)
    if options.plan:
        submitted = [pair for pair in todo if pair[1].cluster.kind == "slurm"]
        if submitted:
            from simplify.cli.slurm import show_slurm_plan

            show_slurm_plan(plan.root, submitted, question.name)
        refuse_slips(question, plan, options)
        say_what_is_left_out(plan)
        return
    refuse_slips(question, plan, options)
    _ask_for(question, todo, plan, ahead, options.yes)
    work_counts()
    with writing(plan.root):
        kept = cancel_dropped(plan, gone, options.yes)
        _dispatch(question, plan, todo, options, kept)
    if options.watch:
        from simplify.cli.watch import watch

        watch(RunStore(plan.root), [folder.run_id for _, folder in plan.known], question.name)
    say_what_is_left_out(plan)  # one bad point never loses the others


def of_the_shell(plan: Plan) -> list[str]:
    """What W&B's variables came to, by the first run: they are the same for all."""
    return shell_lines(plan.runs[0].config.wandb, len(plan.runs) > 1) if plan.runs else []


def _plan(question: Question, options: Options) -> Plan:
    """The plan. Raises ConfigError where every point is wrong: with the file's name, unless it was typed."""
    try:
        return make_plan(points_of(question.size, question.typed), options.conf)
    except ConfigError as error:
        raise ConfigError(*with_file(question, error.lines)) from None


def with_file(question: Question, lines: Sequence[str]) -> list[str]:
    """What is wrong, with the name of the file for what was not typed."""
    typed = tuple(question.typed)
    return [f"{question.file}: {line}" if question.file and not line.startswith(typed) else line for line in lines]


def refuse_slips(question: Question, plan: Plan, options: Options) -> None:
    """Raise ConfigError where a value fits no run at all: whoever mistypes one wants nothing trained yet."""
    if plan.slips and not options.skip_invalid:
        *lines, last = with_file(question, plan.slips)
        others = f"the other {len(plan.runs)} run{'s'[: len(plan.runs) != 1]}"
        raise ConfigError(*lines, f"{last}; nothing is trained; --skip-invalid trains {others}")


def say_what_is_left_out(plan: Plan) -> None:
    """Raise ConfigError where some points are no runs, or have no data yet."""
    if plan.wrong or plan.missing:
        raise ConfigError(*(f"left out: {line}" for line in (*plan.wrong, *plan.missing)))


def _todo(plan: Plan, retry: bool) -> list[tuple[RunFolder, RunConfig]]:
    wanted = ("new", "stopped", "cancelled", "lost", *(["failed"] if retry else []))
    return [(folder, run.config) for run, folder in plan.known if run.state in wanted]


def _ask_for(
    question: Question, todo: Sequence[tuple[RunFolder, RunConfig]], plan: Plan, times: Estimate, yes: bool
) -> None:
    ids = {folder.run_id for folder, _ in todo}
    ahead = zip(plan.runs, times.seconds, strict=True)
    long = sum(time or 0.0 for run, time in ahead if run.folder and run.folder.run_id in ids)
    ask(question, len(todo), long, yes, f"{len(todo)} runs" + (f", about {device_hours(long)}" if long > _LONG else ""))


def ask(question: Question, number: int, seconds: float, yes: bool, much: str) -> None:
    """Go on only after a yes where many runs, or many seconds, are asked for; without a terminal nobody can give one.

    `much`: both in words. Raises ConfigError.
    """
    if yes or (number <= _MANY and seconds <= _LONG):
        return
    smaller = [name for name in question.source.scales if name != question.scale]
    hint = f"; scale={smaller[0]} asks the same question in small" if smaller and question.scale == PAPER else ""
    if not can_ask():
        raise ConfigError(f"sweep: {much} to be trained; --yes trains that much without asking{hint}")
    if not agreed(f"train {much}{hint}?"):
        raise ConfigError(f"sweep: not started; narrow it with settings such as seed=0, or answer y{hint}")


def cancel_dropped(plan: Plan, gone: Sequence[Recorded], yes: bool) -> list[Recorded]:
    """Runs that are no longer asked for and still wait or train: cancelled after a yes, else returned."""
    active = [
        run
        for run in RunStore(plan.root).runs(run.run_id for run in gone)
        if run.state in ("queued", "running", "unknown")
    ]
    if not active:
        return []
    from simplify.dispatch.cancel import cancel

    kept = [run for run in gone if any(run.run_id == other.run_id for other in active)]

    names = ", ".join(f"{run.name} ({run.state})" for run in active[:8]) + ", ..." * (len(active) > 8)
    if not yes:
        if not can_ask():
            say(f"{len(active)} dropped runs go on: {names}; --yes cancels them, or simplify cancel with their names")
            return kept
        if not agreed(f"no longer asked for: {names}; cancel?"):
            return kept
    say_cancelled(cancel(Queue(plan.root), {run.run_id for run in active}))
    return []


def write_down(question: Question, plan: Plan, options: Options, runs: Sequence[Recorded]) -> Path | None:
    """Write the sweep's record; the folder of the copied code, if it was to be copied."""
    run_root(plan.runs[0].config)  # writable, or said in a line
    auto_precision(plan, keep=True)  # one answer for all lanes
    save_patch(plan.root)
    if silence := git_silence():
        say(silence)
    git, code = git_state(), code_hash()
    # the YAML files are no part of the hash
    mark = (git["patch"] or (git["commit"] or "unknown")[:12]) if git else "installed"
    copied = snapshot(plan.root / ".code" / f"{code}-{mark}") if options.snapshot else None
    told = tuple(header(question.file)) if question.file else ()
    file = str(question.file.resolve()) if question.file else None
    facts = (now(), git, code, str(copied) if copied else None)
    words = (question.words, told, tuple(sys.argv))
    write_record(plan.root, Record(question.name, file, question.scale, *words, *facts, tuple(runs)))
    return copied


def _dispatch(
    question: Question,
    plan: Plan,
    todo: Sequence[tuple[RunFolder, RunConfig]],
    options: Options,
    kept: Sequence[Recorded],
) -> None:
    from simplify.cli.dispatch import dispatch_all
    from simplify.dispatch.asked import Asked

    if not plan.known:
        return
    runs = [Recorded(folder.run_id, folder.path.name, dict(run.point)) for run, folder in plan.known]
    retire(plan.root, question.name)
    copied = write_down(question, plan, options, [*runs, *kept])
    corpora = {folder.run_id: run.corpus for run, folder in plan.known if run.corpus}
    added, started = dispatch_all(plan.root, todo, Asked(sys.argv, question.name, options.fail_fast, copied, corpora))
    counts = plan.counts()
    if not added:
        failed = counts.get("failed", 0)
        more = f"; {failed} failed: --retry trains them again" if failed else ""
        more += f"; {counts['unknown']} unknown: Slurm does not answer" if counts.get("unknown") else ""
        taken = (
            "nothing is left to train: another command has taken it on meanwhile" if todo else "nothing new to train"
        )
        say(taken + more)
    else:
        shown = shlex.quote(str(question.file)) if question.file else question.name
        runs = f"{added} run{'s'[: added != 1]}"
        shows = f"simplify status {shown} shows how far they are, simplify watch {shown} stays with them"
        say(f"{runs} queued; {shows}, simplify report {shown} compares them")
    if started is not None and (added or counts.get("queued") or counts.get("running")):
        say_started(started)
