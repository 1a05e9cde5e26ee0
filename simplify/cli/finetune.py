"""`simplify finetune`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simplify.cli.finetune_table import other_recipes_line, print_rows
from simplify.cli.select import is_setting
from simplify.compare.statistics import mean_sd
from simplify.config import RunConfig
from simplify.display import answer, answer_alone, console, work_counts
from simplify.display.progress import meter
from simplify.errors import ConfigError, RunFolderError
from simplify.finetune.kept import Kept, Row, row_of
from simplify.finetune.recipe import Recipe, read_recipe
from simplify.finetune.tasks import TITLES, GlueTask, chosen_tasks
from simplify.program import loading
from simplify.runs.folder import root_path
from simplify.runs.lookup import find_run

if TYPE_CHECKING:
    from simplify.finetune.glue import TaskData


def finetune_command(words: Sequence[str], glue: str | None, root: Path | None, show: bool, as_json: bool) -> int:
    """Fine-tune what is missing, then show the table; returns the exit code."""
    settings = [word for word in words if is_setting(word)]
    recipe, task, count = read_recipe(settings)
    tasks, seeds = chosen_tasks(task), range(count)
    runs = [_encoder(word, root, recipe) for word in words if word not in settings]
    if not runs:
        raise ConfigError("finetune: names no run; valid: one or more runs, as in simplify finetune RUN task=mnli")
    if show and glue:
        raise ConfigError(f"--glue {glue}: has no use with --show, which reads results alone; valid: one of the two")
    told = glue or os.environ.get("SIMPLIFY_GLUE")  # then what is there is compared with it
    if not show and (told or any(kept.missing(tasks, seeds) for kept, _ in runs)):
        with answer_alone(as_json):
            _work(runs, tasks, seeds, glue, bool(told))
    rows = [row_of(kept, tasks, seeds) for kept, _ in runs]
    if as_json:
        answer("finetune", {"rows": [_plain(row) for row in rows]})
    else:
        _print([kept for kept, _ in runs], rows, tasks, recipe, count)
    return 1 if any(row.failed for row in rows) else 0


def _encoder(word: str, root: Path | None, recipe: Recipe) -> tuple[Kept, RunConfig]:
    folder = find_run(word, root_path(str(root) if root else None))
    config = folder.config()
    if config.model.kind != "encoder":
        raise ConfigError(
            f"{word}: is a decoder (model.kind={config.model.kind}); valid: an encoder, such as model=bert_nano"
        )
    if folder.done() is None:
        raise RunFolderError(f"{folder.path}: is not finished; train it to its end first, then run this again")
    return Kept(folder, recipe), config


def _work(
    runs: Sequence[tuple[Kept, RunConfig]],
    tasks: Sequence[GlueTask],
    seeds: Sequence[int],
    glue: str | None,
    all_of_it: bool,
) -> None:
    from simplify.finetune.glue import find_glue, read_task
    from simplify.finetune.metrics import check_installed

    check_installed()
    needed = {task.name for kept, _ in runs for task, _ in kept.missing(tasks, seeds)}
    source = find_glue(glue, [task for task in tasks if task.name in needed])
    # All is read before anything is trained: what is missing is said at once, not after hours.
    found = {task.name: read_task(source, task) for task in tasks if all_of_it or task.name in needed}
    for task in (task for task in tasks if task.name in found):
        for kept, _ in runs:
            kept.check_data(task, seeds, found[task.name].fingerprint, source.said)
    if not needed:
        return
    with loading("torch"):
        from simplify.training.signals import StopRequest
    work_counts()
    with StopRequest() as stop:
        for kept, config in runs:
            _work_on(kept, config, tasks, seeds, found, stop)


def _work_on(
    kept: Kept,
    config: RunConfig,
    tasks: Sequence[GlueTask],
    seeds: Sequence[int],
    data: Mapping[str, TaskData],
    stop: Any,
) -> None:
    if not kept.missing(tasks, seeds):
        return
    from simplify.finetune.train import FineTuning, Inputs
    from simplify.training.device import choose_device
    from simplify.training.restored import restore_run

    with kept.lock(), meter(kept.folder.path.name, 1.0) as shown:
        restored, device = restore_run(kept.folder, config), choose_device(config, None)
        about = kept.folder.about().get("device", {})
        if about.get("kind") == device.kind:  # where it was pre-trained `auto` is what it was then
            device = device.in_precision(about.get("precision") or device.precision)
        todo = kept.missing(tasks, seeds)
        inputs: Inputs | None = None
        stop.defer()
        for number, (task, seed) in enumerate(todo):
            if inputs is None or inputs.task is not task:
                inputs = Inputs.of(restored, task, data[task.name])
            tuning = FineTuning(restored, kept.recipe, inputs, device, seed)
            said = f"{task.name} seed {seed}"

            def show(done: int, said: str = said, steps: int = tuning.steps, number: int = number) -> None:
                shown.update((number + done / steps) / len(todo), f"{said}: step {done}/{steps}")

            result = {"checkpoint": restored.step, **tuning.run(show, stop)}
            kept.write(task, seed, result)
            shown.note(f"{kept.folder.path.name}  {said}: {_said(result)}")


def _said(result: Mapping[str, Any]) -> str:
    if result["failed"]:
        return f"failed: {result['failed']['message']}"
    return ", ".join(
        f"{TITLES[name]} {result['metric']} {100 * value:.1f}" for name, value in result["numbers"].items()
    )


def _print(runs: Sequence[Kept], rows: Sequence[Row], tasks: Sequence[GlueTask], recipe: Recipe, seeds: int) -> None:
    print_rows(rows, tasks, seeds)
    out = console()
    metrics = ", ".join(f"{task.folder} {task.metric}" for task in tasks if task.metric != "accuracy")
    out.print(f"in %: mean ± standard deviation over seeds; accuracy{f', but {metrics}' if metrics else ''}")
    if recipe.folder:
        out.print(f"by a recipe of its own, not the paper's: finetune/{recipe.folder} in the run folders")
    for kept, row in zip(runs, rows, strict=True):
        if not row.numbers and not row.failed and (other := other_recipes_line(kept)):
            out.print(other)
        for line in row.failed:
            out.print(f"{row.run}: failed, and in no mean: {line}")
    for task in tasks:
        if len({one for row in rows for one in row.data.get(task.name, ())}) > 1:
            out.print(f"{task.name}: these results are of different data; compare only what was trained on the same")


def _plain(row: Row) -> dict[str, Any]:
    def told(values: Mapping[int, float]) -> dict[str, Any]:
        mean, sd = mean_sd(list(values.values()))
        return {"mean": mean, "sd": sd, "seeds": {str(seed): value for seed, value in values.items()}}

    numbers = {name: told(values) for name, values in row.numbers.items()}
    return {
        "run": row.run,
        "numbers": numbers,
        "mean": told(row.means) if row.means else None,
        "failed": list(row.failed),
        "data": {task: sorted(found) for task, found in row.data.items()},
    }
