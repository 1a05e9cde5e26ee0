"""All that is shown: lines, tables, progress. Nothing else prints, and nothing here ends the work that it shows."""

from simplify.display.answers import answer, answer_error, answer_file, begin_answers
from simplify.display.screen import agreed, can_ask, console, is_bounded, is_terminal, near, say, short_time, wrapped
from simplify.display.streams import (
    answer_alone,
    attach,
    is_heard,
    open_log,
    parting,
    print_into,
    reader_left,
    tell,
    tell_aside,
    tell_lacking,
    work_counts,
)

__all__ = [
    "agreed",
    "answer",
    "answer_alone",
    "answer_error",
    "answer_file",
    "attach",
    "begin_answers",
    "can_ask",
    "console",
    "is_bounded",
    "is_heard",
    "is_terminal",
    "near",
    "open_log",
    "parting",
    "print_into",
    "reader_left",
    "say",
    "short_time",
    "tell",
    "tell_aside",
    "tell_lacking",
    "work_counts",
    "wrapped",
]
