"""`simplify blocks`: the zoo as a table, one block in detail, several side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from simplify.choices import choices, first_line, overlay_dir
from simplify.cli.blocks_data import blocks_as_data
from simplify.compose import compose_zoo
from simplify.config import RunConfig, nearest
from simplify.display import answer, console
from simplify.errors import ConfigError
from simplify.zoo.counts import TRAINING_FLOPS, Part, count_flops, count_parameters, count_parts
from simplify.zoo.describe import differences, equations
from simplify.zoo.drawing import draw


def blocks_command(words: Sequence[str], conf: Path | None, as_json: bool) -> None:
    """Words without `=` are blocks, the others settings; `block=NAME` is a block as well."""
    folder = overlay_dir(conf)
    named = [word.removeprefix("block=").split(",") for word in words if "=" not in word or word.startswith("block=")]
    names = list(dict.fromkeys(name for group in named for name in group))
    overrides = [word for word in words if "=" in word and not word.startswith("block=")]
    valid = choices("block", folder)
    for name in names:
        if name not in valid:
            raise ConfigError(f"{name}: no such block; {nearest(name, valid)}valid: {', '.join(valid)}")
    found = compose_zoo(overrides, conf, names)
    if as_json:
        answer("blocks", blocks_as_data(found, folder))
        return
    if not names:
        _zoo(found, folder)
        return
    for run in found.values():
        if isinstance(run, ConfigError):
            raise run
    runs = [run for run in found.values() if isinstance(run, RunConfig)]
    if len(runs) == 1:
        _detail(runs[0], folder)
    else:
        _side_by_side(runs)


def _zoo(found: dict[str, RunConfig | ConfigError], folder: Path | None) -> None:
    out = console()
    rows = list(_rows(found, folder))
    out.print(_table(_sizes(found), rows) if out.width >= _WIDE else _list(_sizes(found), rows))
    out.print(_FLOPS_NOTE, style="dim")


_WIDE = 140  # columns from which the table is readable


@dataclass(frozen=True)
class _Row:
    name: str
    what: str
    differs: str
    parameters: str
    flops: str
    reference: str


def _rows(found: dict[str, RunConfig | ConfigError], folder: Path | None) -> Iterator[_Row]:
    for name, run in sorted(found.items(), key=lambda item: item[0] != "pre_ln"):  # the baseline first
        what, reference = split_reference(first_line("block", name, folder))
        if isinstance(run, ConfigError):
            yield _Row(name, what, f"no run with these settings: {run.lines[0]}", "-", "-", reference)
            continue
        sizes = (run.block, run.model, run.data.vocab_size)
        counts = (short(count_parameters(*sizes)), short(count_flops(*sizes)))
        yield _Row(name, what, differences(run.block, run.model) or "-", *counts, reference)


def _table(title: str, rows: Sequence[_Row]) -> Table:
    table = Table(title=title, title_justify="left", show_lines=True)
    for name in ("block", "what it is", "differs from pre_ln in"):
        table.add_column(name, overflow="fold", no_wrap=name == "block")
    for name in ("parameters", "FLOPs/token"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("reference", overflow="fold")
    for row in rows:
        table.add_row(
            row.name,
            row.what,
            row.differs,
            row.parameters,
            row.flops,
            row.reference,
        )
    return table


def _list(title: str, rows: Sequence[_Row]) -> Table:
    """The same for a narrow terminal: what a block is below its name and counts."""
    table = Table(title=title, title_justify="left", show_lines=True, expand=True)
    table.add_column("block\nparameters, FLOPs/token", no_wrap=True)
    table.add_column("what it is, what differs from pre_ln, reference", overflow="fold", ratio=1)
    for row in rows:
        said = "\n".join(text for text in (row.what, row.differs, row.reference) if text not in ("", "-"))
        table.add_row(Text.assemble((row.name, "bold"), f"\n{row.parameters}  {row.flops}"), said)
    return table


_FLOPS_NOTE = (
    "FLOPs of the forward pass, matrix products only (2 a multiply-add), full context; training: "
    f"{TRAINING_FLOPS} times"
)


def split_reference(line: str) -> tuple[str, str]:
    """The first line of a YAML as what it is, and the paper in the brackets at its end."""
    match = re.fullmatch(r"(.*) \((.*arXiv.*)\)", line)
    return (match[1], match[2]) if match else (line, "")


def short(number: float) -> str:
    """A count as people write it: 951k, 146.0M, 1.2G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.{1 if number >= 10 * size else 2}f}{unit}"
    return f"{number:g}"


