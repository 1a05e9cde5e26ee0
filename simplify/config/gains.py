"""Gains that depend on depth: named rules, each one line of the table.

A gain in a block's YAML is a number, or `{rule: NAME, value: V, at_depth: L0}`: the value `V` is
what a model of `L0` layers gets, and the rule says how it moves with the number of layers `L`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from simplify.config.base import Settings

# f(L, L0): the factor on the value that holds at L0 layers.
RULES: dict[str, Callable[[int, int], float]] = {
    "inv_sqrt_depth": lambda depth, at_depth: (at_depth / depth) ** 0.5,
    "inv_depth": lambda depth, at_depth: at_depth / depth,
}


class DepthGain(Settings):
    """A gain that follows a named rule of the model's depth."""

    rule: Literal["inv_sqrt_depth", "inv_depth"] = Field(description="how the gain moves with depth")
    value: float = Field(description="the gain in a model of `at_depth` layers")
    at_depth: int = Field(ge=1, description="the number of layers at which the gain is `value`")


def _kind(value: Any) -> str:
    return "rule" if isinstance(value, (dict, DepthGain)) else "number"


Gain = Annotated[Annotated[DepthGain, Tag("rule")] | Annotated[float, Tag("number")], Discriminator(_kind)]


def gain_at(gain: DepthGain | float, n_layers: int) -> float:
    """The gain's initial value in a model of `n_layers` layers."""
    if isinstance(gain, DepthGain):
        return gain.value * RULES[gain.rule](n_layers, gain.at_depth)
    return gain
