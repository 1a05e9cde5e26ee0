"""The typed configuration of a run: the one place that knows defaults and valid values."""

from simplify.config.base import Settings, closest, differing, nearest, show
from simplify.config.block import BlockConfig, Dense, Identity, Reparam
from simplify.config.cluster import ClusterConfig
from simplify.config.data import DataConfig
from simplify.config.gains import DepthGain, gain_at
from simplify.config.model import GLU, ModelConfig
from simplify.config.problems import validate
from simplify.config.run import RunConfig
from simplify.config.train import BUDGETS, OptimiserConfig, TrainConfig, WandbConfig

__all__ = [
    "BUDGETS",
    "GLU",
    "BlockConfig",
    "ClusterConfig",
    "DataConfig",
    "Dense",
    "DepthGain",
    "Identity",
    "ModelConfig",
    "OptimiserConfig",
    "Reparam",
    "RunConfig",
    "Settings",
    "TrainConfig",
    "WandbConfig",
    "closest",
    "differing",
    "gain_at",
    "nearest",
    "show",
    "validate",
]
