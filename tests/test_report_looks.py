"""How a report is asked to look: labels, columns, fonts, widths, log axes; from a sweep file and as options."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import TINY
from report_tools import falling, make_run, runs_of

from simplify.cli.baseline import label_slips
from simplify.cli.report_wish import Shown, wished
from simplify.compare.comparison import comparison
from simplify.compare.draw import draw_panels
from simplify.compare.figures import printed_loss
from simplify.compare.legend import bands_of
from simplify.compare.look import Look, problems_of
from simplify.compare.names import without_maths
from simplify.compare.options import ReportOptions
from simplify.compare.page import write_page
from simplify.compare.panels import Panel
from simplify.compare.sections import drawn_of
from simplify.compare.tables import COLUMNS, PaperNumbers, columns_of
from simplify.compare.tuned_table import HEADS
from simplify.compare.variants import unused_labels
from simplify.compare.wording import renamed
from simplify.config.gains import BLOCK_GAINS, HEAD_GAINS
from simplify.errors import ConfigError
from simplify.sweep.file import read_sweep
from simplify.sweep.plan import make_plan
from simplify.sweep.report import GAINS, Column, Report
from simplify.zoo.readings import RATIOS

Cli = Callable[..., Any]
PLAIN = Report.model_validate({})


def shown(*figures: str, labels: tuple[str, ...] = (), columns: str | None = None, **typed: Any) -> Report:
    return wished(Shown(typed, figures, labels, columns, None, Path("report")), PLAIN)


def test_figures_with_options() -> None:
    final, scaling, gains = shown(
        "final=optimiser.lr,by=block.projection,log_x=false", "scaling,log_y=false", "gains=alpha,beta"
    ).figures
    assert (final.x, final.by, final.log_x, final.log_y) == ("optimiser.lr", "block.projection", False, None)
    assert (scaling.x, scaling.log_x, scaling.log_y) == (None, None, False) and gains.of == ("alpha", "beta")
    (resolved,) = shown("final=lr,by=value.init block.value.tie").figures
    assert (resolved.x, resolved.by) == ("optimiser.lr", "block.value.init block.value.tie")


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ("final=optimiser.lr,logx=false", "logx=false: did you mean log_x? valid: by=SETTING, log_x=true or false"),
        ("final=optimiser.lr,log_x=maybe", "log_x=maybe: "),
        ("final=optimiser.lrr", "x=optimiser.lrr: is no setting; did you mean optimiser.lr? valid: a setting's key"),
        ("final=branch", "may be one of several settings; valid: the full key: block.value.branch, block.projection"),
        ("final=lr,by=projektion", "by=projektion: is no setting; did you mean block.projection? "),
        ("gains=alpha,gama", "of=gama: did you mean gamma? valid: alpha, beta, gamma, attn_skip"),
        ("scaling=flops,by=block", "by: says nothing of scaling; valid there: x, log_x, log_y"),
        ("final=a,b", "valid: gains, gains=alpha,beta, final=SETTING"),
        ("final,by=block", "valid: gains"),
        ("scaling=parameter", "did you mean parameters"),
        ("gains=alpha,log_x=true", "valid: none for gains"),
    ],
)
def test_figures_typed_wrong(figure: str, words: str) -> None:
    with pytest.raises(ConfigError) as failed:
        shown(figure)
    assert f"--figure={figure}: " in str(failed.value) and words in str(failed.value)


def test_other_slips() -> None:
    for message, words in {
        "--columns=loss,speeds: speeds: did you mean speed": {"columns": "loss,speeds"},
        "--label=pre_ln: is no label": {"labels": ("pre_ln",)},
        "--label=a=$x: is no label": {"labels": ("a=$x",)},
        "--width=0.5: is no width": {"width": 0.5},
    }.items():
        with pytest.raises(ConfigError) as failed:
            shown(**words)
        assert message in str(failed.value)


def test_a_sweep_file_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "grid: {block: [pre_ln]}\n"
        "report: {labels: {pre_ln: Pre-LN, 0.001: slow, projection=identity: no $W_P$}, columns: [loss, difference],\n"
        "  title: false, font: serif, width: 6.5, log_y: true,\n"
        "  figures: [{kind: final, x: optimiser.lr, log_x: false, log_y: true}]}\n"
    )
    said = read_sweep(file).report
    assert said.labels == {"pre_ln": "Pre-LN", "0.001": "slow", "projection=identity": "no $W_P$"}
    assert (said.columns, said.title, said.font, said.width, said.log_y) == (
        ("loss", "difference"),
        False,
        "serif",
        6.5,
        True,
    )
    over = wished(Shown({"title": True, "font": None}, (), ("pre_ln=A",), None, None, Path("r")), said)
    assert over.title and over.font == "serif" and over.labels == {**said.labels, "pre_ln": "A"}
    file.write_text("grid: {block: [pre_ln]}\nreport: {labels: {pre_ln: $x}}\n")
    with pytest.raises(ConfigError, match="has a formula without its end"):
        read_sweep(file)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ("{figures: [{kind: final, x: lrr}]}", "figures: x=lrr: is no setting; did you mean optimiser.lr? "),
        (
            "{figures: [{kind: final, x: lr, by: blok.projection}]}",
            "figures: by=blok.projection: is no setting; did you mean",
        ),
        ("{figures: [{kind: gains, of: [alpa]}]}", "figures: of=alpa: did you mean alpha? valid: alpha, beta"),
        ("{figures: [{kind: gains, x: lr}]}", "figures: x: says nothing of gains; valid there: of"),
        ("{colour: projektion}", "report.colour=projektion: is no setting; did you mean block.projection? "),
        ("{labels: {projektion=identity: A}}", "report: label projektion=identity: did you mean projection=identity? "),
    ],
)
def test_what_a_report_could_not_show_is_refused_at_planning(cli: Cli, here: Path, report: str, words: str) -> None:
    (here / "a.yaml").write_text(f"grid: {{block.projection: [dense, identity]}}\nreport: {report}\n")
    found = cli("sweep", "a.yaml", *TINY, "--plan")
    assert found.code == 2 and found.err.count("\n") == 1 and f"a.yaml: {words}" in found.err, found.err


def test_labels_of_other_sizes_and_of_axes_are_no_slips(cache_dir: Path, tmp_path: Path) -> None:
    labels = '{"0.005": five, projection=identity: A, optimiser.lr: rate, tokens: T, nats a token: loss, alpha: $a$}'
    (tmp_path / "a.yaml").write_text(
        "grid: {block.projection: [dense, identity]}\nscales: {nano: {grid: {optimiser.lr: [5e-3]}}}\n"
        f"report: {{figures: [{{kind: final, x: lr}}], labels: {labels}}}\n"
    )
    source = read_sweep(tmp_path / "a.yaml")
    points = [{"block.projection": kind, **dict(word.split("=", 1) for word in TINY)} for kind in ("dense", "identity")]
    assert cache_dir and label_slips(make_plan(points), source) == []


def test_the_gains_that_figures_know_are_those_of_the_zoo() -> None:
    assert set(GAINS) == {*HEAD_GAINS, *BLOCK_GAINS, *RATIOS}


def test_columns_have_the_names_that_files_use(tmp_path: Path) -> None:
    make_run(tmp_path, ["block=sas"], falling(4.0))
    columns = columns_of(comparison(runs_of(tmp_path)), PaperNumbers("Table 1", {"loss": {"sas": "1"}}))
    assert get_args(Column) == COLUMNS
    assert [column.key for column in columns[1:]] == [key for key in COLUMNS if key not in HEADS]  # of a tuned sweep


LABELS = {"projection=identity": "no $W_P$", "block.projection=dense": "Pre-LN", "0.001": "", "lr=0.003": "fast_er"}


PARTS = ["projection=dense", "lr=0.001", "lr=0.003", "projection=identity"]


def test_labels_stand_for_names_and_for_their_parts(tmp_path: Path) -> None:
    for kind in ("dense", "identity"):
        for lr in ("1e-3", "3e-3"):
            make_run(tmp_path, ["block=pre_ln", f"block.projection={kind}", f"optimiser.lr={lr}"], falling(4.0))
    found = comparison(runs_of(tmp_path), labels=LABELS, as_given=False)
    assert [(v.name, v.label) for v in sorted(found.variants, key=lambda v: v.name)] == [
        ("Pre-LN", "Pre-LN"),
        ("Pre-LN, fast_er", "Pre-LN, fast_er"),
        ("no W_P", "no $W_P$"),
        ("no W_P, fast_er", "no $W_P$, fast_er"),
    ]
    names = [v.name for v in comparison(runs_of(tmp_path), labels={"lr=0.001": "", "lr=0.003": ""}).variants]
    assert len(set(names)) == 4 and all("lr=" in name for name in names)  # a label never makes two the same
    whole = comparison(runs_of(tmp_path), labels={"projection=dense, lr=0.001": "A"}).variants
    assert "A" in [variant.name for variant in whole]
    slips = unused_labels(found.variants, {**LABELS, "projection=idenity": "x"})
    assert slips == [
        "label projection=idenity: did you mean projection=identity? nothing is called that; valid: "
        f"{', '.join(PARTS)}, or the text of an axis"
    ]
    assert without_maths("a $\\gamma_{0}$ b $c$") == "a gamma_0 b c"


def test_pictures_as_a_paper_has_them(tmp_path: Path) -> None:
    """No title, Times' letters, formulas set; a label that cannot be set is told, and drawn as it is."""
    make_run(tmp_path, ["block=sas"], falling(4.0))
    labels = {"sas": "no $W_P$ & x_y"}
    panel = printed_loss(comparison(runs_of(tmp_path), labels=labels), "val/loss", "step", (True, True))
    assert panel.log_x and panel.log_y
    draw_panels([panel], "", [tmp_path / "a.svg"], 3.25, Look(title=False, font="serif"))
    text = re.sub("<!--.*?-->", "", (tmp_path / "a.svg").read_text(), flags=re.DOTALL)
    assert "STIXGeneral" in text and "DejaVu" not in text and "validation loss" not in text and "no $" not in text
    assert 'width="234pt"' in text
    bad = printed_loss(comparison(runs_of(tmp_path), labels={"sas": "$\\frac{$"}), "val/loss", "step")
    draw_panels([bad], "", [tmp_path / "b.svg"])
    assert "validation loss" in (tmp_path / "b.svg").read_text()
    assert problems_of(Look(), ["$\\frac{$", "a_$", "no $W_P$"])[0].startswith("label $\\frac{$: matplotlib cannot")
    assert problems_of(Look(font="No Such Font"), []) == [
        "font No Such Font: is not on this machine; valid: sans, serif, or a family that is"
    ]


