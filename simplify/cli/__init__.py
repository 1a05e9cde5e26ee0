"""The command line: parses words, prints, and sets exit codes. One module a verb, no logic.

Nothing heavy is imported before a verb needs it: `--help` stays under 0.3 s.
"""

from __future__ import annotations

import sys

from simplify.disk import of_the_machine
from simplify.display import answer_error, attach, begin_answers, parting, tell_aside
from simplify.errors import SimplifyError
from simplify.program import heed_signals

_NAMED = 10  # small files that cannot be read are named one by one up to here


def main() -> None:
    """Run the command line; intended errors become one line each on standard error."""
    heed_signals()
    attach()
    begin_answers()
    code: object = 0
    try:
        from simplify.cli.app import app

        app(prog_name="simplify")  # also as `python -m simplify`: completion goes by this name
    except SystemExit as ended:
        code = ended.code
        _refused(ended)
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


def _refused(ended: SystemExit) -> None:
    """Tell a program what the parser of words did not understand: it has shown that itself, and exits with it."""
    said = getattr(ended.__context__, "format_message", None)  # click's, or typer's own copy of it
    if _as_json() and ended.code and said is not None:
        answer_error(str(said()).splitlines(), int(ended.code))


def _as_json() -> bool:
    """Whether a program asks, also where the rest of the line is wrong."""
    words = sys.argv[1:]
    return "--json" in words[: words.index("--") if "--" in words else None]


def _told(error: SimplifyError) -> int:
    lines = str(error).splitlines()
    for line in lines:
        tell_aside(f"simplify: {line}")
    if _as_json():
        answer_error(lines, error.exit_code)
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
