"""Gains that depend on depth: named rules, each one line of the table.

A gain in a block's YAML is a number, or `{rule: NAME, value: V, at_depth: L0}`: the value `V` is
what a model of `L0` layers gets, and the rule says how it moves with the number of layers `L`, or
with the layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from simplify.config.base import Settings

# What the gain depends on, and the factor on its value at n of them if the value holds at `at`.
RULES: dict[str, tuple[Literal["depth", "layer"], Callable[[int, int], float]]] = {
    "inv_sqrt_depth": ("depth", lambda n, at: (at / n) ** 0.5),
    "inv_depth": ("depth", lambda n, at: at / n),
    "fourth_root_depth": ("depth", lambda n, at: (n / at) ** 0.25),
    "inv_fourth_root_depth": ("depth", lambda n, at: (at / n) ** 0.25),
    "inv_sqrt_layer": ("layer", lambda n, at: (at / n) ** 0.5),
    "layerscale": ("depth", lambda n, at: _layerscale(n) / _layerscale(at)),
}


def _layerscale(depth: int) -> float:
    """The initial gain that LayerScale's authors use at each depth (arXiv 2103.17239, section 2)."""
    return 0.1 if depth <= 18 else 1e-5 if depth <= 24 else 1e-6


# What a model has of gains: one a head, one a channel or layer, and ratios of branch to skip of those that train.
HEAD_GAINS = ("alpha", "beta", "gamma")
BLOCK_GAINS = ("attn_skip", "attn_branch", "mlp_skip", "mlp_branch")
GAIN_RATIOS = ("value_ratio", "projection_ratio", "attn_ratio", "mlp_ratio")


class DepthGain(Settings):
    """A gain that follows a named rule of the model's depth, or of the layer's."""

    rule: Literal[
        "inv_sqrt_depth", "inv_depth", "fourth_root_depth", "inv_fourth_root_depth", "inv_sqrt_layer", "layerscale"
    ] = Field(description="how the gain moves with depth")
    value: float = Field(description="the gain in a model of `at_depth` layers (or in that layer)")
    at_depth: int = Field(ge=1, description="the number of layers (or the layer) at which the gain is `value`")

    @property
    def of(self) -> Literal["depth", "layer"]:
        """What it depends on."""
        return RULES[self.rule][0]


def _kind(value: Any) -> str:
    return "rule" if isinstance(value, (dict, DepthGain)) else "number"


Gain = Annotated[Annotated[DepthGain, Tag("rule")] | Annotated[float, Tag("number")], Discriminator(_kind)]


def gain_at(gain: DepthGain | float, n_layers: int, layer: int = 0) -> float:
    """The gain's initial value in `layer`, counted from 0, of a model of `n_layers` layers."""
    if isinstance(gain, DepthGain):
        of, factor = RULES[gain.rule]
        return gain.value * factor({"depth": n_layers, "layer": layer + 1}[of], gain.at_depth)
    return gain