def test_axes_titles_and_bands_have_labels_too(tmp_path: Path) -> None:
    """A band is in the legend, in words that can be others' or none; the page has formulas as plain text."""
    for block, seed in itertools.product(("pre_ln", "sas"), (0, 1)):
        make_run(tmp_path, [f"block={block}", f"seed={seed}"], falling(4.0 + seed / (9 + (block == "sas"))))
    found = comparison(runs_of(tmp_path))
    labels = {"step": "Step $t$", "nats a token": "Loss", "validation loss": "Valid", "band: s.d. over seeds": ""}
    drawn = drawn_of(found, ReportOptions("", labels=labels))
    assert labels.keys() <= drawn.words
    loss, gap = (drawn.printed[name][0] for name in ("loss", "gap"))
    assert (loss.title, loss.x_label, loss.y_label, loss.band) == ("Valid", "Step $t$", "Loss", "")
    assert bands_of([loss]) == [] and bands_of([gap]) == ["band: 95% interval"]
    assert bands_of([printed_loss(found, "val/loss", "step"), gap]) == [
        "left band: s.d. over seeds",
        f"right {gap.band}",
    ]
    draw_panels([gap], "", [tmp_path / "a.svg"], 3.25)
    assert "band: 95% interval" in (tmp_path / "a.svg").read_text()
    (section,) = (part for part in drawn.sections if part.title == "Loss")
    write_page([section], "", "", tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert '"label":"Step t"' in page and '"y_label":"Loss"' in page and '"title":"Valid"' in page
    final = renamed(Panel("f", "loss against optimiser.lr", "", "optimiser.lr", "", []), {"lr": "rate"})
    assert (final.title, final.x_label) == ("loss against rate", "rate")


def test_the_command_passes_them_on(cli: Cli, here: Path) -> None:
    for block in ("pre_ln", "sas"):
        for seed in (0, 1):
            make_run(here / "runs", [f"block={block}", f"seed={seed}"], falling(4.0 + seed / 9))
    words = ["--label", "sas=no $W_P$", "--columns", "loss,parameters", "--no-title", "--width", "6.5"]
    found = cli("report", *words, "--font", "No Such Font")
    assert found.code == 0, found.err
    report = here / "report"
    assert (report / "table.md").read_text().splitlines()[0] == "| variant | final loss | parameters |"
    assert "no $W_P$ & " in (report / "table.tex").read_text() and "{@{}lrr@{}}" in (report / "table.tex").read_text()
    assert "no W_P" in found.out and 'width="468pt"' in (report / "loss.svg").read_text()
    assert found.out.count("font No Such Font: is not on this machine") == 1


def test_one_figure_in_two_looks(cli: Cli, here: Path) -> None:
    """A typed figure takes the place of the file's; a file may have one twice."""
    for rate, loss in ((1e-3, 4.0), (3e-3, 3.9)):
        make_run(here / "runs", ["block=sas", f"optimiser.lr={rate}"], falling(loss))
    done = cli("report", "--figure", "final=optimiser.lr", "--figure", "final=optimiser.lr,log_y=true")
    assert done.code == 0, done.err
    drawn = sorted(path.name for path in (here / "report").glob("final*.svg"))
    assert drawn == ["final-optimiser_lr--2.svg", "final-optimiser_lr.svg"]
