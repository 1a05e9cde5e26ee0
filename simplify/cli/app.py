"""The verbs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from simplify.cli.complete import complete_block, complete_override

app = typer.Typer(
    name="simplify",
    help="Can this transformer block be simpler, and what does it cost?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


def _version(wanted: bool) -> None:
    if wanted:
        from simplify import __version__

        print(f"simplify {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Can this transformer block be simpler, and what does it cost?"""


@app.command(cls=WithSettings)
def train(
    overrides: Overrides = None,
    conf: Conf = None,
    config: Config = None,
    force: Annotated[bool, typer.Option("--force", help="run again; the old run folder is kept aside")] = False,
) -> None:
    """Train one run, or continue it where it stopped.

    Exit codes: 0 done, 1 the training failed, 2 something typed is wrong, 75 stopped: the same command continues.
    """
    from simplify.cli.train import train_command

    train_command(overrides or [], conf, config, force, sys.argv)


@app.command()
def blocks(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BLOCK]... [KEY=VALUE]...",
            help="none: the whole zoo; one: in detail; several: side by side. Settings as in train: model=gpt_small",
            autocompletion=complete_block,
            show_default=False,
        ),
    ] = None,
    conf: Conf = None,
) -> None:
    """Show the zoo: every block, one in detail, or several side by side."""
    from simplify.cli.blocks import blocks_command

    blocks_command(words or [], conf)


@app.command()
def probe(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]... [KEY=VALUE]...",
            help="trained runs by name, id or path; or settings, also with several blocks: block=pre_ln,sas seed=1",
            autocompletion=complete_override,
            show_default=False,
        ),
    ] = None,
    conf: Conf = None,
    seeds: Annotated[int, typer.Option(min=1, help="initialisations of each block, from seed on")] = 3,
    sequences: Annotated[int, typer.Option(min=1, help="sequences of the validation split to look at")] = 4,
    out: Annotated[
        Path | None,
        typer.Option(help="folder for probe.png, .html and .json; default: the run's, or one below probes/"),
    ] = None,
) -> None:
    """Show how signals and gradients travel through the layers: token cosine, rank, gradients, attention entropy."""
    from simplify.cli.probe import probe_command

    probe_command(words or [], conf, seeds, sequences, out)


@app.command()
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
    plan: Annotated[bool, typer.Option("--plan", help="show the runs and train nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the plan as JSON; trains nothing")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="train failed runs again too")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="stop at the first run that fails")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask, however many runs there are")] = False,
) -> None:
    """Train every run of a question that is not done yet, one after another.

    Exit codes: 0 all done, 1 some runs failed, 2 something typed is wrong, 75 stopped: the same command continues.
    """
    from simplify.cli.sweep import sweep_command

    sweep_command(words or [], conf, plan, as_json, retry, fail_fast, yes)


Run = Annotated[
    str, typer.Argument(metavar="RUN", help="a run: its folder's name or id, the beginning of either, or its path")
]
RunRoot = Annotated[Path | None, typer.Option(help="folder of the run folders; default: $SIMPLIFY_RUNS, else runs")]


@app.command()
def sample(
    run: Run,
    prompt: Annotated[str, typer.Option(help="text to go on from; empty: the beginning of a document")] = "",
    tokens: Annotated[int, typer.Option(min=1, help="at most so many new tokens")] = 200,
    temperature: Annotated[float, typer.Option(min=0, help="0: always the likeliest token")] = 0.8,
    top_k: Annotated[int | None, typer.Option(min=1, help="draw from the k likeliest tokens only")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="seed of the draws")] = 0,
    run_root: RunRoot = None,
) -> None:
    """Let a trained decoder write, with cached keys and values."""
    from simplify.cli.sample import sample_command

    sample_command(run, prompt, tokens, temperature, top_k, seed, run_root)


@app.command()
def export(
    run: Run,
    to: Annotated[Path, typer.Option(help="the folder to write")],
    run_root: RunRoot = None,
) -> None:
    """Write a trained model for Hugging Face transformers: safetensors, config, tokeniser (extra simplify[hub])."""
    from simplify.cli.export import export_command

    export_command(run, to, run_root)


@app.command(name="config", cls=WithSettings)
def show_config(
    overrides: Overrides = None,
    conf: Conf = None,
    config: Config = None,
    diff: Annotated[bool, typer.Option("--diff", help="only what differs from the code's defaults")] = False,
) -> None:
    """Print the configuration that `train` would run, composed and resolved."""
    from simplify.cli.config import config_command

    config_command(overrides or [], conf, config, diff)
