"""Readings of several seeds and blocks, combined: what the table, the pictures and probe.json say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simplify.compare.panels import Curve, Panel
from simplify.diagnose.probe import GAINS, WEIGHTS, Reading

# Mean cosine of the last layer's tokens from which a stream counts as collapsed to one direction.
COLLAPSED = 0.99


@dataclass(frozen=True)
class Measure:
    """How a measure is shown."""

    title: str
    explanation: str
    log: bool = False
    main: bool = True  # in the picture and the table; else on the page only


MEASURES: dict[str, Measure] = {
    "token_cosine": Measure("token cosine", "Mean cosine of two tokens of a sequence. 1: rank collapse."),
    "rank_one_residual": Measure(
        "residual of rank 1", "||X - 1 mean(X)|| / ||X||. 0: all tokens are the same.", log=True
    ),
    "effective_rank": Measure("effective rank", "exp of the entropy of the normalised singular values.", log=True),
    "rms": Measure("RMS of the stream", "Root of the mean square of all elements.", log=True),
    "gradient": Measure("gradient of the stream", "Norm of the loss' gradient at each layer.", log=True),
    "attention_entropy": Measure(
        "attention entropy", "Over that of a uniform row; 1: attention looks nowhere in particular."
    ),
    "attn_ratio": Measure("attention branch / skip", "|b F| / |a x|; nothing where there is no skip.", log=True),
    "mlp_ratio": Measure("MLP branch / skip", "|b F| / |a x|; nothing where there is no skip.", log=True),
    "kurtosis": Measure(
        "kurtosis of neurons", "mean s^4 / (mean s^2)^2 of the neurons' RMS s; 1: all alike.", log=True
    ),
    "max_to_median": Measure("largest / median activation", "Over all elements of the stream.", log=True),
    **{name: Measure(name, "The gain's value; the band is least to largest over heads.", main=False) for name in GAINS},
    **{
        f"gradient {name}": Measure(f"gradient of {name}", "Norm of the gradient of the matrix.", log=True, main=False)
        for name in WEIGHTS
    },
}


def mean_of(readings: Sequence[Reading], key: str) -> list[float | None]:
    """Mean over seeds at each layer; None where a seed has none."""
    return [None if None in values else sum(values) / len(values) for values in _columns(readings, key)]


def _columns(readings: Sequence[Reading], key: str) -> list[tuple]:
    return list(zip(*(reading[key] for reading in readings), strict=True))


def panels(found: Mapping[str, Sequence[Reading]], only_main: bool = False) -> list[Panel]:
    """A panel for each measure that any of the blocks has; bands are the extremes over seeds."""
    result = []
    for key, measure in MEASURES.items():
        if only_main and not measure.main:
            continue
        curves = [_curve(name, readings, key) for name, readings in found.items()]
        if any(y is not None for curve in curves for y in curve.y):
            result.append(Panel(key, measure.title, measure.explanation, "layer", measure.title, curves, measure.log))
    return result


def _curve(name: str, readings: Sequence[Reading], key: str) -> Curve:
    values = mean_of(readings, key)
    layers = len(readings[0]["token_cosine"])
    x = [float(layer) for layer in range(layers - len(values), layers)]
    least, largest = (f"{key} least", f"{key} largest") if key in GAINS else (key, key)
    low = [None if None in column else min(column) for column in _columns(readings, least)]
    high = [None if None in column else max(column) for column in _columns(readings, largest)]
    return Curve(name, x, values, low, high)


def table(found: Mapping[str, Sequence[Reading]]) -> list[list[str]]:
    """Rows, the first of them the header: each main measure at the first, middle and last layer."""
    rows = [["measure", *found]]
    for key, measure in MEASURES.items():
        means = [mean_of(readings, key) for readings in found.values()]
        if measure.main and any(value is not None for values in means for value in values):
            rows.append([measure.title, *(_three(values) for values in means)])
    return rows


def _three(values: Sequence[float | None]) -> str:
    picked = [values[0], values[len(values) // 2], values[-1]]
    return " → ".join("-" if value is None else f"{value:.3g}" for value in picked)


def collapsed(found: Mapping[str, Sequence[Reading]]) -> dict[str, float]:
    """The blocks whose last layer's tokens all point one way, with their token cosine."""
    last = {name: mean_of(readings, "token_cosine")[-1] for name, readings in found.items()}
    return {name: value for name, value in last.items() if value is not None and value >= COLLAPSED}