def _sizes(found: dict[str, RunConfig | ConfigError]) -> str:
    run = next(run for run in found.values() if isinstance(run, RunConfig))
    model = run.model
    kind = {"decoder": "a decoder", "encoder": "an encoder"}[model.kind]
    return (
        f"blocks in {model.name}, {kind}: {model.n_layers} layers, d_model {model.d_model}, "
        f"{model.n_heads} heads, d_ff {model.d_ff}, context {model.seq_len}, vocabulary {run.data.vocab_size}"
    )


def _detail(run: RunConfig, folder: Path | None) -> None:
    out, name = console(), run.block.name
    out.print(f"{name}: {first_line('block', name, folder)}", style="bold")
    out.print(_sizes({name: run}) + "\n", style="dim")
    for line in draw(run.block):
        out.print(line)
    out.print()
    out.print(_aligned(list(equations(run.block, run.model).items())))
    out.print("[x] stands for a trained gain that is x at first\n", style="dim")
    out.print(_parts([run]))
    out.print(_FLOPS_NOTE + "\n", style="dim")
    out.print(_memory(run))


def _side_by_side(runs: Sequence[RunConfig]) -> None:
    """Only what differs."""
    out, names = console(), [run.block.name for run in runs]
    out.print(_sizes({run.block.name: run for run in runs}) + "\n", style="dim")
    for run in runs:
        out.print(run.block.name, style="bold")
        for line in draw(run.block):
            out.print(line)
        out.print()
    said = [equations(run.block, run.model) for run in runs]
    table = Table(title="equations that differ", title_justify="left", show_header=True)
    table.add_column("")
    for name in names:
        table.add_column(name, overflow="fold")
    for key in dict.fromkeys(key for equation in said for key in equation):
        lines = [equation.get(key, "-") for equation in said]
        if len(set(lines)) > 1:
            table.add_row(key, *lines)
    out.print(table)
    parts = _parts(runs, only_differing=True)
    out.print(parts if parts.row_count else "all parts have the same parameters and FLOPs")
    out.print(_FLOPS_NOTE, style="dim")


def _aligned(lines: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for key, text in lines:
        grid.add_row(key, "=", text)
    return grid


def _parts(runs: Sequence[RunConfig], only_differing: bool = False) -> Table:
    """Parameters and FLOPs by part, all layers together."""
    counted = [{p.name: p for p in count_parts(run.block, run.model, run.data.vocab_size)} for run in runs]
    for parts in counted:
        parts["total"] = Part("total", sum(p.parameters for p in parts.values()), sum(p.flops for p in parts.values()))
    table = Table(title="parts that differ" if only_differing else "parts, all layers together", title_justify="left")
    table.add_column("part")
    for run in runs:
        for what in ("parameters", "FLOPs/token"):
            table.add_column(f"{run.block.name} {what}" if len(runs) > 1 else what, justify="right")
    order = [*dict.fromkeys(name for parts in counted for name in parts if name != "total"), "total"]
    for name in order:
        found = [parts.get(name, Part(name, 0)) for parts in counted]
        if only_differing and len(set(found)) == 1:
            continue
        cells = (f"{number:,}" for part in found for number in (part.parameters, part.flops))
        table.add_row(name, *cells, style="bold" if name == "total" else None)
    return table


def _memory(run: RunConfig) -> str:
    from simplify.zoo.memory import activation_bytes, training_bytes

    layers = activation_bytes(run.block, run.model)
    whole = sum(layers) * run.micro_batch
    per_token = layers[-1] / run.model.seq_len
    parameters = count_parameters(run.block, run.model, run.data.vocab_size)
    parts = training_bytes(parameters, whole, run.micro_batch * run.model.seq_len, run.data.vocab_size)
    said = ", ".join(f"{what} {size / 2**30:.2f}" for what, size in parts.items())
    return (
        f"activation memory: a layer keeps {per_token / 1024:.1f} KiB a token for the backward pass (fp32, without "
        f"compiler); {run.model.n_layers} layers and train.micro_batch={run.micro_batch} sequences of "
        f"{run.model.seq_len}: {whole / 2**30:.2f} GiB\n"
        f"training: at least {sum(parts.values()) / 2**30:.2f} GiB a device: {said}; in bf16 the activations are "
        "about half of that; lower train.micro_batch where it is too much"
    )
