"""`simplify sweep` where blocks find their own settings first: the study, its plan, and its start."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simplify.cli.baseline import baselines, bases_of, planned_line
from simplify.cli.duration import rough
from simplify.cli.plan_shows import shown_by, shows_lines
from simplify.cli.plan_time import auto_precision
from simplify.cli.question import Options, Question
from simplify.cli.sweep import ask, cancel_dropped, of_the_shell, refuse_slips, say_what_is_left_out, write_down
from simplify.cli.tuned_data import tuned_as_data
from simplify.cli.tuned_plan import Ahead, ahead_of, show_tuned_plan
from simplify.data.cache import cache_dir
from simplify.display import answer, answer_alone, say, tell, work_counts
from simplify.errors import ConfigError
from simplify.program import code_folder
from simplify.runs.files import writing
from simplify.runs.folder import now
from simplify.sweep.file import header
from simplify.sweep.freeze import Facts, freeze
from simplify.sweep.outlook import replay
from simplify.sweep.plan import Plan
from simplify.sweep.record import Recorded, dropped, read_record, record_path
from simplify.sweep.study import StudyRecord


def tuned_command(question: Question, plan: Plan, options: Options) -> None:
    """Plan a tuned sweep, and begin it. `plan`: of the final runs at the untuned values. Raises ConfigError."""
    refuse_slips(question, plan, options)
    record, missing = _study(question, plan, options)
    with answer_alone(options.as_json):
        found = replay(record, plan.root)
        now_wanted = replace(plan, runs=tuple(found.runs.values()))
        auto = auto_precision(now_wanted)
        ahead = ahead_of(found, plan, options.measure, auto)
    wanted = {run.folder.run_id for run in ahead.replay.runs.values() if run.folder}
    missing = [*plan.missing, *missing]
    gone = [] if missing else dropped(read_record(record_path(plan.root, question.name)), wanted)
    held = bases_of(plan, question.source.report.baseline)
    shown = shown_by(plan, question.source.report, held)
    if options.as_json:
        answer("sweep", tuned_as_data(ahead, now_wanted, gone, auto, shown))
        return
    show_tuned_plan(ahead, header(question.file) if question.file else [], gone)
    for line in (
        *shows_lines(plan, shown),
        auto and auto.line,
        *plan.corpora,
        *of_the_shell(plan),
        planned_line(plan, question.source.report.baseline, held),
    ):
        if line:
            say(line)
    if options.plan:
        _show_slurm(ahead, now_wanted, question)
    elif not missing:
        _begin(question, now_wanted, options, record, ahead, gone)
    if missing:  # of some blocks alone there would be no comparison
        raise ConfigError(*(f"nothing is trained: {line}" for line in missing))
    say_what_is_left_out(plan)


def _study(question: Question, plan: Plan, options: Options) -> tuple[StudyRecord, list[str]]:
    """The study that is asked for, and a line for each corpus of its tuning runs that is not here."""
    assert question.tune is not None
    try:
        is_baseline = baselines(plan, question.source.report.baseline)
        cache, code = str(cache_dir()), str(code_folder())
        facts = Facts(question.name, now(), tuple(sys.argv), os.getcwd(), code, cache, options.fail_fast)
        return freeze(plan, question.tune, is_baseline, options.conf, facts)
    except ConfigError as error:
        raise ConfigError(*_as_typed(question, error.lines)) from None


def _as_typed(question: Question, lines: Sequence[str]) -> list[str]:
    """What is wrong, by the word that was typed, else with the file's name."""
    found: list[str] = []
    keys = [word.removeprefix("--tune=").partition("=")[0] for word in question.words if word.startswith("--tune=")]
    for line in lines:
        typed = any(line.startswith((f"tune.over.{key}:", f"tune.over.{key}=")) for key in keys)
        own = f"--tune {line.removeprefix('tune.over.')}" if typed else line
        found.append(f"{question.file}: {own}" if question.file and not typed else own)
    return found


def _show_slurm(ahead: Ahead, plan: Plan, question: Question) -> None:
    """What would be submitted now."""
    runs = [ahead.replay.runs[trial] for trial in ahead.replay.left]
    found = [(run.folder, run.config) for run in runs if run.folder and run.config.cluster.kind == "slurm"]
    if found:
        from simplify.cli.slurm import show_slurm_plan

        show_slurm_plan(plan.root, found, question.name)


def _begin(
    question: Question, plan: Plan, options: Options, record: StudyRecord, ahead: Ahead, gone: Sequence[Recorded]
) -> None:
    few, most = ahead.outlook.total()
    time = ahead.spent(ahead.outlook.most)
    long = time.high if time else 0.0
    much = f"{few} to {most} runs" + (f", at most about {rough(long)} of training," if long else "")
    ask(question, most, long, options.yes, much)
    work_counts()
    with writing(plan.root):
        kept = cancel_dropped(plan, gone, options.yes)
        asked = [run for run in _recorded(ahead) if run.run_id not in {other.run_id for other in kept}]
        copied = write_down(question, plan, options, [*asked, *kept])
        _start(plan.root, record.model_copy(update={"code": str(copied)}) if copied else record, options)


def _recorded(ahead: Ahead) -> list[Recorded]:
    """What is wanted by now, each run once."""
    found = {run.folder.run_id: (run.folder, run) for run in ahead.replay.runs.values() if run.folder}
    return [Recorded(folder.run_id, folder.path.name, dict(run.point)) for folder, run in found.values()]


def _start(root: Path, record: StudyRecord, options: Options) -> None:
    """Keep the study, and begin what it wants now; from then on it goes on by itself."""
    from simplify.cli.advance import go_on
    from simplify.cli.dispatch import say_started
    from simplify.cli.study import headline, waiting_lines
    from simplify.dispatch.local import wake_lanes
    from simplify.runs.studies import release
    from simplify.sweep.advance import keep

    name = record.name
    if keep(root, record):
        tell(f"{name}: asks another question than before: what is decided begins anew, and no run is trained twice")
    release(root, name)
    at, begun = go_on(root, name, ("new", "stopped", "cancelled", "lost", *(["failed"] if options.retry else [])))
    for line in [] if begun else [headline(at), *waiting_lines(root, at, name)]:
        say(line)
    if not begun and any(view.waits_for_lane for view in at.views.values()):  # its lanes may have been killed
        say_started(wake_lanes(root))
    if at.decision.phase == "done":
        tell(f"all is done: simplify report {name} has the verdicts")
    elif not options.watch:
        shows = f"simplify status {name} shows how far it is, simplify watch {name} stays"
        tell(f"what comes next begins by itself; {shows}, simplify report {name} has the verdicts")
    if options.watch:
        from simplify.cli.watch import watch_command

        watch_command([name], root)
