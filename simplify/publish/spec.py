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
    by: str | None = "block.name",
) -> Any:
    """The `wr.Report` on the runs with these W&B ids: the question, the table, losses and size.

    `baseline` is the block that the table compares with. `axis` is what the two charts of losses are drawn against; two
    more show the validation loss against the other axes. `by` is the setting with a line for each of its values; None:
    each run has its own. Raises UserError without the extra.
    """
    wr = library()
    told = [*lines, *([f"Compared with {baseline}."] if baseline else [])]
    runs = wr.Runset(project=project, name="runs", filters=f"Metric('ID') in {list(wandb_ids)!r}")
    panels = [make(wr, _place(wr, number)) for number, make in enumerate(_panels(axis, by))]
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
        raise UserError(
            "report --wandb: needs wandb-workspaces; install the extra: pip install '.[report]' in simplify's folder"
        ) from None
    return found


def _panels(axis: Axis, by: str | None) -> list[Any]:
    """Functions that make a panel, in reading order, two a row."""
    shown = [(metric, axis) for metric in _LOSSES]
    shown += [("val/loss", other) for other in _AXES if other != axis]
    return [*(_curves(metric, below, by) for metric, below in shown), _size]


def _curves(metric: str, axis: str, by: str | None) -> Any:
    """A loss: the mean over the runs of a group, and the range they span."""
    title = f"{_LOSSES[metric]} over {axis}"
    return lambda wr, place: wr.LinePlot(title=title, x=axis, y=[metric], layout=place, **_grouped(wr, by))


def _size(wr: Any, place: Any) -> Any:
    x, y = wr.SummaryMetric("parameters"), wr.SummaryMetric("val/loss")
    return wr.ScatterPlot(title="parameters and validation loss", x=x, y=y, layout=place)


def _grouped(wr: Any, by: str | None) -> dict[str, Any]:
    if by is None:
        return {}
    return {"groupby": wr.Config(by), "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}


def _place(wr: Any, number: int) -> Any:
    return wr.Layout(x=number % 2 * _WIDTH, y=number // 2 * _HEIGHT, w=_WIDTH, h=_HEIGHT)
