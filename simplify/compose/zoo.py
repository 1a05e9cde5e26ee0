"""The same run with every block of the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from simplify.choices import choice_file, choices, overlay_dir
from simplify.compose.base import composed, load, no_parent, unresolved
from simplify.compose.checked import checked
from simplify.compose.grammar import choice, parse, split
from simplify.compose.points import with_changes
from simplify.config import RunConfig
from simplify.errors import ConfigError


def compose_zoo(
    overrides: Sequence[str], overlay: str | Path | None = None, names: Sequence[str] | None = None
) -> dict[str, RunConfig | ConfigError]:
    """The run of `overrides` with each block of the zoo, or of `names`, in one composition instead of one each.

    A block that does not fit the other settings (identity values with few key/value heads, say) has
    its error in its place. Raises ConfigError for what is wrong with all of them.
    """
    folder = overlay_dir(overlay)
    chosen, settings = split(parse(overrides), folder)
    wanted = tuple(choice("block", name, folder) for name in names or choices("block", folder))
    any_block = next(
        name for name in choices("block") if choice_file("block", name, folder) == choice_file("block", name)
    )
    others = composed(tuple(sorted({**chosen, "block": any_block}.items())), folder)  # a user's may be broken
    found: dict[str, RunConfig | ConfigError] = {}
    for name in wanted:
        try:
            block = {"name": name, **unresolved(_block_file(name, folder))}
            files = {**others.files, "block": str(choice_file("block", name, folder))}
            found[name] = checked(with_changes({**others.settings, "block": block}, settings, files))
        except ConfigError as error:
            found[name] = error
    errors = [error for error in found.values() if isinstance(error, ConfigError)]
    if len(errors) == len(found):
        raise errors[0]
    return found


def _block_file(name: str, overlay: Path | None, below: tuple[str, ...] = ()) -> DictConfig:
    """What Hydra makes of a block's YAML, for defaults that are blocks and `_self_`: 3 ms, not 20.

    `below` are the blocks that build on it. A file whose defaults say anything else is left to Hydra.
    """
    path = choice_file("block", name, overlay)
    if path is None:
        raise ConfigError(no_parent("block", below[-1] if below else name, name, overlay))
    if name in below:
        raise ConfigError(f"{path}: builds on itself ({' on '.join([*below, name])}); valid: defaults without it")
    own = load(path, str(path), "YAML of the form key: value")
    parents = own.pop("defaults", None)
    parents = list(parents) if isinstance(parents, ListConfig) else ["_self_"] if parents is None else [parents]
    if "_self_" not in parents or not all(isinstance(p, str) and p.replace("_", "a").isalnum() for p in parents):
        return DictConfig(composed((("block", name),), overlay).settings["block"])
    above = (*below, name)
    parts = [own if parent == "_self_" else _block_file(parent, overlay, above) for parent in parents]
    merged = OmegaConf.merge(*parts)
    assert isinstance(merged, DictConfig)
    return merged
