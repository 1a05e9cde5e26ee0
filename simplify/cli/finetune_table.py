"""The table of fine-tunings: a line a run, or where that is too wide a line a task and a column a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simplify.cli.fit import parts, plain, plain_width
from simplify.compare.statistics import mean_sd
from simplify.config import differing, show
from simplify.display import console
from simplify.finetune.kept import Kept, Row
from simplify.finetune.recipe import Recipe
from simplify.finetune.tasks import TITLES, GlueTask


def print_rows(rows: Sequence[Row], tasks: Sequence[GlueTask], seeds: int) -> None:
    """Every number of every run, whole on any screen."""
    screen = console()
    texts = _texts(rows, tasks, seeds)
    if plain_width(texts) <= screen.width:
        screen.print(plain(texts))
        return
    tasks_down = [list(line) for line in zip(*texts, strict=True)]
    for part in parts(tasks_down, screen.width):
        screen.print(plain(part))


def _texts(rows: Sequence[Row], tasks: Sequence[GlueTask], seeds: int) -> list[list[str]]:
    """A line a run below the head."""
    names = [split.number for task in tasks for split in task.splits]
    whole = len(names) == len(TITLES)
    lines = [["run", *(TITLES[name] for name in names), *(["mean"] if whole else [])]]
    for row in rows:
        cells = [_cell(row.numbers.get(name, {}), seeds) for name in names]
        lines.append([row.run, *cells, *([_cell(row.means, seeds)] if whole else [])])
    return lines


def _cell(values: Mapping[int, float], seeds: int) -> str:
    if not values:
        return "-"
    mean, sd = mean_sd([100 * value for value in values.values()])
    few = f" ({len(values)}/{seeds})" if len(values) < seeds else ""
    return f"{mean:.1f}{few}" if sd is None else f"{mean:.1f} ± {sd:.1f}{few}"


def other_recipes_line(kept: Kept) -> str:
    """By which other recipes there are results of a run; empty where there are none."""
    told = [
        f"{_words(recipe)} ({number} result{'s'[: number != 1]} in finetune/{recipe.folder})"
        for recipe, number in kept.other_recipes().items()
    ]
    return f"{kept.folder.path.name}: nothing by this recipe, but by {'; by '.join(told)}" if told else ""


def _words(recipe: Recipe) -> str:
    """A recipe as it would be typed."""
    return (
        " ".join(f"{key}={show(value)}" for key, value in differing(recipe).items()) or "the paper's, without settings"
    )
