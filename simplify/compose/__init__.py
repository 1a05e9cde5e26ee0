"""Hydra at the edge: config groups and command-line words become plain data, then a RunConfig.

The only room that knows Hydra. Hydra composes the chosen YAML files; settings typed as
`key=value` are applied to a copy afterwards (2 ms instead of 0.1 s each), and the typed
configuration judges the result, so a misspelt key gets the same one-line error wherever it stands.
"""

from simplify.compose.drafts import draft_of, drafted_run
from simplify.compose.files import as_written, read_yaml
from simplify.compose.grammar import axes, parse
from simplify.compose.points import compose_points
from simplify.compose.run import compose_data, compose_run, with_settings
from simplify.compose.tracking import shell_lines
from simplify.compose.words import characters
from simplify.compose.zoo import compose_zoo

__all__ = [
    "as_written",
    "axes",
    "characters",
    "compose_data",
    "compose_points",
    "compose_run",
    "compose_zoo",
    "draft_of",
    "drafted_run",
    "parse",
    "read_yaml",
    "shell_lines",
    "with_settings",
]
