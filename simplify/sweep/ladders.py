"""The values that a tuned setting may take: the window as it was asked for, and what it may grow by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from simplify.config import BUDGETS, RunConfig, show
from simplify.config.keys import full_key
from simplify.config.kinds import takes_at
from simplify.errors import ConfigError
from simplify.sweep.tuned import Range, Window
from simplify.tune.study import Ladder

_FACTOR = 2.0  # of `start`
_SEEDS = ("seed", "model.seed", "data.seed")
# With other values of these, losses are of another budget or of another question.
_NOT_COMPARABLE = (
    *(f"train.{name}" for name in BUDGETS),
    "train.val_sequences",
    "train.mlm_probability",
    "model.seq_len",
)
_MOST, _OCTAVES = 200, 1000  # values in a range, and its width: beyond these are slips of the pen

Fits = Callable[[float], "ConfigError | None"]  # what is wrong with a run that has this value


def check_key(key: str) -> None:
    """Raise ConfigError where nothing of that name can be tuned."""
    takes = takes_at(RunConfig, key.split("."))
    if takes is None:
        try:
            meant = full_key(key)
        except ValueError as error:
            raise ConfigError(f"tune.over.{error}") from None
        raise ConfigError(f"tune.over.{key}: is no full key; did you mean {meant}? {_VALID}")
    if not takes.number:
        raise ConfigError(f"tune.over.{key}: takes no number; {_VALID}")
    if key in _SEEDS:
        raise ConfigError(f"tune.over.{key}: a seed is luck, and no setting to choose; {_VALID}")
    if key in _NOT_COMPARABLE or key.startswith("data."):
        raise ConfigError(f"tune.over.{key}: losses at different values of it are not comparable; {_VALID}")


_VALID = "valid: a setting that is a number, such as optimiser.lr, optimiser.weight_decay or block.mlp_branch.value"


def untuned(config: RunConfig, key: str, where: str) -> float | None:
    """The value of a setting in a run; None: it is null. Raises ConfigError where it is there no number, in `where`."""
    if key == "train.batch_tokens" and config.train.steps is not None:
        raise ConfigError(
            f"tune.over.{key}: with train.steps={config.train.steps} a larger batch is a larger budget; valid: with "
            "train.tokens or train.hours in its place"
        )
    found: Any = config
    for part in key.split("."):
        if not hasattr(found, part) or callable(getattr(found, part)):
            raise ConfigError(f"tune.over.{key}: is no setting of {where}; valid: one that every tuned block has")
        found = getattr(found, part)
    if found is None or (isinstance(found, (int, float)) and not isinstance(found, bool)):
        return found
    inner = [
        f"{key}.{name}" for name in getattr(type(found), "model_fields", ()) if name in ("value", "skip", "branch")
    ]
    meant = f"did you mean {' or '.join(inner)}? " if inner else ""
    raise ConfigError(f"tune.over.{key}: is no number in {where}; {meant}valid: a setting that is one in every block")


def ladder_of(key: str, window: Window, edge: int, at: float | None, fits: Fits) -> Ladder:
    """The values of a setting, ascending. `at`: its untuned value.

    Beyond the window they end before the first that makes no run. Raises ConfigError where one within it makes none.
    """
    inside = _inside(key, window, at)
    for value in inside:
        if (wrong := fits(value)) is not None:
            raise ConfigError(f"tune.over.{key}: {wrong.lines[0]}")
    below, above = _ratios(window, inside)
    low = _beyond(inside[0], 1 / below if below else None, edge, fits)
    high = _beyond(inside[-1], above, edge, fits)
    values = (*reversed(low), *inside, *high)
    default = None if at is None else next((n for n, value in enumerate(values) if value == _exact(at)), None)
    if default is not None and at is not None and at != values[default]:  # it is the untuned run, to the last digit
        fits(at)
        values = (*values[:default], at, *values[default + 1 :])
    return Ladder(key, values, (len(low), len(low) + len(inside) - 1), default)


def _inside(key: str, window: Window, at: float | None) -> tuple[float, ...]:
    if isinstance(window, Range):
        octaves = math.log2(window.to) - math.log2(window.first)
        steps = octaves / math.log2(window.factor)
        if steps >= _MOST or octaves > _OCTAVES:
            raise ConfigError(
                f"tune.over.{key}: has too many values, or too far apart; valid: at most {_MOST} values, the last at "
                f"most 2**{_OCTAVES} times the first"
            )
        count = math.floor(steps + 1e-9) + 1
        return tuple(_exact(window.first * window.factor**number) for number in range(count))
    if isinstance(window, tuple):
        return tuple(map(_exact, window))
    if at is None or at <= 0:
        raise ConfigError(
            f"tune.over.{key}=start: its untuned value is {show(at)}, round which no factor leads anywhere; valid: "
            f"{{from: ..., to: ..., factor: 2}} or a list of numbers"
        )
    return tuple(_exact(value) for value in (at / _FACTOR, at, at * _FACTOR))


def _ratios(window: Window, inside: Sequence[float]) -> tuple[float | None, float | None]:
    """The factors by which a window grows at its lower and its upper end; None: not at all."""
    if isinstance(window, Range):
        return window.factor, window.factor
    if not isinstance(window, tuple):
        return _FACTOR, _FACTOR
    pairs = (inside[:2], inside[-2:])
    below, above = (pair[1] / pair[0] if pair[0] > 0 else None for pair in pairs)
    return below, above


def _beyond(end: float, factor: float | None, edge: int, fits: Fits) -> list[float]:
    """The values beyond an end of the window, the nearest first."""
    found: list[float] = []
    for number in range(1, edge + 1):
        if factor is None or number * abs(math.log2(factor)) > _OCTAVES:
            break
        value = _exact(end * factor**number)
        if not 0 < value < math.inf or fits(value) is not None:
            break
        found.append(value)
    return found


def _exact(value: float) -> float:
    """To twelve digits, so that a value reached by two ways is one run: 2.5e-4 * 4 is 1e-3."""
    return float(f"{value:.12g}")


def typed(value: float) -> float | int:
    """As it would be typed: a whole number has no point."""
    return int(value) if value.is_integer() else value
