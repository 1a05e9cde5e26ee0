"""How a report is to be shown: the sweep file's words, over which those of the command line win."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from simplify.config import nearest, validate
from simplify.errors import ConfigError
from simplify.sweep.report import NO_LOOKS, SIZES, Column, Figure, Report, are_looks

_AXES = ("step", "tokens", "flops", "seconds", "device_hours")
_KINDS = ("gains", "final", "scaling")
_OPTIONS = ("by", "log_x", "log_y")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Shown:
    """What the command line says; None: the sweep file's word, or the usual."""

    typed: Mapping[str, Any]  # x, baseline, margin, title, font, width
    figures: tuple[str, ...]
    labels: tuple[str, ...]
    columns: str | None
    looks: str | None
    out: Path
    publish: bool = False
    checklist: bool = False
    tuning: bool = False  # whether a tuned sweep's tuning runs are variants, too


def wished(shown: Shown, asked: Report) -> Report:
    """What is wanted in all. Raises ConfigError with the option's name."""
    typed: dict[str, Any] = {name: value for name, value in shown.typed.items() if value is not None}
    if typed.get("x", "step") not in _AXES:
        raise ConfigError(f"--x={typed['x']}: {nearest(typed['x'], _AXES)}valid: {', '.join(_AXES)}")
    if not typed.get("margin", 1) > 0:
        raise ConfigError(f"--margin={typed['margin']:g}: is no margin; valid: a number of nats above 0, such as 0.01")
    if not 1.5 <= typed.get("width", 3) <= 20:
        raise ConfigError(f"--width={typed['width']:g}: is no width of a figure; valid: 1.5 to 20 inches")
    if shown.columns is not None:
        typed["columns"] = _columns(shown.columns)
    if shown.looks is not None:
        typed["looks"] = _looks(shown.looks)
    if shown.labels:
        typed["labels"] = {**asked.labels, **dict(map(_label, shown.labels))}
    figures = tuple(map(_figure, shown.figures))
    again = {(figure.kind, figure.x, figure.of) for figure in figures}  # typed in another look than the file has
    kept = (figure for figure in asked.figures if (figure.kind, figure.x, figure.of) not in again)
    return asked.model_copy(update={**typed, "figures": (*kept, *figures)})


def _columns(text: str) -> tuple[str, ...]:
    known, names = get_args(Column), tuple(name for name in text.split(",") if name)
    for name in names:
        if name not in known:
            raise ConfigError(f"--columns={text}: {name}: {nearest(name, known)}valid: {', '.join(known)}")
    return names


def _looks(text: str) -> tuple[int, ...]:
    looks = [int(part) if re.fullmatch(r"\s*\d{1,9}\s*", part) else part for part in text.split(",")]
    if not are_looks(looks):
        raise ConfigError(f"--looks={text}: {NO_LOOKS}, as in 3,5,8")
    return tuple(map(int, looks))


def _label(text: str) -> tuple[str, str]:
    """`NAME=LABEL`, where the name may be a setting with its value."""
    name, is_there, label = text.rpartition("=")
    if not is_there or label.count("$") % 2:
        raise ConfigError(
            f"--label={text}: is no label; valid: NAME=LABEL, as in pre_ln=Pre-LN or 'projection=identity=no $W_P$'"
        )
    return name, label


def _figure(text: str) -> Figure:
    """`final=optimiser.lr,by=block.projection,log_x=false`: the kind, what it is of, and how it looks."""
    head, *options = text.split(",")
    kind, _, first = head.partition("=")
    rest = ",".join([first, *options])
    of = [part for part in rest.split(",") if part and "=" not in part]
    looks = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
    wrong = kind not in _KINDS or (kind == "final" and len(of) != 1) or (kind == "scaling" and len(of) > 1)
    if wrong or (kind == "scaling" and of and of[0] not in SIZES):
        hint = nearest(kind, _KINDS) if kind not in _KINDS else nearest(first, SIZES) if kind == "scaling" else ""
        raise ConfigError(
            f"--figure={text}: {hint}valid: gains, gains=alpha,beta, final=SETTING such as "
            f"final=block.mlp_branch, scaling=parameters, scaling=flops, scaling=tokens"
        )
    for name, value in looks.items():
        if name not in _OPTIONS or (name != "by" and value not in _BOOLEANS) or kind == "gains":
            valid = "none for gains" if kind == "gains" else "by=SETTING, log_x=true or false, log_y=true or false"
            hint = "" if name in _OPTIONS else nearest(name, _OPTIONS)
            raise ConfigError(f"--figure={text}: {name}={value}: {hint}valid: {valid}")
    drawn: dict[str, Any] = {name: _BOOLEANS.get(value, value) for name, value in looks.items()}
    drawn |= {"of": of} if kind == "gains" else {"x": of[0]} if of else {}
    try:
        return validate(Figure, {"kind": kind, **drawn})
    except ConfigError as error:
        raise ConfigError(*(f"--figure={text}: {line.removeprefix('figures: ')}" for line in error.lines)) from None
