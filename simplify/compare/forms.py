"""The forms a table of texts is written in: columns on the terminal, Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The table as lines of plain text in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def markdown(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """A table for a README."""

    def line(cells: Sequence[str]) -> str:
        return (
            "| "
            + " | ".join(cell.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*") for cell in cells)
            + " |"
        )

    body = [line(rows[0]), "|" + "---|" * len(rows[0]), *(line(row) for row in rows[1:])]
    return "\n".join([*body, "", *(f"{note}\n" for note in notes)])
