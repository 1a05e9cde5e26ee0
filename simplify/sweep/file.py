"""A sweep file: one question, its axes, and the sizes it can be asked at.

# Does the attention skip matter at depth? ...            the question, the cost, the expectation
set: {model: gpt_nano, train.steps: 600}                  the same in every run
grid: {block: [pre_ln, sas], seed: [0, 1, 2]}             every combination
zip: [{model.n_layers: [4, 16], train.micro_batch: [16, 4]}]      paired, value by value
add: [{block: v_skipinit, optimiser.lr: 3e-4}]            points beside the combinations
except: [{block: sas, model.n_layers: 16}]                combinations that are left out
tune: {over: {optimiser.lr: start}}                       what each block chooses for itself, on other seeds, before
report: {baseline: pre_ln, x: step, figures: [...], labels: {...}, columns: [...]}      how the answer is shown
scales: {nano: {set: {...}, grid: {...}}}                 the same question in another size
runs_of: other.yaml                                       another question to the runs of a file beside or below this
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from simplify.config import Settings, nearest, show, validate
from simplify.errors import ConfigError
from simplify.sweep.record import PAPER
from simplify.sweep.report import Report
from simplify.sweep.tuned import Tune
from simplify.sweep.written import read_file

Axes = dict[str, list[Any]]


class Size(Settings):
    """What a scale may say: the same keys as the file, each in its place."""

    set: dict[str, Any] = Field({}, description="settings of every run")
    grid: Axes = Field({}, description="axes, every combination")
    zip: tuple[Axes, ...] = Field((), description="groups of axes that go together value by value")
    add: tuple[dict[str, Any], ...] = Field((), description="points beside the combinations")
    leave_out: tuple[dict[str, Any], ...] = Field((), alias="except", description="combinations left out")
    tune: Tune | None = Field(None, description="settings that each block chooses for itself before it is compared")

    @field_validator("grid", "zip", mode="before")
    @classmethod
    def _axes_are_lists(cls, value: Any) -> Any:
        groups = value if isinstance(value, (list, tuple)) else [value]
        for name, axis in (pair for group in groups if isinstance(group, Mapping) for pair in group.items()):
            if not isinstance(axis, (list, tuple)):
                raise ValueError(f"{name}={show(axis)}: needs a list, as in {name}: [{show(axis)}]")
        return value

    @field_validator("zip", mode="before")
    @classmethod
    def _one_group_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _axes_have_values(self) -> Size:
        for name, axis in [*self.grid.items(), *(pair for group in self.zip for pair in group.items())]:
            if not axis:
                raise ValueError(f"{name}: an axis without values; valid: at least one, or leave the axis out")
        for group in self.zip:
            lengths = {name: len(axis) for name, axis in group.items()}
            if len(set(lengths.values())) > 1:
                found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
                raise ValueError(f"zip: axes of unequal length: {found}; valid: the same number of values in each")
        return self


class SweepFile(Size):
    """A whole sweep file."""

    report: Report = Field(Report.model_validate({}), description="how the answer is shown")
    scales: dict[str, Size] = Field({}, description="the same question in other sizes, by name")

    def at(self, scale: str) -> Size:
        """What the file says at a scale, whose words replace the file's setting by setting and axis by axis."""
        if scale == PAPER:
            return self
        if scale not in self.scales:
            valid = [PAPER, *self.scales]
            raise ConfigError(f"scale={scale}: {nearest(scale, valid)}valid in this file: {', '.join(valid)}")
        other = self.scales[scale]
        tune = self._tune_at(other)
        return Size.model_validate(
            {
                "set": {**self.set, **other.set},
                "grid": {**self.grid, **other.grid},
                "zip": other.zip or self.zip,
                "add": other.add or self.add,
                "except": other.leave_out or self.leave_out,
                **({"tune": tune} if tune else {}),
            }
        )

    def _tune_at(self, other: Size) -> dict[str, Any] | None:
        own, scaled = ((one.tune.data() if one.tune else {}) for one in (self, other))
        over = {**own.get("over", {}), **scaled.get("over", {})}
        return {**own, **scaled, "over": over} if own or scaled else None


def read_sweep(path: Path) -> SweepFile:
    """A sweep file, checked. Raises ConfigError with the file's name in every line."""
    what = "a sweep file with set, grid, zip, add, except, tune, report or scales, as in sweeps/"
    data = read_file(path, what)
    _refuse_times(path)
    if "runs_of" in data:
        data = _with_runs_of(path, data, what)
    unknown = [key for key in data if key not in _KEYS]
    if unknown:
        raise ConfigError(
            f"{path}: {unknown[0]}: {nearest(unknown[0], _KEYS)}valid in a sweep file: {', '.join(_KEYS)}"
        )
    try:
        return validate(SweepFile, data)
    except ConfigError as error:
        raise ConfigError(*(f"{path}: {line}" for line in error.lines)) from None


_KEYS = ("set", "grid", "zip", "add", "except", "tune", "report", "scales", "runs_of")


def _with_runs_of(path: Path, data: Mapping[str, Any], what: str) -> dict[str, Any]:
    """What a file says over the runs of another one, whose report is not taken over."""
    name = str(data["runs_of"])
    found = {str(other.relative_to(path.parent)) for other in path.parent.rglob("*.yaml") if other != path}
    if name not in found:
        valid = ", ".join(sorted(found))
        raise ConfigError(
            f"{path}: runs_of={name}: no such file beside it or below; valid: {valid or '(there is none)'}"
        )
    other = read_file(path.parent / name, what)
    if "runs_of" in other:
        raise ConfigError(f"{path}: runs_of={name}: has runs_of itself; valid: {other['runs_of']}")
    own = {key: value for key, value in data.items() if key != "runs_of"}
    merged = {key: {**other[key], **own[key]} for key in ("set", "grid") if key in other and key in own}
    return {**{key: value for key, value in other.items() if key != "report"}, **own, **merged}


def _refuse_times(path: Path) -> None:
    """YAML reads 12:30:00 without quotes as a number to the base 60."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        found = re.search(r"[:\[,]\s*(\d+:[0-5]?\d(?::[0-5]?\d)?)\s*(?:[,\]}]|$)", line.split("#")[0])
        if found:
            raise ConfigError(
                f"{path}, line {number}: {found[1]} without quotes is a number to the base 60 in YAML; write "
                f'"{found[1]}"'
            )


def header(path: Path) -> list[str]:
    """The comment at the head of a sweep file: the question, its cost, the expectation."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return lines


_WORD = re.compile(r"(Question|Cost|Expectation|Note)(?: \([^)]*\))?: ")


def paragraphs(lines: Sequence[str]) -> list[str]:
    """The lines of a header without the file's own breaks: a paragraph a word, and after an empty line."""
    found: list[str] = []
    begins = True
    for line in lines:
        if line and (begins or _WORD.match(line)):
            found.append(line)
        elif line:
            found[-1] = f"{found[-1]} {line}"
        begins = not line
    return found


def header_parts(path: Path) -> dict[str, str]:
    """What a header says under each of its words, each a key in small letters: question, cost, expectation, note."""
    parts: dict[str, str] = {}
    word = ""
    for line in header(path):
        found = _WORD.match(line)
        if found:
            word, line = found[1].lower(), line[found.end() :]
        if word:
            parts[word] = f"{parts[word]} {line}" if word in parts else line
    return parts


def shown(point: Mapping[str, Any]) -> str:
    """A point as words of a command line."""
    return " ".join(f"{key}={show(value)}" for key, value in point.items())
