"""The short table at the end of a run."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from simplify.compare.siblings import siblings
from simplify.display import console
from simplify.runs.folder import RunFolder


def show_result(folder: RunFolder, result: dict[str, Any]) -> None:
    """Print what a finished run came to."""
    table = Table(title=folder.path.name, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    speed = result["tokens_per_sec"]
    gap = result["unigram_entropy"] - result["val/loss"]
    side = "below" if gap >= 0 else "above"
    masked = "val/bits_per_byte" not in result
    table.add_row("validation loss", f"{result['val/loss']:.4f}", "nats a hidden token" if masked else "nats a token")
    if not masked:
        table.add_row("", f"{result['val/bits_per_byte']:.4f}", "bits a byte")
    table.add_row("training loss", f"{result['train/loss']:.4f}", "last batch")
    table.add_row("unigram entropy", f"{result['unigram_entropy']:.4f}", f"validation is {abs(gap):.2f} nats {side}")
    table.add_row("parameters", f"{result['parameters']:,}", "")
    table.add_row("steps", f"{result['step']:,}", f"{result['tokens']:,} tokens in {result['seconds']:.0f} s")
    table.add_row("speed", "-" if speed is None else f"{speed:,.0f}", "tokens/s, median, first steps left out")
    console().print(table)


def show_siblings(folder: RunFolder, result: dict[str, Any]) -> None:
    """Print this run beside the finished runs that differ from it in the block alone, if there are any."""
    found = siblings(folder)
    if len(found) < 2:
        return
    table = Table(title="the same but for the block, on the same batches", title_justify="left")
    table.add_column("run")
    for name in ("validation loss", "difference", "parameters"):
        table.add_column(name, justify="right")
    for sibling in found:
        other, mine = sibling.result, sibling.name == folder.path.name
        gap = "-" if mine else f"{other['val/loss'] - result['val/loss']:+.4f}"
        row = (sibling.name, f"{other['val/loss']:.4f}", gap, f"{other['parameters']:,}")
        table.add_row(*row, style="bold" if mine else None)
    console().print(table)
