"""The table for a paper: a LaTeX tabular that fits a column and needs booktabs alone.

Numbers stand in maths, so that a minus is one; an interval is its mean and half its width, since Student's is
symmetric. Labels may hold formulas between dollars; everything else is text, whatever is in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from simplify.compare.comparison import Comparison, Row
from simplify.compare.notes import notes_of
from simplify.compare.tables import (
    NONE,
    Column,
    PaperNumbers,
    baseline_row,
    chosen_columns,
    flops_cell,
    parameters_cell,
)
from simplify.compare.variants import Variant

USUAL = ("loss", "difference", "parameters")  # beside the variant
TUNED = ("chosen", "loss", "difference", "words")  # the same of a tuned comparison
NEVER = {
    "speed": "a speed is a bench's to tell (report/speed.pdf)",
    "seconds": "seconds are a bench's to tell (report/speed.pdf)",
}
_TEXT = {
    **{c: f"\\{c}" for c in "&%$#{}"},
    "_": "\\_\\allowbreak{}",
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "±": "$\\pm$",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "=": "=\\allowbreak{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{MULTIPLICATION SIGN}": "$\\times$",
}
# How wide letters are against those at 10 pt: Computer Modern's small sizes are wider than in proportion.
_SIZES = {"normalsize": 1.0, "small": 0.925, "footnotesize": 0.85, "scriptsize": 0.8}
_POINT = 72.27  # in an inch
_GAP = 5.0  # points on each side of a column, TeX's \tabcolsep
_LEAST = 40.0  # points that labels need at least


@dataclass(frozen=True)
class _Column:
    """A column's head in one or two lines, and its cells, as TeX."""

    head: tuple[str, str]
    cells: Sequence[str]


def latex_table(
    found: Comparison, comments: Sequence[str], keys: Sequence[str], width: float, paper: PaperNumbers | None = None
) -> tuple[str, list[str]]:
    """The table in `width` inches with these columns beside the variant, and what could not be done, in words."""
    problems = [f"table.tex: no column {key}: {NEVER[key]}" for key in keys if key in NEVER]
    usual = USUAL if found.tuning is None else _tuned_that_fit(found, width)
    wanted = [key for key in keys or usual if key not in NEVER]
    columns = [_column(found, column, "runs" not in wanted) for column in chosen_columns(found, paper, wanted)]
    notes = (note.replace("unpaired: ", "dagger, unpaired: ", 1) for note in notes_of(found, paper, wanted))
    comments = [*comments, *notes]
    size, labels = _fit(columns, width * _POINT)
    if labels is not None and labels < _LEAST:
        problems.append(f"table.tex: {len(columns)} columns are wider than {width:g} inches; choose fewer, or --width")
    first = "l" if labels is None else f"p{{{max(labels, _LEAST):.0f}pt}}"
    begin = rf"\begin{{tabular}}{{@{{}}{first}{'r' * (len(columns) - 1)}@{{}}}}"
    heads = [" & ".join(column.head[line] for column in columns) + r" \\" for line in (0, 1)]
    ragged = "" if labels is None else r"\raggedright{}"
    rows = [ragged + " & ".join(cells) + r" \\" for cells in zip(*(column.cells for column in columns), strict=True)]
    lines = ["% needs \\usepackage{booktabs}", *(f"% {line}" for text in comments for line in text.splitlines())]
    lines += [f"{{\\{size}\\setlength{{\\tabcolsep}}{{{_GAP:g}pt}}%", begin, r"\toprule"]
    return "\n".join([*lines, *heads, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}}", ""]), problems


def _tuned_that_fit(found: Comparison, width: float) -> Sequence[str]:
    """A tuned comparison's usual columns, without the answer in words where a paper's column is too narrow."""
    columns = [_column(found, column, says_runs=True) for column in chosen_columns(found, None, TUNED)]
    labels = _fit(columns, width * _POINT)[1]
    return TUNED if labels is None or labels >= _LEAST else TUNED[:-1]


def _column(found: Comparison, column: Column, says_runs: bool) -> _Column:
    """A column; `says_runs`: no other one does, so where there are fewer than of the others the label has how many."""
    if column.key == "variant":
        most = max((len(variant.done) for variant in found.variants), default=0)
        few = [_few(variant, most) if says_runs else "" for variant in found.variants]
        return _Column(("", ""), [with_formulas(v.label) + n for v, n in zip(found.variants, few, strict=True)])
    if column.key == "loss":
        return _Column(("final loss", r"mean $\pm$ s.d."), [_loss(row) for row in found.rows])
    if column.key == "difference":
        base, cells = baseline_row(found), [_difference(row) for row in found.rows]
        head = f"minus {with_formulas(base.variant.label)}" if base is not None else "minus baseline"
        if _width(head) > max(map(_width, cells)):  # a head makes no column wider
            head = "difference"
        return _Column((head, r"$\pm$ 95\,\%"), cells)
    if column.key == "verdict":
        words = [row.judged.verdict if row.judged is not None and row.judged.n else NONE for row in found.rows]
        return _Column((column.head, ""), [_plain(word) for word in words])
    if column.key in ("parameters", "flops"):
        cell = parameters_cell if column.key == "parameters" else flops_cell
        head, _, unit = column.head.partition(" ")
        return _Column((head, unit), [_plain(cell(row).partition(" (")[0]) for row in found.rows])
    head, _, rest = column.head.partition(" ")
    return _Column((escaped(head), escaped(rest)), [_plain(column.cell(row)) for row in found.rows])


