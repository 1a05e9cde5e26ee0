"""The verbs for sweeps and for the life of many runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from simplify.cli.complete import complete_override
from simplify.cli.options import Chosen, Conf, Figures, Json, Labels, Run, RunRoot, Select
from simplify.display import answer_alone, answer_file


def sweep(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE] [KEY=VALUE,...]...",
            help="a sweep file; settings and axes in Hydra's sweep grammar: block=pre_ln,sas seed=0,1,2 scale=nano",
            autocompletion=complete_override,
            show_default=False,
        ),
    ] = None,
    conf: Conf = None,
    plan: Annotated[bool, typer.Option("--plan", help="show the runs and what they cost; trains nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the plan as JSON; trains nothing")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="stay until all runs have ended")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="train failed runs again too")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="cancel the rest when a run fails")] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="train the rest where a value fits no run, as after a typing error")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="never ask, and cancel what the file has dropped")] = False,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="train with a copy of the code as it is now, whatever is edited later")
    ] = False,
    tune: Annotated[
        list[str] | None,
        typer.Option(
            "--tune",
            metavar="KEY[=VALUES]",
            help="each block first finds its own value of this setting on other seeds: optimiser.lr alone starts round "
            "what it has; 'optimiser.lr=1e-3,2e-3,4e-3' or 'optimiser.lr={from:2.5e-4,to:1.6e-2,factor:2}' says where",
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="time steps first, where a time is not known well: up to two minutes")
    ] = False,
) -> None:
    """Plan the runs of a question and train those that are not done, on lanes in the background.

    Exit codes: 0 dispatched (with --watch: all done), 1 some failed, 2 something typed is wrong, 75 some stopped.
    """
    from simplify.cli.sweep import Options, sweep_command

    tuned = tuple(tune or ())
    options = Options(conf, plan, as_json, retry, fail_fast, yes, watch, snapshot, measure, skip_invalid, tuned)
    sweep_command(words or [], options)


def status(words: Select = None, run_root: RunRoot = None, as_json: Json = False) -> None:
    """Show how runs stand: what tells them apart, state, step, losses, speed, time left."""
    from simplify.cli.status import status_command

    status_command(words or [], run_root, as_json)


def watch(words: Select = None, run_root: RunRoot = None) -> None:
    """Stay with runs until they have ended: bars, losses, a plot; Ctrl-C ends the watching alone.

    Exit codes: 0 all done, 1 some failed, 75 some were stopped, 130 Ctrl-C.
    """
    from simplify.cli.watch import watch_command

    watch_command(words or [], run_root)


def logs(
    run: Run,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="stay until the run ends")] = False,
    run_root: RunRoot = None,
) -> None:
    """Print what a run has printed on its lane."""
    from simplify.cli.status import logs_command

    logs_command(run, run_root, follow)


def why(run: Run, run_root: RunRoot = None, as_json: Json = False) -> None:
    """Say why a run failed or stopped: cause, traceback, last metrics, and the command that goes on."""
    from simplify.cli.status import why_command

    why_command(run, run_root, as_json)


def report(
    words: Select = None,
    x: Annotated[
        str | None,
        typer.Option(
            help="the axis of curves: step, tokens, flops, seconds or device_hours; default: the file's, or step"
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help='what the others are held against: a block, or settings as in "projection=dense lr=1e-3"'),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="losses that surely differ by less, in nats, count as equal", show_default=False),
    ] = None,
    looks: Annotated[
        str | None,
        typer.Option(help="the numbers of seeds at which verdicts may be read, with commas: 3,5,8", show_default=False),
    ] = None,
    figure: Figures = None,
    label: Labels = None,
    columns: Annotated[
        str | None, typer.Option(help="of table.md and table.tex, with commas: loss,difference,parameters")
    ] = None,
    title: Annotated[bool | None, typer.Option("--title/--no-title", help="whether figures have titles")] = None,
    font: Annotated[str | None, typer.Option(help="of figures: sans, serif or a family")] = None,
    width: Annotated[float | None, typer.Option(help="inches of a paper's column: figures and table.tex")] = None,
    out: Annotated[Path, typer.Option(help="the folder to write; what an earlier report left there goes")] = Path(
        "report"
    ),
    tuning: Annotated[
        bool, typer.Option("--tuning", help="of a tuned sweep: each tuning run is of a variant, too, as any other run")
    ] = False,
    checklist: Annotated[
        bool, typer.Option("--checklist", help="also what NeurIPS and ACL ask of experiments, filled in from the runs")
    ] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="also upload the runs, and publish a W&B report")] = False,
    run_root: RunRoot = None,
    as_json: Json = False,
) -> None:
    """Compare runs: losses with intervals and verdicts, costs, curves; as table, page, figures, Markdown and LaTeX.

    Exit codes: 0 written, 2 something typed is wrong, or no run has logged anything.
    """
    from simplify.cli.report import Shown, report_command

    wishes = {"x": x, "baseline": baseline, "margin": margin, "title": title, "font": font, "width": width}
    several = (tuple(figure or ()), tuple(label or ()), columns, looks)
    with answer_alone(as_json):
        report_command(words or [], run_root, Shown(wishes, *several, out, wandb, checklist, tuning))
    if as_json:
        answer_file("report", out / "report.json")


def paper(run_root: RunRoot = None, as_json: Json = False) -> None:
    """Show every figure and table of the paper: question, sweep file, cost, finding, and which runs are there."""
    from simplify.cli.paper import paper_command

    paper_command(run_root, as_json)


def cancel(words: Chosen = None, run_root: RunRoot = None) -> None:
    """Take runs out of the queue, and ask those that are being trained to save and stop."""
    from simplify.cli.manage import cancel_command

    cancel_command(words or [], run_root)


def retry(
    words: Select = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="a setting that leaves the run the same: train.micro_batch=2"),
    ] = None,
    run_root: RunRoot = None,
) -> None:
    """Train failed and lost runs again, from their checkpoints; named by id, also stopped and cancelled ones.

    Also starts lanes that are missing, and names the sweeps of which runs wait in no queue.
    """
    from simplify.cli.manage import retry_command

    retry_command(words or [], run_root, change or [], sys.argv)


def diff(first: Run, second: Run, run_root: RunRoot = None, as_json: Json = False) -> None:
    """Show how two runs differ: settings, code, environment, and the step where their losses part."""
    from simplify.cli.diff import diff_command

    diff_command(first, second, run_root, as_json)


def job(path: Path, lane: str) -> None:
    """Train a run of a queue: what a lane runs."""
    from simplify.cli.train import job_command

    job_command(path, lane)


def task(folder: Path) -> None:
    """Train a run of a Slurm array: what a job runs."""
    from simplify.cli.train import task_command

    task_command(folder)


def advance(name: str, run_root: RunRoot = None) -> None:
    """Let a tuned sweep go on: what a lane, or a job, runs after each of its runs."""
    from simplify.cli.advance import advance_command

    advance_command(name, run_root)
