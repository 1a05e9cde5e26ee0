"""The command line: parses words, prints, and sets exit codes. One module a verb, no logic.

Nothing heavy is imported before a verb needs it: `--help` stays under 0.3 s.
"""

from __future__ import annotations

import sys

from simplify.errors import SimplifyError
from simplify.program import heed_signals


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