def _few(variant: Variant, most: int) -> str:
    done, runs = len(variant.done), len(variant.runs)
    if done < runs:
        return f" ({done} of {runs} runs)"
    return f" ({done} run{'s'[: done != 1]})" if done < most else ""


def _loss(row: Row) -> str:
    if row.loss is None:
        return "diverged" if row.variant.diverged else "--"
    mean, sd = row.loss
    star = "^{*}" if row.variant.diverged else ""
    return f"${mean:.4f}{star}$" if sd is None else f"${mean:.4f} \\pm {sd:.4f}{star}$"


def _difference(row: Row) -> str:
    """Mean and half the interval; a dagger where there were no pairs."""
    gap = row.gap
    if gap is None or row.variant.diverged:
        return "--"
    dagger = "" if gap.paired else r"^{\dagger}"
    some = f", {gap.n} pair{'s'[: gap.n != 1]}" if gap.paired and gap.n < len(row.variant.done) else ""
    if gap.low is None or gap.high is None:
        return f"${gap.mean:+.4f}{dagger}${some}"
    return f"${gap.mean:+.4f} \\pm {(gap.high - gap.low) / 2:.4f}{dagger}${some}"


def _plain(cell: str) -> str:
    """A cell of another table: numbers with a sign in maths, the rest as text."""
    if cell == NONE:
        return "--"
    return re.sub(r"(?<![\w.])([+-]\d[\d.]*)", r"$\1$", escaped(cell))


def escaped(text: str) -> str:
    """Any text as TeX shows it; Greek letters as formulas, since its text fonts have none."""
    return "".join(_TEXT.get(c) or _greek(c) for c in text)


def _greek(letter: str) -> str:
    words = unicodedata.name(letter, "").split()
    if words[:1] != ["GREEK"] or words[2:3] != ["LETTER"] or len(words) != 4:
        return letter
    name = words[3].lower().replace("lamda", "lambda")
    return f"$\\{name if words[1] == 'SMALL' else name.capitalize()}$"


def with_formulas(label: str) -> str:
    """A label, in which what stands between dollars is a formula."""
    parts = label.split("$")
    formulas = parts[1::2]
    if len(parts) % 2 == 0 or any(part.count("{") != part.count("}") for part in formulas):  # TeX would stop at it
        return escaped(label)
    return "".join(f"${_formula(part)}$" if place % 2 else escaped(part) for place, part in enumerate(parts))


def _formula(text: str) -> str:
    return re.sub(r"(?<!\\)([%&#])", r"\\\1", text)


def _fit(columns: Sequence[_Column], width: float) -> tuple[str, float | None]:
    """The largest size at which the table fits, and None; else the smallest and the points left for labels."""
    wide = [max(map(_width, [*column.head, *column.cells])) for column in columns]
    gaps = 2 * _GAP * (len(columns) - 1)
    for name, factor in _SIZES.items():
        if name != "scriptsize" and sum(wide) * factor + gaps <= width:
            return name, None
    name = "footnotesize"
    left = width - gaps - sum(wide[1:]) * _SIZES[name]
    if left < _LEAST:
        name = "scriptsize"
        left = width - gaps - sum(wide[1:]) * _SIZES[name]
    return name, left


# Points at 10 pt of Computer Modern's letters, rounded up.
_POINTS = {**dict.fromkeys("ijl.,:;'!|", 2.8), **dict.fromkeys("ft()[] ", 3.9), **dict.fromkeys("mMW", 10.3), "w": 7.3}
_POINTS |= {"+": 7.8, "-": 7.8, "±": 12.3, "%": 8.4, "&": 7.8, "=": 7.8}


def _width(tex: str) -> float:
    """About how many points a text takes at 10 pt, rather more."""
    plain = tex.replace(r"\pm", "±").replace(r"\allowbreak{}", "").replace(r"\,", "")
    plain = re.sub(r"\\[a-zA-Z]+(\{\})?", "M", plain)
    plain = re.sub(r"[\\${}^]", "", plain).replace(" ± ", "±")
    return sum(_POINTS.get(c, 5.0 if c.isdigit() else 7.9 if c.isupper() else 5.6) for c in plain)
