"""A sweep's own ETA: what its runs still need on the lanes that live, with what stands before them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import TINY, run_folder
from rich.console import Console, ConsoleDimensions

from simplify.cli.eta import Eta
from simplify.cli.watch import _picture
from simplify.compose import compose_run
from simplify.runs.files import write_json
from simplify.runs.process import this_process
from simplify.runs.queue import Job, Queue
from simplify.runs.store import RunStore

WORDS = [*TINY, "train.val_every=1000000", "train.val_sequences=1"]


class _NoCurves:
    def of(self, _: Any) -> tuple[list[float], list[float]]:
        return [], []


def queue_up(queue: Queue, *words: tuple[str, ...]) -> None:
    """Runs that wait, each with an id of its place."""
    for n, more in enumerate(words):
        config = compose_run([*WORDS, *more]).model_dump(mode="json")
        queue.add([Job(f"{n:010x}", f"sas-gpt_nano-{n:010x}", config, [], "/", "/", "/")])


def test_a_sweep_says_what_it_still_needs(cli: Callable[..., Any], here: Path) -> None:
    assert cli("train", *WORDS).code == 0
    done = run_folder(here)
    told = RunStore(here / "runs").runs()[0].facts.done or {}
    write_json(done / "done.json", {**told, "tokens_per_sec": 128 / 2})  # a step of 128 tokens takes two seconds
    queue, store = Queue(here / "runs"), RunStore(here / "runs")
    queue_up(queue, ("seed=1", "train.steps=30"), ("seed=2", "train.steps=30"), ("seed=3", "train.steps=60"))
    assert "needs" not in cli("status").out and Eta(store).of(store.runs()) == ""  # no lane lives
    for lane in ("here-0", "here-1"):
        queue.lane_path(lane).parent.mkdir(exist_ok=True)
        write_json(queue.lane_path(lane), {**this_process(), "lane": lane})
        runs = store.runs()
        lanes = len(queue.lanes())
        after = {1: "4:00 more on 1 lane", 2: "3:00 more on 2 lanes"}[lanes]
        assert f": needs about {after} (by runs of the same models here)" in cli("status").out
    assert Eta(store).of(runs[:1]).startswith("needs about 1:00 more on 2 lanes")  # which is taken first
    assert Eta(store).of(runs[3:]) == ""  # it is done
    screen = Console(width=60, record=True)
    screen.print(_picture(runs, "a sweep", [Eta(store).of(runs)], _NoCurves(), ConsoleDimensions(60, 40)))  # type: ignore[arg-type]
    assert "needs about 3:00 more on 2 lanes" in screen.export_text()
    queue_up(queue, *[()] * 3, ("model.n_layers=80",))
    less_sure = "more on 2 lanes (3 by runs of the same models here, 1 scaled by FLOPs from other models here)"
    needs = Eta(store).of(store.runs())
    assert needs.startswith("needs between ") and needs.endswith(less_sure), needs
