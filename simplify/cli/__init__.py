"""The command line: parses words, prints, and sets exit codes. One module a verb, no logic.

Nothing heavy is imported before a verb needs it: `--help` stays under 0.3 s.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

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
    if not ended.code or said is None:
        return
    hints = list(_without_dashes(getattr(ended.__context__, "option_name", None)))
    for hint in hints:
        tell_aside(f"simplify: {hint}")
    if _as_json():
        answer_error([*str(said()).splitlines(), *hints], int(ended.code))


def _without_dashes(option: str | None) -> Iterator[str]:
    """How a setting is typed that was typed as an option, `--block sas` or `--lr=1e-3`."""
    if not option:
        return
    from simplify.config.keys import full_key

    words = sys.argv[1:]
    place = next((n for n, word in enumerate(words) if word.partition("=")[0] == option), 0)
    typed = words[place].partition("=")[2] or next((w for w in words[place + 1 : place + 2] if w[:1] != "-"), "")
    with contextlib.suppress(ValueError):
        key = full_key(option.lstrip("-").replace("-", "_"))
        yield f"{option}: settings are typed without dashes; did you mean {key}={typed or 'VALUE'}?"


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
