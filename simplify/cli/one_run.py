"""The verbs for one run, its model, and the zoo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from simplify.cli.complete import complete_block, complete_override
from simplify.cli.options import Conf, Config, Json, Overrides, Run, RunRoot


def train(
    overrides: Overrides = None,
    conf: Conf = None,
    config: Config = None,
    force: Annotated[bool, typer.Option("--force", help="run again; the old run folder is kept aside")] = False,
    here: Annotated[bool, typer.Option("--here", help="in this process also where the cluster is a Slurm one")] = False,
    multirun: Annotated[bool, typer.Option("--multirun", "-m", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Train one run, or continue it where it stopped. With a Slurm cluster: submit it, and return.

    Exit codes: 0 done, 1 the training failed, 2 something typed is wrong, 75 stopped: the same command continues.
    """
    from simplify.cli.train import point_to_sweep, train_command

    if multirun:  # Hydra's word
        point_to_sweep(overrides or [], conf)
    train_command(overrides or [], conf, config, force, here, sys.argv, as_json)


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
    as_json: Json = False,
) -> None:
    """Show the zoo: every block, one in detail, or several side by side."""
    from simplify.cli.blocks import blocks_command

    blocks_command(words or [], conf, as_json)


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
    as_json: Json = False,
) -> None:
    """Show how signals and gradients travel through the layers: token cosine, rank, gradients, attention entropy."""
    from simplify.cli.probe import probe_command

    probe_command(words or [], conf, seeds, sequences, out, as_json)


def bench(
    overrides: Overrides = None,
    conf: Conf = None,
    only: Annotated[
        str | None,
        typer.Option(help="of train, forward, decode, memory, with commas; default: all", show_default=False),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="what the others are compared with; default: pre_ln, else the first", show_default=False),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="rounds of each work; default: by --seconds", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="time for the rounds of all works together")] = 120,
    twin: Annotated[
        bool,
        typer.Option("--twin", help="the baseline a second time as well: what this machine makes of no difference"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare the speed of blocks in turn on this machine: training, forward, decoding, memory.

    Several values are allowed as in a sweep: block=pre_ln,sas model=gpt_nano
    """
    from simplify.cli.bench import bench_command

    bench_command(overrides or [], conf, only, baseline, rounds, seconds, twin, as_json, sys.argv)


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


def evaluate(
    run: Run,
    text: Annotated[str, typer.Option(metavar="FILE", help="a text file in UTF-8; -: stdin", show_default=False)],
    stride: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="tokens from one window of a long text to the next; default: half the context",
            show_default=False,
        ),
    ] = None,
    run_root: RunRoot = None,
    as_json: Json = False,
) -> None:
    """Show what a trained decoder makes of a text: nats a token, perplexity, bits a byte."""
    from simplify.cli.evaluate import eval_command

    eval_command(run, text, stride, run_root, as_json)


def finetune(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... [KEY=VALUE]...",
            help="finished encoders by name, id or path; task=glue (all) or some as in task=mnli,rte; seeds=3; and the "
            "recipe: epochs=5 lr=1.5e-4 batch=32 dropout=0.1 warmup=0.1 schedule=cosine weight_decay=0 head=1024",
            show_default=False,
        ),
    ],
    glue: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="folder of the GLUE download, or of a copy of nyu-mll/glue; default: $SIMPLIFY_GLUE, what was "
            "prepared (simplify data prepare glue), or the hub",
            show_default=False,
        ),
    ] = None,
    run_root: RunRoot = None,
    show: Annotated[bool, typer.Option("--show", help="only show what is there; trains nothing")] = False,
    as_json: Json = False,
) -> None:
    """Fine-tune trained encoders on GLUE and compare them: the paper's nine numbers (extra `glue`).

    Each task and seed is kept in the run folder; running again does only what is missing.
    Exit codes: 0 all done, 1 some gave no number (NaN), 2 something typed is wrong, 75 stopped: run it again.
    """
    from simplify.cli.finetune import finetune_command

    sys.exit(finetune_command(words, glue, run_root, show, as_json))


def export(
    run: Run,
    to: Annotated[Path, typer.Option(help="the folder to write")],
    as_: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="KIND",
            help="simplify: any block, by our own code; gpt2 or llama: without it, where the block can be written so; "
            "auto: without it if possible",
        ),
    ] = "simplify",
    run_root: RunRoot = None,
) -> None:
    """Write a trained model for Hugging Face transformers: safetensors, config, tokeniser (extra `hub`)."""
    from simplify.cli.export import export_command

    export_command(run, to, as_, run_root)


def show_config(
    overrides: Overrides = None,
    conf: Conf = None,
    config: Config = None,
    diff: Annotated[bool, typer.Option("--diff", help="only what differs from the code's defaults")] = False,
    as_json: Json = False,
) -> None:
    """Print the configuration that `train` would run, composed and resolved."""
    from simplify.cli.config import config_command

    config_command(overrides or [], conf, config, diff, as_json)
