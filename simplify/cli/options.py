"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from simplify.cli.complete import complete_override

_WORDS = "simplify.help"  # where what was typed is kept while click makes the help of it


class WithSettings(TyperCommand):
    """A command whose help ends with the names of groups, choices and settings; `--help WORD` describes some."""

    with_choices = True

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Click asks for the help before it has looked at the other words."""
        ctx.meta[_WORDS] = list(args)
        return super().parse_args(ctx, args)  # type: ignore[arg-type]

    def format_help(self, ctx: typer.Context, formatter: object) -> None:  # type: ignore[override]
        from simplify.cli.settings_help import show_names, show_settings

        words, folder = _asked(ctx.meta.get(_WORDS, []), ctx.help_option_names)
        if words:
            show_settings(words, folder)
            return
        super().format_help(ctx, formatter)  # type: ignore[arg-type]
        show_names(str(ctx.info_name), folder, self.with_choices)


class WithKeys(WithSettings):
    """The same without the choices: of a command with a long help of its own."""

    with_choices = False


def _asked(args: list[str], help_words: list[str]) -> tuple[list[str], str | None]:
    """The words after --help that are no settings and no options, and the folder of --conf."""
    found = next((place for place, word in enumerate(args) if word in help_words), len(args))
    words: list[str] = []
    folder: str | None = None
    for place, word in enumerate(args):
        before = args[place - 1] if place else ""
        if word.startswith("--conf=") or before == "--conf":
            folder = word.removeprefix("--conf=")
        elif place > found and not word.startswith("-") and "=" not in word[:-1]:
            words.append(word)
    return words, folder


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
_CHOICE = "a sweep file (scale=nano: that size alone), runs by name, id or path, settings such as block=sas,sas_p or "
Select = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE | RUN | KEY=VALUE]...", help=f"{_CHOICE}state=failed; none: all runs", show_default=False
    ),
]
Chosen = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE | RUN | KEY=VALUE...", help=f"{_CHOICE}state=queued; at least one", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="as JSON, for programs")]
Figures = Annotated[
    list[str] | None,
    typer.Option(
        help="one more figure: gains, scaling=parameters, final=optimiser.lr; after commas by=SETTING, log_x=false",
        show_default=False,
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=LABEL", help='what a paper calls it: "projection=identity=no $W_P$"', show_default=False
    ),
]
