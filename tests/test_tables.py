"""Each table of mechanisms and the typed configuration name the same things."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import pytest

from simplify.config import BlockConfig, DataConfig, DepthGain, ModelConfig, OptimiserConfig
from simplify.config.block import NORM_PLACES
from simplify.config.gains import RULES
from simplify.config.model import GLU, Activation, NormKind
from simplify.data.tokeniser_training import KINDS
from simplify.training.optimisers import OPTIMISERS
from simplify.training.schedules import SCHEDULES
from simplify.zoo.block import LAYOUTS
from simplify.zoo.counts import _NORM_PARAMETERS
from simplify.zoo.describe import _NORMS
from simplify.zoo.mlp import ACTIVATIONS
from simplify.zoo.norms import NORMS
from simplify.zoo.positions import ADDED


def words(model: Any, field: str) -> set[str]:
    """The valid words of a setting."""
    return set(get_args(model.model_fields[field].annotation))


TABLES: dict[str, tuple[Iterable[str], set[str], str]] = {
    "NORMS of zoo/norms.py": (NORMS, set(get_args(NormKind)), "NormKind in config/model.py"),
    "_NORM_PARAMETERS of zoo/counts.py": (_NORM_PARAMETERS, set(get_args(NormKind)), "NormKind in config/model.py"),
    "_NORMS of zoo/describe.py": (_NORMS, set(get_args(NormKind)), "NormKind in config/model.py"),
    "ACTIVATIONS of zoo/mlp.py": (ACTIVATIONS, set(get_args(Activation)), "Activation in config/model.py"),
    "LAYOUTS of zoo/block.py": (LAYOUTS, words(BlockConfig, "layout"), "layout in config/block.py"),
    "NORM_PLACES of config/block.py": (NORM_PLACES, words(BlockConfig, "norm"), "norm in config/block.py"),
    "RULES of config/gains.py": (RULES, words(DepthGain, "rule"), "DepthGain.rule in config/gains.py"),
    "ADDED of zoo/positions.py (and rope, alibi, none)": (
        [*ADDED, "rope", "alibi", "none"],
        words(ModelConfig, "positions"),
        "positions in config/model.py",
    ),
    "OPTIMISERS of training/optimisers.py": (OPTIMISERS, words(OptimiserConfig, "name"), "name in config/train.py"),
    "KINDS of data/tokenisers.py": (KINDS, words(DataConfig, "tokeniser_kind"), "tokeniser_kind in config/data.py"),
    "SCHEDULES of training/schedules.py": (
        SCHEDULES,
        words(OptimiserConfig, "schedule"),
        "schedule in config/train.py",
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_the_tables_and_the_typed_configuration_agree(table: str) -> None:
    found, valid, where = TABLES[table]
    only_table, only_config = set(found) - valid, valid - set(found)
    assert not only_table, f"{table} has {sorted(only_table)}, which nobody can choose: add the name to {where}"
    assert not only_config, f"{where} allows {sorted(only_config)}, which does nothing: add a line to {table}"


def test_gated_activations_are_activations() -> None:
    assert set(GLU) <= set(get_args(Activation))
