"""The two configurations that a judge holds against each other, as they were typed."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.choices import overlay_dir
from simplify.compose import axes
from simplify.config import RunConfig
from simplify.errors import ConfigError
from simplify.runs.folder import RunFolder
from simplify.runs.identity import identity, of_any_seed
from simplify.sweep.plan import PlannedRun, make_plan

_SEEDS = ("seed", "model.seed", "data.seed")
_MEASURE = ("val_sequences", "mlm_probability", "precision")  # of `train`: what a loss is measured on, and in


@dataclass(frozen=True)
class Pair:
    """The candidate's run and the baseline's of one seed."""

    seed: int
    mine: PlannedRun
    base: PlannedRun

    @property
    def runs(self) -> list[tuple[RunFolder, RunConfig]]:
        """Both, to be trained."""
        return [(run.folder, run.config) for run in (self.mine, self.base) if run.folder is not None]


@dataclass(frozen=True)
class Sides:
    """Candidate and baseline, checked: one text, one measure, two configurations."""

    words: tuple[tuple[str, ...], tuple[str, ...]]
    points: tuple[dict[str, Any], dict[str, Any]]
    keys: tuple[str, str]  # what tells each from other configurations, without its seed
    root: Path
    conf: Path | None

    def pairs(self, seeds: Sequence[int]) -> list[Pair]:
        """The runs of these seeds. Raises ConfigError where one cannot be trained."""
        plan = make_plan([{**point, "seed": seed} for seed in seeds for point in self.points], self.conf)
        if plan.wrong or plan.missing:
            raise ConfigError(*plan.wrong, *plan.missing)
        both = zip(seeds, plan.runs[::2], plan.runs[1::2], strict=True)
        return [Pair(seed, mine, base) for seed, mine, base in both]


def words_of(typed: str, what: str) -> tuple[str, ...]:
    """The words in a quoted argument. Raises ConfigError."""
    try:
        words = tuple(shlex.split(typed))
    except ValueError as error:
        raise ConfigError(f"{what}: {typed}: {error}; valid: words as train takes them, in quotes") from None
    if not words:
        raise ConfigError(f'{what}: is empty; valid: words as train takes them, in quotes, as in "block=sas"')
    return words


def sides_of(words: tuple[str, ...], baseline: tuple[str, ...], conf: Path | None, root: Path | None) -> Sides:
    """Both sides. Raises ConfigError where they cannot be held against each other."""
    points = _point(words, "CANDIDATE", conf), _point(baseline, "--against", conf)
    if root is not None:
        points = {**points[0], "run_root": str(root)}, {**points[1], "run_root": str(root)}
    if "run_root" in points[0] or "run_root" in points[1]:  # one of both is enough
        where = points[0].get("run_root") or points[1].get("run_root")
        points = {"run_root": where, **points[0]}, {"run_root": where, **points[1]}
    plans = [make_plan([{**point, "seed": 0}], conf) for point in points]
    if plans[0].root != plans[1].root:
        raise ConfigError(f"run_root={plans[1].root}: the candidate's is {plans[0].root}; valid: one for both")
    told = [_identity(plan.runs[0]) for plan in plans if plan.runs and not plan.missing]
    if len(told) < 2:
        raise ConfigError(*dict.fromkeys(line for plan in plans for line in (*plan.wrong, *plan.missing)))
    _refuse_unlike(told[0], told[1], plans[0].runs[0].config, plans[1].runs[0].config)
    return Sides((words, baseline), points, (_key(told[0]), _key(told[1])), plans[0].root, conf)


def _point(words: Sequence[str], what: str, conf: Path | None) -> dict[str, Any]:
    point: dict[str, Any] = {}
    for key, values in axes(words, overlay_dir(conf)).items():
        if key in _SEEDS:
            raise ConfigError(
                f"{what}: {key}={values[0]}: the judge takes seeds that nothing was chosen by; valid: none"
            )
        if len(values) > 1:
            raise ConfigError(f"{what}: {key}={','.join(map(str, values))}: several values; valid: one configuration")
        point[key] = values[0]
    return point


def _identity(run: PlannedRun) -> dict[str, Any]:
    told = identity(run.config, run.corpus or "")
    return {key: value for key, value in told.items() if key != "seeds"}


def _key(told: dict[str, Any]) -> str:
    return hashlib.sha256(of_any_seed(told).encode()).hexdigest()[:16]


def _refuse_unlike(mine: dict[str, Any], base: dict[str, Any], one: RunConfig, other: RunConfig) -> None:
    """Losses of two texts, or measured in two ways, say nothing about a change."""
    if mine == base:
        raise ConfigError("CANDIDATE: is the same configuration as the baseline; valid: words that change a result")
    if mine["data"] != base["data"] or one.model.kind != other.model.kind:
        raise ConfigError(
            "CANDIDATE: is trained on another text or task than the baseline; valid: the same data for both"
        )
    for name in _MEASURE:
        if mine["train"].get(name) != base["train"].get(name):
            raise ConfigError(f"CANDIDATE: has another train.{name} than the baseline; valid: the same for both")
