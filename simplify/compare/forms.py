"""The forms a table of texts is written in: columns on the terminal, Markdown, LaTeX."""

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


_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "±": "$\\pm$",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
}


def latex(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """A tabular for a paper; needs the package booktabs."""

    def text(cell: str) -> str:
        return "".join(_LATEX.get(c, c) for c in cell)

    def line(cells: Sequence[str]) -> str:
        return " & ".join(text(cell) for cell in cells) + r" \\"

    comments = [f"% {note}" for note in notes]
    head = ["% needs \\usepackage{booktabs}", *comments, f"\\begin{{tabular}}{{{'l' * len(rows[0])}}}", "\\toprule"]
    return "\n".join([*head, line(rows[0]), "\\midrule", *map(line, rows[1:]), "\\bottomrule", "\\end{tabular}", ""])
