"""How long steps took here before: in runs of this run root and in benches, with where they were computed."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from simplify.config import RunConfig, validate
from simplify.errors import ConfigError
from simplify.runs.benches import read_benches
from simplify.runs.store import RunView
from simplify.sweep.places import Place, is_there
from simplify.sweep.work import work_of

_NEWEST = 200  # runs that are looked at; older ones say little more


class Seen(NamedTuple):
    """A step that was made here."""

    config: RunConfig
    work: str
    device: Mapping[str, Any]  # as its run.json or its bench has it
    seconds: float
    in_a_run: bool  # else in a bench

    def at(self, place: Place) -> bool:
        """Whether it was there."""
        return is_there(place, self.device, self.config.train.precision)


def seen_in(root: Path, views: Iterable[RunView]) -> list[Seen]:
    """Steps of the newest runs and of all benches that this machine has made."""
    return [*_in_runs(views), *_in_benches(root)]


def _in_runs(views: Iterable[RunView]) -> Iterator[Seen]:
    own = [view for view in views if view.about.get("host") == socket.gethostname()]
    for view in sorted(own, key=lambda view: str(view.about.get("created")))[-_NEWEST:]:
        device, speed = view.about.get("device"), view.last.get("tokens_per_sec")
        if isinstance(device, dict) and isinstance(speed, float) and speed > 0:
            yield from _seen(view.config, device, 1 / speed, True)


def _in_benches(root: Path) -> Iterator[Seen]:
    for bench in read_benches(root):
        record = bench.record
        if record.get("host") != socket.gethostname():
            continue
        for name, time in record.get("modes", {}).get("train", {}).get("variants", {}).items():
            variant, a_token = record["variants"][name], time["median"] / time["tokens"]
            key = variant["key"]  # its device is the name
            device = {"kind": key["kind"], "name": key["device"], "precision": key["precision"]}
            yield from _seen(variant["config"], {**device, "cpu_threads": key["threads"]}, a_token, False)


def _seen(config: Mapping[str, Any], device: Mapping[str, Any], a_token: float, in_a_run: bool) -> Iterator[Seen]:
    """A step of a whole batch, by the seconds a token."""
    try:
        run = validate(RunConfig, config)
    except ConfigError:  # of another version, which had other settings
        return
    yield Seen(run, work_of(run), device, a_token * run.train.batch_tokens, in_a_run)
