"""One grammar: what `config` prints is what `train` takes and what a sweep freezes, typed or from a file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from simplify.compose import axes, compose_points, compose_run
from simplify.config import RunConfig, show, validate
from simplify.config.kinds import full_keys, takes_at
from simplify.errors import ConfigError
from simplify.sweep.file import Size, read_sweep
from simplify.sweep.points import points_of

# As somebody writes a name, a number or a date, without quotes.
TEXTS = st.from_regex(r"[0-9A-Za-z_][0-9A-Za-z_.+-]{0,7}", fullmatch=True) | st.sampled_from(
    [
        "1e3",
        "0x1F",
        "017",
        "1_000",
        "2024-01-01",
        "yes",
        "Off",
        "true",
        "12345678901234567890",
        "1.50",
        "inf",
        "nan",
        "-3",
    ]
)
NUMBERS = st.sampled_from(["{}", "{:e}", "{:.3f}", "+{}"]).flatmap(
    lambda form: st.floats(1e-6, 1e3).map(lambda value: form.format(value))
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from("~")
)


def every_way(lines: Sequence[tuple[str, str]]) -> list[RunConfig | tuple[str, ...]]:
    """The run of key-value pairs, or what is wrong with it: typed, as a point of a sweep, from a sweep file."""
    words = [f"{key}={text}" for key, text in lines]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sweep.yaml"
        file.write_text("set:\n" + "".join(f"  {key}: {text}\n" for key, text in lines))
        points = [*points_of(Size.model_validate({}), axes(words, None)), *points_of(read_sweep(file), {})]
    found: list[RunConfig | tuple[str, ...]] = []
    for one in [*compose_points(points), _typed(words)]:
        found.append(one.lines if isinstance(one, ConfigError) else one)
    return found


def _typed(words: Sequence[str]) -> RunConfig | ConfigError:
    try:
        return compose_run(words)
    except ConfigError as error:
        return error


@settings(max_examples=30, deadline=None)
@given(TEXTS, st.sampled_from(["model.name", "wandb.project", "wandb.group", "block.name"]))
def test_a_text_is_what_was_written(text: str, key: str) -> None:
    ways = every_way([(key, text)])
    assert ways[0] == ways[1] == ways[2]
    run = ways[0]
    if isinstance(run, RunConfig):
        group, name = key.split(".")
        assert getattr(getattr(run, group), name) == (None if text.lower() == "null" else text)
        printed = yaml.safe_load(yaml.safe_dump(run.model_dump(mode="json")))
        assert validate(RunConfig, printed) == run
    else:
        assert text.lower() in ("null", "none", "nil") or text[0] in "+-", run


@settings(max_examples=20, deadline=None)
@given(NUMBERS, st.integers(0, 2**32 - 1))
def test_numbers_and_references_are_the_same_every_way(rate: str, seed: int) -> None:
    """A reference means the value that was written, whatever it was written in."""
    lines = [
        ("optimiser.lr", rate),
        ("seed", str(seed)),
        ("optimiser.eps", "${optimiser.lr}"),
        ("model.seed", "${seed}"),
    ]
    lines += [("wandb.notes", "lr-${optimiser.lr}-of-${block.name}")]
    ways = every_way(lines)
    assert ways[0] == ways[1] == ways[2]
    run = ways[0]
    if isinstance(run, RunConfig):
        assert run.optimiser.lr == run.optimiser.eps == float(rate) and run.model.seed == run.seed == seed
        assert run.wandb.notes == f"lr-{run.optimiser.lr}-of-sas"
    else:
        assert float(rate) == 0, run


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(set(full_keys(RunConfig)))), VALUES)
def test_whatever_stands_in_a_point_is_a_run_or_a_line(key: str, value: Any) -> None:
    """No value of any setting is taken for one of another kind, and none is a traceback."""
    (found,) = compose_points([{"block": "skipless_reparam", key: value}])
    kind = takes_at(RunConfig, key.split("."))
    assert kind is not None
    if isinstance(found, ConfigError):
        assert all(line and "\n" not in line.replace(show(value), "") for line in found.lines)
        return
    if isinstance(value, bool):
        assert kind.boolean
    if value is None:
        assert kind.null or "null" in kind.words
    if isinstance(value, str) and value.strip().lower() in ("", "none", "~"):
        assert not kind.null or value in kind.words
