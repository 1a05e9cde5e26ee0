"""The command line: parses words, prints, and sets exit codes. One module a verb, no logic.

Nothing heavy is imported before a verb needs it: `--help` stays under 0.3 s.
"""

from __future__ import annotations

import contextlib
import sys

from simplify.errors import SimplifyError
from simplify.program import heed_signals

_NAMED = 10  # files


def main() -> None:
    """Run the command line; intended errors become one line each on standard error."""
    heed_signals()
    from simplify.cli.app import app

    try:
        app(prog_name="simplify")  # also as `python -m simplify`: completion goes by this name
    except SimplifyError as error:
        for line in str(error).splitlines():
            print(f"simplify: {line}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) has left; that is no error of ours
        sys.exit(0)
    finally:
        _name_what_was_left_out()


def _name_what_was_left_out() -> None:
    """A line for each small file that this command met and could not use."""
    if "simplify.runs.files" not in sys.modules:
        return
    from simplify.runs.files import left_out

    lines = left_out()
    more = [f"{len(lines) - _NAMED} more files that cannot be read"] if len(lines) > _NAMED else []
    with contextlib.suppress(OSError, ValueError):  # nobody listens
        for line in [*lines[:_NAMED], *more]:
            print(line, file=sys.stderr, flush=True)  # no "simplify: ": that is what ends a command
