"""The loss curve of one run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simplify.compare.canvas import drawing, new_figure, save
from simplify.runs.folder import RunFolder

_TRAIN, _VAL = "#0072B2", "#D55E00"  # blue and vermilion of Okabe and Ito, told apart by any eye


def draw_loss(folder: RunFolder, result: dict[str, Any]) -> Path:
    """Write loss.png: training and validation loss against step. Raises NotDrawn, OSError."""
    with drawing(font_size=10):
        return _draw(folder, result)


def _draw(folder: RunFolder, result: dict[str, Any]) -> Path:
    figure = new_figure(6.4, 4.0, dpi=150)
    axes = figure.add_subplot()
    rows = folder.rows()
    for key, name, style in (
        ("train/loss", "training, one batch", {"color": _TRAIN, "linewidth": 1.0, "alpha": 0.8}),
        (
            "val/loss",
            "validation, fixed set",
            {"color": _VAL, "linewidth": 1.8, "marker": "o", "markersize": 3},
        ),
    ):
        points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, **style)
    entropy = result["unigram_entropy"]
    axes.axhline(entropy, color="0.5", linestyle=":", linewidth=1.0, label=f"unigram entropy {entropy:.2f}")
    axes.set(
        xlabel="step",
        ylabel="loss (nats a token)",
        title=f"{folder.path.name}: validation {result['val/loss']:.3f}",
    )
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    path = folder.path / "loss.png"
    save(figure, path)
    return path
