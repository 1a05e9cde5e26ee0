"""What axes, titles and bands of figures are called: a report's labels are for these texts too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from simplify.compare.curves import AXES
from simplify.compare.figures import BANDS, LOSSES, MEASURES, UNIT
from simplify.compare.panels import Panel
from simplify.compare.scaling import BAND, SIZES

_KEYS = {text: key for key, text in AXES.items()}


def words_of(panel: Panel) -> set[str]:
    """The words by which a label can name the texts of a panel: each as it stands, an x axis by its key too."""
    axes = {panel.x_label, *(view.label for view in panel.views)}
    return {panel.title, panel.y_label, panel.band, *axes, *map(_key, axes)} - {""}


def usual_words(settings: Iterable[str]) -> set[str]:
    """The words by which labels can name texts of figures over any runs; `settings`: those that are axes."""
    axes = {*AXES.values(), *SIZES.values(), *settings}
    titles = {*LOSSES.values(), *(f"final validation loss against {axis}" for axis in axes)}
    return {
        *titles,
        *axes,
        *map(_key, axes),
        UNIT,
        BAND,
        *BANDS,
        *(text for texts in MEASURES.values() for text in texts[:2]),
    }


def renamed(panel: Panel, labels: Mapping[str, str]) -> Panel:
    """A panel with its texts as `labels` call them, formulas between dollars. An empty label leaves the text out."""
    if not words_of(panel) & labels.keys():
        return panel
    x_label, end = _axis(panel.x_label, labels), f" against {panel.x_label}"
    title = panel.title
    if x_label and title.endswith(end):
        title = f"{title.removesuffix(end)} against {x_label}"
    return replace(
        panel,
        title=labels.get(panel.title, title),
        x_label=x_label,
        y_label=labels.get(panel.y_label, panel.y_label),
        band=labels.get(panel.band, panel.band),
        views=[replace(view, label=_axis(view.label, labels)) for view in panel.views],
    )


def _axis(text: str, labels: Mapping[str, str]) -> str:
    return labels.get(text, labels.get(_key(text), text))


def _key(axis: str) -> str:
    """What an x axis is called for short: as `--x` has it, a setting by the last part of its key."""
    return _KEYS.get(axis, axis.rpartition(".")[2])
