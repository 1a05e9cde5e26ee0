"""Every group, choice and setting, from the typed configuration and the YAML files themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from rich.markup import escape
from rich.table import Table

from simplify.choices import GROUPS, choices, first_line, overlay_dir
from simplify.config import RunConfig, Settings, differing, show
from simplify.display import console


def show_settings(overlay: str | Path | None) -> None:
    """Print the groups with their choices, then every setting with its value in the default run."""
    from simplify.compose import compose_run

    folder, out, run = overlay_dir(overlay), console(), compose_run([], overlay)
    for group in GROUPS:
        table = _table(f"{group}=", 1)
        for name in choices(group, folder):
            table.add_row(name, escape(first_line(group, name, folder)))
        out.print(table)
    chosen = " ".join(f"{group}={getattr(run, group).name}" for group in GROUPS)
    table = _table(f"settings, and their values in the default run ({chosen})", 2)
    for key, field in settings(RunConfig):
        words = valid_values(field)
        line = f"{field.description or ''}{f' [{words}]' if words else ''}"
        table.add_row(key, escape(show(value_at(run, key))), escape(line))
    out.print(table)


def value_at(run: RunConfig, key: str) -> Any:
    """The value of the setting with the full key `key`, in the shortest form that can be typed."""
    value: Any = run
    for name in key.split("."):
        value = getattr(value, name)
    if not isinstance(value, Settings):
        return value
    short = differing(value)
    return short["kind"] if set(short) == {"kind"} else short


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
        default = None if field.is_required() else field.default
        for word in words or ["" if default is None or isinstance(default, Settings) else show(default)]:
            yield f"{key}={word}"


def _literals(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [show(word) for word in get_args(annotation)]
    return [w for a in get_args(annotation) if get_origin(a) is Literal for w in _literals(a)]


def _table(title: str, names: int) -> Table:
    """A table of `names` columns that stay whole, and one that wraps."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 1))
    for _ in range(names):
        table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    return table
