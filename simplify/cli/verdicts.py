"""The verbs for whoever has to decide: how much seeds differ, and whether a change is kept."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from simplify.cli.options import Conf, Json, Overrides, RunRoot


def noise(
    words: Overrides = None,
    effect: Annotated[
        list[float] | None,
        typer.Option(metavar="NATS", help="how many seeds such a difference needs; default: 0.005 to 0.1"),
    ] = None,
    run: Annotated[
        int | None, typer.Option("--run", min=2, metavar="N", help="train N seeds of each first", show_default=False)
    ] = None,
    conf: Conf = None,
    run_root: RunRoot = None,
    as_json: Json = False,
) -> None:
    """Show how far seeds lie apart, from finished runs, and how many seeds an effect needs: block=pre_ln,sas

    Of several configurations also in pairs with the first one.
    """
    from simplify.cli.noise import EFFECTS, Asking, noise_command

    noise_command(words or [], Asking(tuple(effect or EFFECTS), run, conf, run_root, as_json, sys.argv))


def judge(
    candidate: Annotated[
        str | None,
        typer.Argument(
            metavar="CANDIDATE",
            help='a configuration in quotes, as train takes it: "block=sas block.qk_norm=true"; none: the campaign',
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="BASELINE", help="the same of what it must beat; default: what was kept last", show_default=False
        ),
    ] = None,
    campaign: Annotated[str, typer.Option(metavar="NAME", help="whose error budget and ledger it is")] = "main",
    looks: Annotated[
        str | None,
        typer.Option(help="numbers of pairs at which it may be decided; default: 3,5,8,16", show_default=False),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="fresh seeds, as in 20000-20015; default: the next ones", show_default=False)
    ] = None,
    least: Annotated[
        float, typer.Option(metavar="NATS", help="how much better it has to be; below 0: how much worse it may be")
    ] = 0.0,
    again: Annotated[bool, typer.Option("--again", help="judge words anew that have an answer")] = False,
    wait: Annotated[
        bool | None, typer.Option("--wait/--no-wait", help="stay until the answer; default: on lanes, not for Slurm")
    ] = None,
    conf: Conf = None,
    run_root: RunRoot = None,
    as_json: Json = False,
) -> None:
    """Keep a change or drop it: on fresh seeds, in pairs, within one error budget for all candidates of a campaign.

    Exit codes: 0 keep, 3 drop, 4 undecided; 1 a run failed, 2 something typed is wrong, or the ledger was changed,
    75 not answered yet: the same command goes on.
    """
    from simplify.cli.judge import Wishes, judge_command

    wishes = Wishes(campaign, seeds, looks, least, again, wait, conf, run_root, as_json, sys.argv)
    sys.exit(judge_command(candidate, against, wishes))
