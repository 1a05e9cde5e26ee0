"""The config groups and the choices in them: a look at file names, cheap enough for tab completion."""

from __future__ import annotations

import os
from pathlib import Path

from simplify.disk import expanded
from simplify.errors import ConfigError

GROUPS = ("block", "model", "data", "optimiser", "cluster")


def conf_dir() -> Path:
    """Our YAML files: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "conf", here.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"conf/config.yaml is neither in {here} nor beside it: reinstall simplify")


def sweeps_dir() -> Path:
    """Our sweep files: they lie where our YAML files do."""
    return conf_dir().parent / "sweeps"


def overlay_dir(overlay: str | Path | None) -> Path | None:
    """The user's folder of YAML files, from the argument or $SIMPLIFY_CONF."""
    given = overlay or os.environ.get("SIMPLIFY_CONF")
    if not given:
        return None
    source = "--conf" if overlay else "SIMPLIFY_CONF"
    folder = expanded(given, source).resolve()
    if not folder.is_dir():
        raise ConfigError(
            f"{source}={given}: no such folder; valid: a folder with block/, model/, ... and YAML files in them"
        )
    if hint := _meant(folder):
        raise ConfigError(
            f"{source}={given}: holds none of {', '.join(f'{group}/' for group in GROUPS)}; did you mean {hint}?"
        )
    return folder


def _meant(folder: Path) -> Path | None:
    """The folder of groups that one without any is part of, or the only one that lies in it."""
    if _has_groups(folder):
        return None
    if folder.name in GROUPS and any(folder.glob("*.yaml")):
        return folder.parent
    inside = [path for path in sorted(folder.glob("*/")) if path.is_dir() and _has_groups(path)]
    return inside[0] if len(inside) == 1 else None


def _has_groups(folder: Path) -> bool:
    return any((folder / group).is_dir() for group in GROUPS)


def choices(group: str, overlay: Path | None = None) -> list[str]:
    """Names that `group=` takes. A leading underscore marks a file that others build on."""
    folders = [conf_dir(), *([overlay] if overlay else [])]
    return sorted({p.stem for f in folders for p in (f / group).glob("*.yaml") if not p.name.startswith("_")})


def choice_file(group: str, name: str, overlay: Path | None = None) -> Path | None:
    """The YAML file of a choice: the user's, else ours; None where there is none."""
    paths = [folder / group / f"{name}.yaml" for folder in (overlay, conf_dir()) if folder]
    return next((path for path in paths if path.is_file()), None)


def first_line(group: str, choice: str, overlay: Path | None = None) -> str:
    """What a choice is, by the first comment of its YAML file."""
    path = choice_file(group, choice, overlay)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path else []
    except (OSError, UnicodeDecodeError):  # whoever reads its settings says so
        return ""
    comments = (line.lstrip("# ") for line in lines if line.startswith("#"))
    return next((c for c in comments if not c.startswith("@package")), "")
