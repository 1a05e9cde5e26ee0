"""What a sweep file's `tune` may say, and `--tune`: each block finds its own settings before it is compared.

tune:
  over: {optimiser.lr: {from: 2.5e-4, to: 1.6e-2, factor: 2}}   # or a list, or start: round the untuned value
  each: [block]               # who has a choice of its own; what is not covered runs untuned
  seeds: [1000, 1001, 1002]   # the choice is made on these, never on those of the grid
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from simplify.config import Settings, show
from simplify.errors import ConfigError
from simplify.tune.study import Rules

EDGE, EDGE_OF_START = 2, 6  # values that may be tried beyond each end of a window
_SEEDS = 2**32
_WINDOW = "valid: {from: 2.5e-4, to: 1.6e-2, factor: 2}, a list of numbers such as [1e-3, 2e-3, 4e-3], or start"

Seed = Annotated[int, Field(ge=0, lt=_SEEDS)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Range(Settings):
    """Values from one to another, each a factor above the one before."""

    first: float = Field(alias="from", gt=0, description="the lowest value")
    to: float = Field(gt=0, description="no value is above this one")
    factor: float = Field(2.0, gt=1, description="from one value to the next")


Start = Literal["start"]  # round the value that a run has untuned
Window = Range | tuple[Number, ...] | Start


class Tune(Settings):
    """How each block finds its own settings, on seeds that are not compared afterwards."""

    over: dict[str, Window] = Field({}, description="the settings to be tuned, each with the values to be tried")
    each: tuple[str, ...] | None = Field(
        None,
        description="who has a choice of its own: settings (each of their values), or words such as block=sas (that "
        "one alone); null: whatever varies beside the seed",
    )
    seeds: tuple[Seed, ...] = Field((1000, 1001, 1002), description="the choice is made on these")
    race: bool = Field(True, description="whether values that are clearly behind get no further seeds")
    edge: int | None = Field(
        None, ge=0, le=20, description="values tried beyond each end while the best lies there; null: 2, with start 6"
    )
    gap: float = Field(0.03, gt=0, description="nats behind the best on the first seed, from which a value is dropped")
    studies: int = Field(1, ge=1, le=100, description="how often all is repeated with other seeds")
    at: dict[str, Any] = Field({}, description="settings of the tuning runs alone, such as a smaller model")
    shared: bool = Field(False, description="whether the final runs are made at the untuned settings too")

    @field_validator("over", mode="before")
    @classmethod
    def _windows(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"tune.over={show(value)}: needs settings with values; valid: {{optimiser.lr: start}}")
        return {str(key): _window(str(key), window) for key, window in value.items()}

    @field_validator("each", mode="before")
    @classmethod
    def _each_is_a_list(cls, value: Any) -> Any:
        if value is not None and (not isinstance(value, (list, tuple)) or not value):
            raise ValueError(f"tune.each={show(value)}: needs a list with settings, as in [block], or [block=sas]")
        return value

    @model_validator(mode="after")
    def _seeds_are_there(self) -> Tune:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"tune.seeds={show(self.seeds)}: needs at least one seed, and each once")
        return self

    def edge_of(self, key: str) -> int:
        """Values that may be tried beyond each end of a setting's window."""
        if self.edge is not None:
            return self.edge
        return EDGE_OF_START if self.over[key] == "start" else EDGE

    def rules(self, finals: tuple[int, ...]) -> Rules:
        """The seeds of each study, and how it chooses. Raises ConfigError where a seed would be used twice."""
        own = [_shifted(self.seeds, number) for number in range(self.studies)]
        compared = [_shifted(finals, number) for number in range(self.studies)]
        every = [*itertools.chain(*own, *compared)]
        again = sorted({seed for seed in every if every.count(seed) > 1})
        if again:
            many = f" over {self.studies} studies" if self.studies > 1 else ""
            raise ConfigError(
                f"tune.seeds={show(self.seeds)}: seed {show(again[0])} is used twice{many}, and what is chosen on a "
                f"seed cannot be judged on it; valid: seeds apart from those compared, {show(finals)}"
            )
        if max(every) >= _SEEDS:
            raise ConfigError(f"tune.studies={self.studies}: seed {max(every)} is too large; valid: seeds below 2**32")
        return Rules(tuple(own), tuple(compared), self.race, self.gap, self.shared)

    def over_with(self, typed: Mapping[str, Window]) -> Tune:
        """The same with settings that were typed, which win."""
        return self.model_copy(update={"over": {**self.over, **typed}})

    def data(self) -> dict[str, Any]:
        """What was said, as a file would say it."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _shifted(seeds: tuple[int, ...], study: int) -> tuple[int, ...]:
    return tuple(seed + study * len(seeds) for seed in seeds)


def _window(key: str, value: Any) -> Any:
    """A window as it is typed, checked, so that what is wrong is said of the whole setting."""
    said = f"tune.over.{key}={show(value)}"
    if isinstance(value, Range) or value == "start":
        return value
    if isinstance(value, Mapping):
        return _range(said, value)
    if isinstance(value, (list, tuple)) and any(isinstance(one, bool) for one in value):
        return value  # said of each of them, as of any number that YAML has read so
    if not isinstance(value, (list, tuple)) or not all(map(_is_number, value)):
        raise ValueError(f"{said}: is no window; {_WINDOW}")
    if len(value) < 2 or len({f"{one:.12g}" for one in map(float, value)}) < len(value):
        raise ValueError(f"{said}: needs at least two values, and each once; {_WINDOW}")
    return sorted(map(float, value))


def _range(said: str, value: Mapping[Any, Any]) -> Range:
    unknown = [key for key in value if key not in ("from", "to", "factor")]
    numbers = {str(key): float(number) for key, number in value.items() if _is_number(number)}
    if unknown or len(numbers) < len(value) or not {"from", "to"} <= numbers.keys():
        raise ValueError(f"{said}: is no window; {_WINDOW}")
    if not 0 < numbers["from"] <= numbers["to"]:
        raise ValueError(f"{said}: is empty; valid: from and to above 0, from not above to")
    if numbers.get("factor", 2.0) <= 1:
        raise ValueError(f"{said}: factor has to be above 1")
    return Range.model_validate(numbers)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
