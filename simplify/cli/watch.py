"""`simplify watch`: runs as they train, live on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simplify.cli.eta import Eta
from simplify.cli.fit import RUN, Columns, by_id, with_short_heads
from simplify.cli.followed import Followed
from simplify.cli.select import select
from simplify.cli.status import cause
from simplify.cli.study import say_studies
from simplify.cli.table import PROSE, as_columns, cells, counted, fitted, is_setting, print_runs
from simplify.compare.textplot import COLOURS, Curve, text_plot
from simplify.display import console, is_terminal, reader_left, short_time, tell, wrapped
from simplify.display.progress import REDRAW_HZ
from simplify.errors import TrainingFailed, TryAgain
from simplify.runs.queue import Queue
from simplify.runs.store import RunStore, RunView
from simplify.sweep.record import Record

_LOOK_EVERY = 1.0  # seconds
_LINE_EVERY = 30.0  # seconds between two plain lines when nothing happens
_PATIENCE = 10.0  # seconds that runs may wait with no lane before watching ends
_CURVES = len(COLOURS)
_PLOT_HEIGHT = 10  # lines
_BAR = 14  # characters
_UNSEEN = ("device", "attempt", "tokens/s")  # columns that do not move; `status` has them


def watch_command(words: Sequence[str], run_root: Path | None) -> None:
    """Watch the chosen runs until none of them waits or is being trained."""
    chosen = select(words, run_root)
    watch(chosen.store, [run.run_id for run in chosen.runs], chosen.title, chosen.unstarted, chosen.studies)


def watch(
    store: RunStore, run_ids: Sequence[str], title: str, unbegun: Sequence[str] = (), studies: Sequence[Record] = ()
) -> None:
    """Stay until all runs have ended, then show them as a table, and the names of those that nothing works on.

    `studies`: tuned sweeps, which are stayed with until they are done, and go on meanwhile. Raises TrainingFailed if
    some failed, TryAgain if some stopped or nothing works on them. Ctrl-C ends the watching alone.
    """
    first = store.runs(run_ids)
    names, news = {run.run_id: run.name for run in first}, _News(first)
    followed = Followed(store, run_ids, [record.name for record in studies])
    try:
        runs = _live(store, followed, title, news) if is_terminal() else _plain(store, followed, title, news)
    except KeyboardInterrupt:
        tell("\nno longer watching; the runs go on (simplify status shows them, simplify cancel stops them)")
        raise SystemExit(130) from None
    if reader_left():  # `| head` has what it wanted; the runs go on
        return
    left, begun = {run.run_id for run in runs}, {run.name for run in runs}
    gone = [name for name in unbegun if name not in begun]
    gone += [name for run_id, name in names.items() if run_id not in left]
    states = [*(run.state for run in runs), *("new" for _ in gone)]
    print_runs(runs, f"{title}: {counted(states)}", gone)
    say_studies(store.root, studies)
    answers = followed.answers
    _judge([run for run in runs if run.run_id not in answers], len(states) - len(answers), followed.is_done)


def _judge(runs: Sequence[RunView], total: int, all_decided: bool) -> None:
    failed = [run for run in runs if run.state in ("failed", "lost")]
    if failed:
        raise TrainingFailed(
            "exception",
            f"{len(failed)} of {total} runs failed or are lost; simplify why {failed[0].run_id} shows the first, "
            "simplify retry trains them again",
        )
    if not all_decided:
        raise TryAgain("the tuned sweep waits, as is said above")
    waiting = [run for run in runs if run.is_active]
    if waiting:
        wait = "1 run waits" if len(waiting) == 1 else f"{len(waiting)} runs wait"
        raise TryAgain(f"{wait}, but no lane works; simplify retry goes on")
    if len(runs) < total or any(run.state != "done" for run in runs):
        raise TryAgain("some runs were stopped; the sweep's command, or simplify retry with their names, goes on")


class _News:
    """What has happened since the last look, as lines."""

    def __init__(self, runs: Sequence[RunView]) -> None:
        troubled = ("failed", "lost")  # those are told also if it was before
        self._known: dict[str, Any] = {run.run_id: run.state for run in runs if run.state not in troubled}

    def since(self, runs: Sequence[RunView]) -> list[str]:
        """A line for each run whose state has changed."""
        lines = [_line(run) for run in runs if self._known.get(run.run_id) != run.state]
        self._known = {run.run_id: run.state for run in runs}
        return lines


def _line(run: RunView) -> str:
    if run.state == "done":
        loss = f", validation loss {run.last['val/loss']:.4f}" if "val/loss" in run.last else ""
        return f"{run.name}: done in {short_time(run.last['seconds'])}{loss}"
    if run.state in ("failed", "lost"):
        return f"{run.name}: {run.state}: {cause(run)}"
    return f"{run.name}: {run.state}"


class _Patience:
    """Whether it makes sense to go on waiting."""

    def __init__(self, store: RunStore) -> None:
        self._queue, self._since = Queue(store.root), time.monotonic()

    def left(self, runs: Sequence[RunView]) -> bool:
        """Some run is being trained, or waits and a lane lives (or did a moment ago)."""
        waits = any(run.waits_for_lane for run in runs)
        if any(run.is_active and not run.waits_for_lane for run in runs) or (waits and self._queue.lanes()):
            self._since = time.monotonic()
            return True
        return waits and time.monotonic() - self._since < _PATIENCE


def _plain(store: RunStore, followed: Followed, title: str, news: _News) -> list[RunView]:
    patience, said, eta = _Patience(store), time.monotonic(), Eta(store)
    while True:
        runs = followed.look()
        lines = [*news.since(runs), *followed.news()]
        if not lines and time.monotonic() - said >= _LINE_EVERY:
            needs = eta.of(runs)
            lines = [f"{title}: {counted([run.state for run in runs])}{f'; {needs}' if needs else _longest(runs)}"]
        for line in lines:
            said = time.monotonic()
            tell(line)
        if reader_left() or not (patience.left(runs) or followed.goes_on):
            return runs
        time.sleep(_LOOK_EVERY)


def _longest(runs: Sequence[RunView]) -> str:
    left = [run.seconds_left for run in runs if run.seconds_left is not None]
    return f"; those running need {short_time(max(left))} more" if left else ""


def _live(store: RunStore, followed: Followed, title: str, news: _News) -> list[RunView]:
    patience, curves, eta = _Patience(store), _Curves(), Eta(store)
    screen = console()
    with Live(console=screen, refresh_per_second=REDRAW_HZ, transient=True) as live:
        while True:
            runs = followed.look()
            for line in [*news.since(runs), *followed.news()]:
                live.console.print(line, highlight=False, markup=False)
            below = [*followed.words, eta.of(runs)]
            live.update(_picture(runs, title, below, curves, screen.size))
            if reader_left() or not (patience.left(runs) or followed.goes_on):
                return runs
            time.sleep(_LOOK_EVERY)


def _picture(
    runs: Sequence[RunView], title: str, words: Sequence[str], curves: _Curves, size: ConsoleDimensions
) -> RenderableType:
    """The table, the losses as a plot, and between them some words."""
    width, height = size
    order = ("running", "failed", "lost", "done", "unknown", "stopped", "cancelled", "queued", "new")
    ranked = sorted(runs, key=lambda run: order.index(run.state))
    below = [line for one in words for line in wrapped(one, width)]
    room = max(height - _PLOT_HEIGHT - 8 - len(below), 3)
    coloured = [run for run in ranked if run.state in ("running", "done")][:_CURVES]
    colours = {run.run_id: colour for run, colour in zip(coloured, COLOURS, strict=False)}
    columns, bar = _moving(ranked, width)
    table = Table(title=f"{title}: {counted([run.state for run in runs])}", title_justify="left")
    for name in columns:
        table.add_column(name, no_wrap=name not in PROSE and ", " not in name)
        if name == "state" and bar:
            table.add_column("", width=_BAR)
    for run, row in list(zip(ranked, zip(*columns.values(), strict=True), strict=True))[:room]:
        parts: list[RenderableType] = []
        for name, text in zip(columns, row, strict=True):
            colour = colours.get(run.run_id) if name in (RUN, "id") else None
            parts.append(Text(text, style=colour or ""))
            if name == "state" and bar:
                parts.append(ProgressBar(total=1.0, completed=run.share, width=_BAR))
        table.add_row(*parts)
    unseen = len(runs) - room
    more = [f"{unseen} more run{'s'[: unseen != 1]}: simplify status" if unseen > 0 else "", *below]
    drawn = [Curve(*curves.of(run), colours[run.run_id]) for run in coloured]
    return Group(
        table, *map(Text, more), text_plot(drawn, min(width, 100), _PLOT_HEIGHT, "training loss against steps")
    )


def _moving(runs: Sequence[RunView], width: int) -> tuple[Columns, bool]:
    """The columns that fit, and whether there is room for a bar of progress beside them.

    The bar goes before a setting that tells runs apart; where not even those fit, they share one column of prose.
    """
    rows = [{name: text for name, text in row.items() if name not in _UNSEEN} for row in cells(runs)]
    whole, beside = as_columns(rows), width - _BAR - 3
    if (found := fitted(whole, beside)) is not None:
        return found[0], True
    if (found := fitted(whole, width)) is not None:
        return found[0], False
    settings = {name: texts for name, texts in with_short_heads(whole).items() if is_setting(name)}
    told = {", ".join(settings): [", ".join(row) for row in zip(*settings.values(), strict=True)]} if settings else {}
    least = {"id": by_id(whole)["id"], **told, "state": [row["state"].partition(",")[0] for row in rows]}
    return least, False


class _Curves:
    """Training losses of runs, read again only where a file has grown."""

    _POINTS = 200

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, tuple[list[float], list[float]]]] = {}

    def of(self, run: RunView) -> tuple[list[float], list[float]]:
        """Steps and losses, at most _POINTS of them."""
        try:
            size = run.folder.metrics_path.stat().st_size
        except OSError:
            return [], []
        known = self._read.get(run.run_id)
        if known is None or known[0] != size:
            rows = [row for row in run.folder.rows() if row.get("train/loss") is not None]
            thin = rows[:: max(len(rows) // self._POINTS, 1)]
            known = size, ([float(row["step"]) for row in thin], [row["train/loss"] for row in thin])
            self._read[run.run_id] = known
        return known[1]
