"""GLUE's metrics, by scikit-learn and scipy (extra `simplify[glue]`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from simplify.errors import UserError
from simplify.finetune.tasks import MetricName


def check_installed() -> None:
    """Raise UserError where scikit-learn is missing: before minutes of training."""
    if find_spec("sklearn") is None:
        raise UserError("finetune: needs scikit-learn; install the extra: pip install '.[glue]' in simplify's folder")


def _mcc(labels: Any, predicted: Any) -> float:
    """0 where all predictions are one class; scikit-learn says so and warns."""
    from sklearn.metrics import matthews_corrcoef

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(matthews_corrcoef(labels, predicted))


def _f1(labels: Any, predicted: Any) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, zero_division=0))  # type: ignore[arg-type]


def _accuracy(labels: Any, predicted: Any) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(labels, predicted))


def _pearson(labels: Any, predicted: Any) -> float:
    """NaN where all predictions are the same number."""
    from scipy.stats import pearsonr

    if np.ptp(predicted) == 0 or np.ptp(labels) == 0:
        return float("nan")
    found: Any = pearsonr(labels, predicted)
    return float(found.statistic)


# Each is of labels and predictions: classes (by argmax), or numbers.
METRICS: dict[MetricName, Callable[[Any, Any], float]] = {
    "mcc": _mcc,
    "f1": _f1,
    "pearson": _pearson,
    "accuracy": _accuracy,
}
