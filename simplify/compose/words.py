"""Words as they were typed: what Hydra and YAML read as a number or a boolean, where only a text can be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.overrides_visitor import HydraErrorListener, HydraOverrideVisitor
from hydra.core.override_parser.types import Override, Sweep
from hydra.errors import HydraException
from hydra.grammar.gen.OverrideLexer import CommonTokenStream, InputStream, OverrideLexer
from hydra.grammar.gen.OverrideParser import OverrideParser

from simplify.choices import GROUPS
from simplify.config import RunConfig
from simplify.config.kinds import TEXT, Takes, as_typed, takes_at


def taken_by(key: str) -> Takes | None:
    """What the setting or group with this full key takes; None where there is none."""
    return TEXT if key in GROUPS else takes_at(RunConfig, key.split("."))


def read_word(word: str) -> Override:
    """A word by Hydra's own grammar, its texts as they were typed. Raises HydraException."""
    override = _PARSER.parse_override(word)
    kind = taken_by(override.key_or_group)
    if kind is None or not (kind.text or kind.groups or kind.items or kind.values):
        return override
    try:
        typed = _texts(word)
    except HydraException:  # range() and its like count with numbers
        return override
    if isinstance(override._value, Sweep):
        return typed if kind.only_text or (kind.items and kind.items.only_text) else override
    override._value = as_typed(kind, override._value, typed._value)
    return override


class _AsTyped(HydraOverrideVisitor):
    def _createPrimitive(self, ctx: Any) -> Any:  # noqa: N802
        found = super()._createPrimitive(ctx)
        return ctx.getText().strip() if isinstance(found, (bool, int, float)) else found


_PARSER = OverridesParser.create()


def _texts(word: str) -> Override:
    """The same with the characters in place of numbers and booleans; Hydra's parser has its visitor built in."""
    lexer = OverrideLexer(InputStream(word))
    parser = OverrideParser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(HydraErrorListener())
    override: Any = _AsTyped(create_functions()).visit(parser.override())
    override.input_line = word
    return override


class _Characters(yaml.SafeLoader):
    """YAML whose numbers, booleans and times stay the characters that were written."""


def _as_it_stands(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


for _kind in ("int", "float", "bool", "timestamp"):
    _Characters.add_constructor(f"tag:yaml.org,2002:{_kind}", _as_it_stands)


def characters(path: Path) -> Any:
    """A YAML file that is known to be one, with its numbers and booleans as they were written."""
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=_Characters)
