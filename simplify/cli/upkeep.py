"""The verbs for what lies on a machine: uploads, waste, corpora, and what a cluster has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simplify.cli.options import Conf, Json, Overrides, RunRoot, Select


def sync(
    words: Select = None,
    project: Annotated[str | None, typer.Option(help="W&B project; default: each run's wandb.project")] = None,
    entity: Annotated[str | None, typer.Option(help="W&B user or team; default: each run's wandb.entity")] = None,
    disabled_too: Annotated[
        bool, typer.Option("--disabled-too", help="also runs that were trained with wandb.mode=disabled")
    ] = False,
    run_root: RunRoot = None,
    as_json: Json = False,
) -> None:
    """Upload runs that were recorded offline to W&B, any number of times: what is there is skipped.

    Exit codes: 0 all is there, 2 no key, a wrong one or no network, 75 another sync is at work.
    """
    from simplify.cli.sync import sync_command

    sync_command(words or [], run_root, project, entity, disabled_too, as_json)


def clean(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    checkpoints: Annotated[
        bool,
        typer.Option("--checkpoints", help="also the last checkpoints of done runs (no sample, no export then)"),
    ] = False,
    run_root: RunRoot = None,
) -> None:
    """Remove what no run needs any more: superseded folders and checkpoints, what dead lanes left."""
    from simplify.cli.clean import clean_command

    clean_command(run_root, yes, checkpoints)


def data(
    what: Annotated[str, typer.Argument(metavar="prepare", help="prepare: fetch and tokenise a corpus, once")],
    name: Annotated[str, typer.Argument(help="a corpus of conf/data, such as codeparrot; or glue")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="settings, as in data.max_documents=1000 model.kind=encoder"),
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DIR", help="read these files in place of the hub: Parquet, JSON lines, Arrow, txt"
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes that tokenise; default: the CPU cores")] = None,
    check: Annotated[bool, typer.Option("--check", help="read all files against their checksums")] = False,
    conf: Conf = None,
    as_json: Json = False,
) -> None:
    """Prepare a corpus for training on this machine. Stopped in the middle, the same command goes on from there."""
    from simplify.cli.data import Asked, data_command

    data_command(what, Asked(name, words or [], conf, files, workers, check), as_json)


def doctor(
    words: Overrides = None,
    conf: Conf = None,
    write: Annotated[
        str | None, typer.Option("--write", metavar="NAME", help="write conf/cluster/NAME.yaml from what was found")
    ] = None,
    job: Annotated[bool, typer.Option(help="run a job of a few seconds that looks from a node")] = True,
    as_json: Json = False,
) -> None:
    """Show what a cluster has and does to jobs, and whether runs can live there: doctor cluster=slurm.

    Exit codes: 0 all is well, 1 a job could not write to the run root, 2 no Slurm here, or something typed is wrong.
    """
    from simplify.cli.doctor import doctor_command

    doctor_command(words or [], conf, write, job, as_json)
