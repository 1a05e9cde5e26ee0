"""What a W&B report of a comparison shows, made without a network. The only place that knows wandb-workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from simplify.errors import UserError

Axis = Literal["step", "tokens", "seconds"]
_AXES: tuple[Axis, ...] = get_args(Axis)
_LOSSES = {"val/loss": "validation loss", "train/loss": "training loss"}
_WIDTH, _HEIGHT = 12, 9  # of a panel; a grid is 24 columns wide


def report_spec(
    project: str,
    entity: str,
    title: str,
    lines: Sequence[str],
    table: str,
    wandb_ids: Sequence[str],
    baseline: str | None = None,
    axis: Axis = "step",
) -> Any:
    """The `wr.Report` on the runs with these W&B ids: the question, the table, losses, speed and size by block.

    `baseline` is the block that the table compares with. `axis` is what the two charts of losses are drawn
    against; two more show the validation loss against the other axes. Raises UserError without the extra.
    """
    wr = library()
    told = [*lines, *([f"Compared with {baseline}."] if baseline else [])]
    runs = wr.Runset(project=project, name="runs", filters=f"Metric('ID') in {list(wandb_ids)!r}")
    panels = [make(wr, _place(wr, number)) for number, make in enumerate(_panels(axis))]
    blocks = [
        *(wr.P(text=line) for line in told),
        wr.H2(text="Result"),
        wr.MarkdownBlock(text=table),
        wr.H2(text="Runs"),
        wr.PanelGrid(runsets=[runs], panels=panels),
    ]
    return wr.Report(project=project, entity=entity, title=title[:128], blocks=blocks, width="fluid")


def library() -> Any:
    """wandb_workspaces.reports.v2. Raises UserError where it is not installed."""
    try:
        import wandb_workspaces.reports.v2 as found
    except ImportError:
        raise UserError("report --wandb: needs wandb-workspaces; pip install 'simplify-blocks[report]'") from None
    return found


def _panels(axis: Axis) -> list[Any]:
    """Functions that make a panel, in reading order, two a row."""
    shown = [(metric, axis) for metric in _LOSSES]
    shown += [("val/loss", other) for other in _AXES if other != axis]
    return [*(_curves(metric, below) for metric, below in shown), _speed, _size]


def _curves(metric: str, axis: str) -> Any:
    """A loss by block: the mean over the runs of a block, and the range they span."""
    return lambda wr, place: wr.LinePlot(
        title=f"{_LOSSES[metric]} over {axis}", x=axis, y=[metric], layout=place, **_by_block(wr)
    )


def _speed(wr: Any, place: Any) -> Any:
    title = "throughput, tokens a second"
    return wr.BarPlot(title=title, metrics=["tokens_per_sec"], layout=place, **_by_block(wr))


def _size(wr: Any, place: Any) -> Any:
    x, y = wr.SummaryMetric("parameters"), wr.SummaryMetric("val/loss")
    return wr.ScatterPlot(title="parameters and validation loss", x=x, y=y, layout=place)


def _by_block(wr: Any) -> dict[str, Any]:
    return {"groupby": wr.Config("block.name"), "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}


def _place(wr: Any, number: int) -> Any:
    return wr.Layout(x=number % 2 * _WIDTH, y=number // 2 * _HEIGHT, w=_WIDTH, h=_HEIGHT)
