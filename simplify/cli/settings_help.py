"""Every group, choice and setting, from the typed configuration and the YAML files themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from rich.table import Table

from simplify.choices import GROUPS, choices, first_line, overlay_dir
from simplify.config import RunConfig, Settings, show
from simplify.display import console


def show_settings(overlay: str | Path | None) -> None:
    """Print the groups with their choices, then every setting with its default and one line."""
    folder, out = overlay_dir(overlay), console()
    for group in GROUPS:
        table = _table(f"{group}=", "choice")
        for name in choices(group, folder):
            table.add_row(name, first_line(group, name, folder))
        out.print(table)
    table = _table("settings (where a default is model's, its YAML states it)", "key", "default")
    for key, field in settings(RunConfig):
        default = "model's" if field.is_required() else show(_plain(field.default))
        words = valid_values(field)
        table.add_row(key, default, f"{field.description or ''}{f' [{words}]' if words else ''}".replace("[", "\\["))
    out.print(table)


def settings(model: type[Settings], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Each setting with its full key; the members of a group in its place."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Settings):
            yield from settings(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def valid_values(field: FieldInfo) -> str:
    """The words a setting takes, where it takes only some."""
    return ", ".join(_literals(field.annotation))


def valid_words() -> Iterator[str]:
    """KEY=VALUE for every value of a setting that has few, else KEY=its default."""
    for key, field in settings(RunConfig):
        words = _literals(field.annotation) or (["true", "false"] if field.annotation is bool else [])
        default = "" if field.is_required() or field.default is None else show(_plain(field.default))
        for word in words or [default]:
            yield f"{key}={word}"


def _literals(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    return [w for a in get_args(annotation) if get_origin(a) is Literal for w in _literals(a)]


def _plain(value: Any) -> Any:
    return value.kind if hasattr(value, "kind") else value


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 1))
    for _ in columns:
        table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    return table
