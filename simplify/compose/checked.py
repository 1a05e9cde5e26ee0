"""From plain data to the typed configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from simplify.config import RunConfig, validate
from simplify.config.data import PATHS
from simplify.disk import expanded


def checked(data: Mapping[str, Any]) -> RunConfig:
    """The typed configuration of plain data, with folders and files that are here by their absolute paths.

    So it means the same later and elsewhere: in a queue, in a run's config.yaml. Raises ConfigError.
    """
    config = validate(RunConfig, data)
    given = {name: getattr(config.data, name) for name in PATHS if name != "path"}
    paths = {name: str(expanded(word, f"data.{name}")) for name, word in given.items() if word}
    there = {name: path for name, path in paths.items() if os.path.exists(path)}
    if config.data.path:  # which is no name on a hub
        there["path"] = str(expanded(config.data.path, "data.path"))
    if not there:
        return config
    try:
        absolute = {name: os.path.abspath(word) for name, word in there.items()}
    except FileNotFoundError:  # the current folder was removed; whoever needs the path says so
        return config
    return config.model_copy(update={"data": config.data.model_copy(update=absolute)})
