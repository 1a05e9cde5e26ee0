"""What is kept of fine-tunings in a run's folder, and the table that it makes.

<run>/finetune/<task>-<seed>.json           whole or absent; by the paper's recipe
<run>/finetune/<8 digits>/<task>-<seed>.json    by another one
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.config import validate
from simplify.errors import AlreadyRunning, ConfigError, DataError
from simplify.finetune.recipe import Recipe
from simplify.finetune.tasks import NUMBERS, GlueTask
from simplify.locks import Taken, acquire
from simplify.runs.files import read_json, write_json
from simplify.runs.folder import RunFolder, now


@dataclass(frozen=True)
class Kept:
    """The results of one run by one recipe."""

    folder: RunFolder
    recipe: Recipe

    def path(self, task: GlueTask, seed: int) -> Path:
        """Where a result lies, or will."""
        return self.folder.path / "finetune" / self.recipe.folder / f"{task.name}-{seed}.json"

    def read(self, task: GlueTask, seed: int) -> dict[str, Any] | None:
        """A result; None where there is none."""
        found = read_json(self.path(task, seed))
        return found if found is not None and "numbers" in found else None

    def write(self, task: GlueTask, seed: int, result: dict[str, Any]) -> None:
        """Keep a result."""
        path = self.path(task, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {
            "task": task.name,
            "seed": seed,
            "ended": now(),
            **result,
            "recipe": self.recipe.model_dump(mode="json"),
        }
        write_json(path, whole)

    def missing(self, tasks: Sequence[GlueTask], seeds: Sequence[int]) -> list[tuple[GlueTask, int]]:
        """What is still to be done, seed by seed of each task."""
        return [(task, seed) for task in tasks for seed in seeds if self.read(task, seed) is None]

    def other_recipes(self) -> dict[Recipe, int]:
        """The recipes beside this one of which the run has results, each with their number."""
        found: dict[Recipe, int] = {}
        for path in sorted((self.folder.path / "finetune").rglob("*.json")):
            told = (read_json(path) or {}).get("recipe")
            if not isinstance(told, dict):
                continue
            try:
                recipe = validate(Recipe, told)
            except ConfigError:  # of another version
                continue
            if recipe != self.recipe:
                found[recipe] = found.get(recipe, 0) + 1
        return found

    def check_data(self, task: GlueTask, seeds: Sequence[int], fingerprint: str, said: str) -> None:
        """Raises DataError where a result is of other data than those of that fingerprint, which are `said`."""
        others = {seed: found["data"] for seed in seeds if (found := self.read(task, seed)) is not None}
        wrong = next((seed for seed, data in others.items() if data != fingerprint), None)
        if wrong is not None:
            raise DataError(
                f"{self.folder.path.name}: {task.name} was fine-tuned on other data ({others[wrong]}; {said} has "
                f"{fingerprint}); give that data, or remove {self.path(task, wrong).parent}/{task.name}-*.json"
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One process at a time fine-tunes a run; freed by the system if we are killed. Raises AlreadyRunning."""
        try:
            lock = acquire(self.folder.path.parent / ".locks" / f"{self.folder.run_id}.finetune.lock")
        except Taken:
            raise AlreadyRunning(
                f"{self.folder.path}: is being fine-tuned already by another process; nothing to do here"
            ) from None
        with lock:
            yield


@dataclass(frozen=True)
class Row:
    """A run's line of the table: each number by seed, as shares of 1."""

    run: str
    numbers: dict[str, dict[int, float]]
    failed: tuple[str, ...]  # in words
    data: dict[str, set[str]]  # the data that each task was trained on

    @property
    def means(self) -> dict[int, float]:
        """The mean over the paper's nine numbers, of the seeds that have all of them."""
        seeds = set.intersection(*(set(self.numbers.get(name, {})) for name in NUMBERS))
        return {seed: sum(self.numbers[name][seed] for name in NUMBERS) / len(NUMBERS) for seed in sorted(seeds)}


def row_of(kept: Kept, tasks: Sequence[GlueTask], seeds: Sequence[int]) -> Row:
    """What is there of a run; a result that is no number is told, and in no mean."""
    numbers: dict[str, dict[int, float]] = {}
    failed: list[str] = []
    data: dict[str, set[str]] = {}
    for task in tasks:
        found = {seed: result for seed in seeds if (result := kept.read(task, seed)) is not None}
        data[task.name] = {str(result.get("data")) for result in found.values()}
        if len(data[task.name]) > 1:  # copied together: fine-tuning itself refuses to mix them
            failed.append(f"{task.name}: its seeds are of different data ({', '.join(sorted(data[task.name]))})")
            continue
        for seed, result in found.items():
            if result.get("failed"):
                failed.append(f"{task.name}, seed {seed}: {result['failed']['message']}")
            for name, value in result["numbers"].items():
                numbers.setdefault(name, {})[seed] = value
    return Row(kept.folder.path.name, numbers, tuple(failed), data)
