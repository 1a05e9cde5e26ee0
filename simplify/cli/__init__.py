"""The command line: parses words, prints, and sets exit codes. One module a verb, no logic.

Nothing heavy is imported before a verb needs it: `--help` stays under 0.3 s.
"""

from __future__ import annotations

import sys

from simplify.disk import of_the_machine
from simplify.display import attach, parting, tell_aside
from simplify.errors import SimplifyError
from simplify.program import heed_signals

_NAMED = 10  # small files that cannot be read are named one by one up to here


def main() -> None:
    """Run the command line; intended errors become one line each on standard error."""
    heed_signals()
    attach()
    code: object = 0
    try:
        from simplify.cli.app import app

        app(prog_name="simplify")  # also as `python -m simplify`: completion goes by this name
    except SystemExit as ended:
        code = ended.code
    except SimplifyError as error:
        code = _told(error)
    except OSError as error:
        known = of_the_machine(error)
        if known is None:
            raise
        code = _told(known)
    finally:
        _name_what_was_left_out()
    sys.exit(code or parting())


def _told(error: SimplifyError) -> int:
    for line in str(error).splitlines():
        tell_aside(f"simplify: {line}")
    return error.exit_code


def _name_what_was_left_out() -> None:
    """A line for each small file that this command met and could not use."""
    if "simplify.runs.files" not in sys.modules:
        return
    from simplify.runs.files import left_out

    lines = left_out()
    more = [f"{len(lines) - _NAMED} more files that cannot be read"] if len(lines) > _NAMED else []
    for line in [*lines[:_NAMED], *more]:
        tell_aside(line)  # no "simplify: ": that is what ends a command
