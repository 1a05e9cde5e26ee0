"""What a sweep file's `report` may say: how the answer is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from simplify.config import Settings, nearest, show
from simplify.config.gains import BLOCK_GAINS, GAIN_RATIOS, HEAD_GAINS
from simplify.config.keys import full_key

GAINS = (*HEAD_GAINS, *BLOCK_GAINS, *GAIN_RATIOS)
SIZES = ("parameters", "flops", "tokens")
_OF_KIND = {"final": ("x", "by", "log_x", "log_y"), "gains": ("of",), "scaling": ("x", "log_x", "log_y")}

_MOST_SEEDS = 200  # of a look
NO_LOOKS = f"are no looks; valid: different whole numbers of seeds from 2 to {_MOST_SEEDS}, the least first"


def are_looks(values: Sequence[Any]) -> bool:
    """Whether these are numbers of seeds at which verdicts can be read."""
    whole = all(isinstance(look, int) and 2 <= look <= _MOST_SEEDS for look in values)
    return whole and list(values) == sorted(set(values))


class Figure(Settings):
    """A figure beside the loss curves."""

    kind: Literal["final", "gains", "scaling"] = Field(
        description="final: the last loss against a setting; gains: of each layer over training; scaling: a power law"
    )
    x: str | None = Field(
        None, description="final: the swept setting, as in block.value.branch; scaling: parameters, flops or tokens"
    )
    by: str = Field(
        "block", description="final: the setting, or several with spaces between, with a curve for each value"
    )
    of: tuple[str, ...] = Field((), description="gains: only these, as in alpha or value_ratio")
    log_x: bool | None = Field(
        None, description="final, scaling: a logarithmic x axis; null: of a scaling, and where values are geometric"
    )
    log_y: bool | None = Field(None, description="final, scaling: a logarithmic y axis; null: of a scaling alone")

    @field_validator("by")
    @classmethod
    def _by_is_of_settings(cls, value: str) -> str:
        if not value.split():
            raise ValueError("figures: by: is empty; valid: a setting, as in by: block.value.init")
        return " ".join(_setting("by", word) for word in value.split())

    @field_validator("of")
    @classmethod
    def _of_is_gains(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in GAINS:
                raise ValueError(f"figures: of={name}: {nearest(name, GAINS)}valid: {', '.join(GAINS)}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _x_is_known(cls, data: Any) -> Any:
        kind, x = (data.get("kind"), data.get("x")) if isinstance(data, Mapping) else (None, None)
        if kind == "final" and not x:
            raise ValueError("figures: x: is missing; valid: the swept setting, as in x: block.mlp_branch")
        if kind == "scaling" and x not in (None, *SIZES):
            raise ValueError(f"figures: x={x}: {nearest(str(x), SIZES)}valid: {', '.join(SIZES)}")
        return {**data, "x": _setting("x", x)} if kind == "final" and isinstance(x, str) else data

    @model_validator(mode="after")
    def _all_of_it_is_used(self) -> Figure:
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        useless = given - {"kind", *_OF_KIND[self.kind]}
        if useless:
            valid = ", ".join(_OF_KIND[self.kind])
            raise ValueError(f"figures: {sorted(useless)[0]}: says nothing of {self.kind}; valid there: {valid}")
        return self


def _setting(name: str, word: str) -> str:
    """The full key of the setting that a figure is to know. Raises ValueError."""
    try:
        return full_key(word)
    except ValueError as error:
        raise ValueError(f"figures: {name}={error}") from None


Column = Literal[
    "runs",
    "loss",
    "difference",
    "verdict",
    "parameters",
    "flops",
    "speed",
    "memory",
    "steps",
    "seconds",
    "paper",
    "chosen",  # from here on of a tuned sweep
    "untuned",
    "words",
    "sensitivity",
    "basin",
    "trials",
    "hours",
]


class Paper(Settings):
    """What the paper says of the same question."""

    where: str = Field(description="figure or table, as in Fig 5")
    hours: str | None = Field(None, description="how long a run takes there, as in 24 on one RTX 2080 Ti")
    columns: dict[str, dict[str, str | float]] = Field(
        description="a column of numbers each, by block, or by settings such as block.value.branch=0"
    )


class Report(Settings):
    """How a sweep's answer is shown."""

    baseline: str | None = Field(
        None, description="the block that the others are compared with, or settings such as block=sas optimiser.lr=1e-3"
    )
    x: Literal["step", "tokens", "flops", "seconds", "device_hours"] = Field("step", description="the axis of curves")
    colour: str = Field("block", description="the setting whose values have a colour each")
    margin: float | None = Field(None, gt=0, description="losses that surely differ by less, in nats, count as equal")
    looks: tuple[int, ...] = Field(
        (),
        description="numbers of seeds at which verdicts may be read, as in [3, 5, 8]; empty: once, at the first look",
    )
    figures: tuple[Figure, ...] = Field((), description="figures beside the loss curves")
    labels: dict[str, str] = Field(
        {}, description="what names, or parts of them as tables print these, are called; formulas between dollars"
    )
    columns: tuple[Column, ...] = Field(
        (), description="the columns of table.md and table.tex beside the variant; empty: the usual ones"
    )
    log_x: bool = Field(False, description="loss curves against a logarithmic x axis")
    log_y: bool = Field(False, description="loss curves on a logarithmic y axis")
    title: bool = Field(True, description="whether figures have titles")
    font: str = Field("sans", description="of figures: sans, serif, or a family that is on this machine")
    width: float = Field(3.25, ge=1.5, le=20, description="of figures and table.tex in inches, as a column of a paper")
    paper: Paper | None = Field(None, description="the paper's numbers, shown beside ours")

    @field_validator("colour")
    @classmethod
    def _colour_is_a_setting(cls, value: str) -> str:
        try:
            return full_key(value)
        except ValueError as error:
            raise ValueError(f"report.colour={error}") from None

    @field_validator("looks", mode="before")
    @classmethod
    def _looks_are_planned(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and any(isinstance(look, bool) for look in value):
            return value  # which the check of all settings names
        if not isinstance(value, (list, tuple)) or not are_looks(value):
            raise ValueError(f"report.looks={show(value)}: {NO_LOOKS}, as in [3, 5, 8]")
        return tuple(value)

    @field_validator("labels", mode="before")
    @classmethod
    def _labels_are_texts(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for name, label in value.items():
                if isinstance(label, str) and label.count("$") % 2:
                    raise ValueError(f"{name}: {label}: has a formula without its end; valid: two dollars, as in $W_P$")
            return {show(name): show(label) for name, label in value.items()}
        return value
