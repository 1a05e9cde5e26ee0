"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from simplify.cli.complete import complete_override


class WithSettings(TyperCommand):
    """A command whose help ends with every group, choice and setting."""

    def format_help(self, ctx: typer.Context, formatter: object) -> None:  # type: ignore[override]
        super().format_help(ctx, formatter)  # type: ignore[arg-type]
        from simplify.cli.settings_help import show_settings

        show_settings(ctx.params.get("conf"))


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="groups (block=sas) and settings (optimiser.lr=3e-4) in Hydra's override grammar",
        autocompletion=complete_override,
        show_default=False,
    ),
]
Conf = Annotated[
    Path | None,
    typer.Option(help="your own folder of block/, model/, ... YAML files; they win over ours ($SIMPLIFY_CONF)"),
]
Config = Annotated[Path | None, typer.Option(help="start from the config.yaml of a run folder instead of the groups")]

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="a run: its folder's name or id, the beginning of either, or its path")
]
RunRoot = Annotated[Path | None, typer.Option(help="folder of the run folders; default: $SIMPLIFY_RUNS, else runs")]
Select = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE | RUN | KEY=VALUE]...",
        help="a sweep file (scale=nano: that size alone), runs by name or id, settings such as block=sas,sas_p or "
        "state=failed; none: all runs",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="as JSON, for programs")]
