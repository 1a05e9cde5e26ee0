"""table.tex is a table that a paper can take as it is: compiled here by TeX, in two widths."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from report_tools import falling, make_run, runs_of

from simplify.compare.comparison import Comparison, comparison
from simplify.compare.latex import escaped, latex_table, with_formulas

Cli = Callable[..., Any]
NEEDED = "SIMPLIFY_NEED_TEX"  # set where the absence of TeX is a failure and no reason to skip
IS_NEEDED = bool(os.environ.get(NEEDED))  # before tests lose the shell's own variables
LABELS = {
    "pre_ln": "Pre-LN & 100% {of} it_all #1 ~^\\",
    "projection=identity": "no $W_P$",
    "projection=dense": "",
    "parallel": "\N{GREEK SMALL LETTER LAMDA}",
}
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage[textwidth=%sin]{geometry}
\begin{document}
\noindent
\input{table.tex}
\end{document}
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two blocks with and without W_P, a lone seed, other seeds than the baseline's, and one that diverged."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1, 2):
        for block, loss in (("pre_ln", 4.0), ("sas_p_no_norm", 3.9)):
            make_run(root, [f"block={block}", f"seed={seed}"], falling(loss + seed / 7))
        make_run(root, ["block=pre_ln", "block.projection=identity", f"seed={seed}"], falling(4.1 + seed / 9))
    make_run(root, ["block=sas", "seed=0"], falling(12.5))
    make_run(root, ["block=sas_p", "seed=7"], falling(4.2))
    make_run(root, ["block=parallel", "seed=0"], falling(4.0), end="diverged")
    return comparison(runs_of(root), "pre_ln projection=dense", labels=LABELS)


def compiled(tex: str, width: float, folder: Path) -> str:
    """What pdflatex said; skipped where there is none."""
    program = shutil.which("pdflatex")
    if program is None:
        if IS_NEEDED:
            pytest.fail(f"no pdflatex, and {NEEDED} is set")
        pytest.skip("no pdflatex")
    (folder / "table.tex").write_text(tex, encoding="utf-8")
    (folder / "paper.tex").write_text(DOCUMENT % width)
    words = [program, "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@pytest.mark.parametrize("width", [3.25, 6.5])
@pytest.mark.parametrize("keys", [(), ("runs", "loss", "verdict", "parameters", "memory", "steps")])
def test_it_compiles_and_fits(found: Comparison, keys: Sequence[str], width: float, tmp_path: Path) -> None:
    tex, problems = latex_table(found, ["a % comment ± of\ntwo lines"], keys, width)
    said = compiled(tex, width, tmp_path)
    if not keys or width > 4:
        assert "Overfull" not in said and problems == []
    else:
        assert "columns are wider than 3.25 inches; choose fewer, or --width" in problems[0]


def test_what_stands_in_it(found: Comparison) -> None:
    tex, _ = latex_table(found, [], (), 6.5)
    body = tex[tex.index("\\begin{tabular}") : tex.index("\\end{tabular}")]
    rows = [line.removesuffix(" \\\\").split(" & ") for line in body.splitlines() if " & " in line]
    assert "{@{}lrrr@{}}" in body and {len(row) for row in rows} == {4}
    said = {row[0].replace("\\allowbreak{}", ""): row[1:] for row in rows}
    cells = {name.partition(" (")[0]: row for name, row in said.items()}
    assert {name.partition(" (")[2] for name in said} == {"", "0 of 1 runs)", "1 run)"}
    assert "dagger, unpaired: " in tex and not re.search("tokens/s|its loss|peak memory|Verdict|n pairs", tex)
    base = r"Pre-LN \& 100\% \{of\} it\_all \#1 \textasciitilde{}\textasciicircum{}\textbackslash{}"
    assert cells[base][1] == "--" and cells[r"$\lambda$"][0] == "diverged"
    label = next(name for name in cells if name.endswith("no $W_P$"))
    assert re.fullmatch(r"\$\+0\.\d{4} \\pm 0\.\d{4}\$", cells[label][1])
    assert re.fullmatch(r"\$-0\.1000 \\pm 0\.0000\$", cells["sas\\_p\\_no\\_norm"][1])
    assert cells["sas"][1] == "$+8.5000$" and cells["sas\\_p"][1].endswith(r"^{\dagger}$")
    assert not {"worse", "better", "not decided", "tokens/s"} & set(re.findall(r"[\w/]+(?: decided)?", body))
    assert "(" not in "".join(row[3] for row in rows)  # parameters without their percentages


def test_what_a_paper_should_not_print_is_refused_in_words(found: Comparison) -> None:
    tex, problems = latex_table(found, [], ("loss", "speed", "seconds"), 6.5)
    assert "{@{}lr@{}}" in tex and [line.split(":")[1] for line in problems] == [
        " no column speed",
        " no column seconds",
    ]


def test_any_text_is_shown_as_it_is() -> None:
    assert escaped("a_b 50% & {#} $") == r"a\_\allowbreak{}b 50\% \& \{\#\} \$"
    assert with_formulas("$\\frac{$ 5%") == r"\$\textbackslash{}frac\{\$ 5\%" and with_formulas("$5%$") == r"$5\%$"
    assert escaped("\N{GREEK SMALL LETTER BETA}\N{GREEK CAPITAL LETTER DELTA}\N{MINUS SIGN}") == r"$\beta$$\Delta$$-$"
    assert with_formulas("no $W_P$ & b_c") == r"no $W_P$ \& b\_\allowbreak{}c" and with_formulas("5$") == r"5\$"
