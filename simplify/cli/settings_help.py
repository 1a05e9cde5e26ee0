"""Groups, choices and settings for `--help`, from the typed configuration and the YAML files themselves.

`--help` names them all; `--help optimiser` has one group whole, `--help lr` the settings whose keys hold that, and
`--help all` everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from rich.table import Table
from rich.text import Text

from simplify.choices import GROUPS, choices, first_line, overlay_dir
from simplify.config import RunConfig, Settings, differing, nearest, show
from simplify.display import console, wrapped
from simplify.errors import ConfigError

ALL = "all"
_RUN = "run"  # the group, in the help alone, of settings that are in none
_WIDE = 110  # columns from which a description stands beside its key
_BELOW = "      "  # what it begins with where it stands below

Row = tuple[str, str, str]  # a key or a choice, its value, what it is


def show_names(command: str, overlay: str | Path | None, with_choices: bool) -> None:
    """Print what there is by name alone, and how to go on."""
    folder, asked = overlay_dir(overlay), f"simplify {command} --help"
    if with_choices:
        _print_names(
            f"groups, and what each may be ({asked} block describes its)",
            {f"{group}=": choices(group, folder) for group in GROUPS},
        )
    found: dict[str, list[str]] = {}
    for key, _ in settings(RunConfig):
        found.setdefault(_group_of(key), []).append(key.partition(".")[2] or key)
    _print_names(
        f"settings by group; with values: {asked} optimiser (one group), {asked} lr (those with lr in their keys), "
        f"{asked} {ALL}",
        {f"{group}." if group != _RUN else "": names for group, names in found.items()},
    )


def show_settings(words: Sequence[str], overlay: str | Path | None) -> None:
    """Print what the words ask for: a group with its choices, the settings whose keys hold a word, or everything.

    Raises ConfigError for a word that is none of these.
    """
    from simplify.compose import compose_run

    folder, run = overlay_dir(overlay), compose_run([], overlay)
    rows = {key: _row(run, key, field) for key, field in settings(RunConfig)}
    groups = dict.fromkeys(map(_group_of, rows))
    for word in words:
        whole = word.removesuffix(".").removesuffix("=")
        shown = [group for group in groups if whole in (group, ALL)]
        for group in shown:
            _show_group(group, run, [row for key, row in rows.items() if _group_of(key) == group], folder)
        found = [] if shown else [row for key, row in rows.items() if whole in key]
        if not shown and not found:
            names = [*groups, *rows, ALL]
            raise ConfigError(
                f"--help {word}: {nearest(whole, names)}valid: {', '.join(groups)}, {ALL}, or a part of a key, as in lr"
            )
        if found:
            _print_rows(f"settings with {whole} in their keys, and their values in the default run", found)


def _show_group(group: str, run: RunConfig, rows: Sequence[Row], folder: Path | None) -> None:
    chosen = ""
    if group in GROUPS:
        names = choices(group, folder)
        _print_rows(f"{group}=", [(name, "", first_line(group, name, folder)) for name in names])
        chosen = f" ({group}={getattr(run, group).name})"
    _print_rows(f"settings of {group}, and their values in the default run{chosen}", rows)


def _row(run: RunConfig, key: str, field: FieldInfo) -> Row:
    words = valid_values(field)
    return key, show(value_at(run, key)), f"{field.description or ''}{f' [{words}]' if words else ''}"


def _group_of(key: str) -> str:
    return key.partition(".")[0] if "." in key else _RUN


def _print_names(title: str, names: dict[str, list[str]]) -> None:
    out = console()
    out.print("\n".join(wrapped(title, out.width)), style="bold")
    wide = max(map(len, names))
    for head, its in names.items():
        for line in wrapped(" ".join(its), min(out.width, _WIDE), f" {head:{wide}} ", " " * (wide + 2)):
            out.print(line)
    out.print()


def _print_rows(title: str, rows: Iterable[Row]) -> None:
    """A table, or where the screen is narrow a line a key and below it what it is. A key is never broken."""
    out, known = console(), list(rows)
    if out.width >= _WIDE:
        out.print(_table(title, known))
    else:
        out.print("\n".join(wrapped(title, out.width)), style="bold")
        for key, value, line in known:
            beside = len(key) + len(value) + 3 <= out.width
            out.print(Text.assemble(" ", (key, "cyan"), f"  {value}" if value and beside else ""))
            if not beside:
                out.print(f"{_BELOW}{value}")
            for text in wrapped(line, out.width, _BELOW, _BELOW):
                out.print(text)
    out.print()


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


def _table(title: str, rows: Sequence[Row]) -> Table:
    """Keys and values in columns that stay whole, and one that wraps."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 1))
    values = any(value for _, value, _ in rows)
    for _ in range(1 + values):
        table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for key, value, line in rows:
        table.add_row(*((key, value, line) if values else (key, line)))
    return table
