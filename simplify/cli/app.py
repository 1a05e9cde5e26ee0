"""The program: every verb, in the order of the help."""

from __future__ import annotations

from typing import Annotated

import typer

from simplify.cli import many_runs, one_run, upkeep, verdicts
from simplify.cli.options import WithKeys, WithSettings
from simplify.display import tell

app = typer.Typer(
    name="simplify",
    help="Can this transformer block be simpler, and what does it cost?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from simplify import __version__

        tell(f"simplify {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Can this transformer block be simpler, and what does it cost?"""


_MANY, _ONE = "Many runs", "One run"

app.command(cls=WithSettings, rich_help_panel=_ONE)(one_run.train)
app.command("config", cls=WithSettings, rich_help_panel=_ONE)(one_run.show_config)
app.command(rich_help_panel=_ONE)(one_run.probe)
app.command(cls=WithSettings, rich_help_panel=_ONE)(one_run.bench)
app.command(rich_help_panel=_ONE)(one_run.sample)
app.command("eval", rich_help_panel=_ONE)(one_run.evaluate)
app.command(rich_help_panel=_ONE)(one_run.finetune)
app.command(rich_help_panel=_ONE)(one_run.export)
app.command(cls=WithKeys, rich_help_panel=_MANY)(many_runs.sweep)
app.command(rich_help_panel=_MANY)(many_runs.status)
app.command(rich_help_panel=_MANY)(many_runs.watch)
app.command(rich_help_panel=_MANY)(many_runs.logs)
app.command(rich_help_panel=_MANY)(many_runs.why)
app.command(rich_help_panel=_MANY)(many_runs.report)
app.command(cls=WithKeys, rich_help_panel=_MANY)(verdicts.noise)
app.command(rich_help_panel=_MANY)(verdicts.judge)
app.command(rich_help_panel=_MANY)(many_runs.paper)
app.command(rich_help_panel=_MANY)(many_runs.cancel)
app.command(rich_help_panel=_MANY)(many_runs.retry)
app.command(rich_help_panel=_MANY)(many_runs.diff)
app.command(rich_help_panel=_MANY)(upkeep.sync)
app.command(rich_help_panel=_MANY)(upkeep.clean)
app.command(rich_help_panel=_MANY)(upkeep.doctor)
app.command(rich_help_panel="The zoo and its data")(one_run.blocks)
app.command("data", rich_help_panel="The zoo and its data")(upkeep.data)
app.command(hidden=True)(many_runs.job)
app.command(hidden=True)(many_runs.task)
app.command(hidden=True)(many_runs.advance)
