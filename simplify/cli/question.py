"""What `simplify sweep` is asked: a file at one of its sizes, words that win over it, and options."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simplify.choices import overlay_dir
from simplify.cli.select import is_setting, no_file
from simplify.compose import axes
from simplify.config import validate
from simplify.config.keys import full_key
from simplify.errors import ConfigError
from simplify.sweep.file import Size, SweepFile, read_sweep
from simplify.sweep.record import PAPER, record_name
from simplify.sweep.tuned import Tune


@dataclass(frozen=True)
class Options:
    """What was typed beside the words."""

    conf: Path | None
    plan: bool
    as_json: bool
    retry: bool
    fail_fast: bool
    yes: bool
    watch: bool
    snapshot: bool
    measure: bool
    skip_invalid: bool
    tune: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A sweep as it was typed: its file, the size of the question, and words that win over the file."""

    file: Path | None
    source: SweepFile
    scale: str
    size: Size
    typed: dict[str, list[Any]]
    words: tuple[str, ...]
    tune: Tune | None  # what each block chooses for itself

    @property
    def name(self) -> str:
        """The name of its record."""
        return record_name(self.file, self.scale, self.words)


def read_question(words: Sequence[str], conf: Path | None, tune: Sequence[str] = ()) -> Question:
    """What the words ask, and those of `--tune`. Raises ConfigError."""
    files = [word for word in words if not is_setting(word) and not re.fullmatch(r"~[\w.]+", word)]  # Hydra's ~key
    if len(files) > 1:
        raise ConfigError(f"{files[1]}: a second sweep file; valid: one file, then settings such as seed=0,1,2")
    rest = [word for word in words if word not in files]
    typed = axes(rest, overlay_dir(conf))
    scale = str(typed.pop("scale", [PAPER])[0])
    if files and not Path(files[0]).exists():
        raise no_file(files[0])
    source: SweepFile = read_sweep(Path(files[0])) if files else SweepFile.model_validate({})
    if not files and not typed:
        raise ConfigError("sweep: nothing to run; valid: a sweep file, or settings such as block=pre_ln,sas seed=0,1,2")
    kept = tuple(word for word in rest if not word.startswith("scale="))
    tune = [_in_full(word) for word in tune]
    kept += tuple(f"--tune={word}" for word in tune)
    size = source.at(scale)
    return Question(Path(files[0]) if files else None, source, scale, size, typed, kept, _tuned(size.tune, tune, conf))


def _in_full(word: str) -> str:
    """A word of `--tune` with its setting's full key, where a short one can mean that alone: optimiser.lr for lr."""
    key, sign, values = word.partition("=")
    with contextlib.suppress(ValueError):  # what it may be is said with what else is wrong
        key = full_key(key)
    return f"{key}{sign}{values}"


def _tuned(asked: Tune | None, typed: Sequence[str], conf: Path | None) -> Tune | None:
    """What a file asks to be tuned, and words `KEY[=VALUES]` that win over it: several values, a range, or `start`."""
    windows: dict[str, Any] = {}
    for word in typed:
        key, sign, _ = word.partition("=")
        ((key, values),) = axes([word], overlay_dir(conf)).items() if sign else [(key, ["start"])]
        if key in windows:
            raise ConfigError(f"--tune {word}: a second time; valid: each setting once")
        windows[key] = values[0] if len(values) == 1 and not isinstance(values[0], (int, float)) else values
    if not windows:
        return asked
    try:
        own = validate(Size, {"tune": {"over": windows}}).tune
    except ConfigError as error:
        raise ConfigError(*(line.replace("tune.over.", "--tune ", 1) for line in error.lines)) from None
    return (asked or Tune.model_validate({})).over_with(own.over)
