"""The page in a real browser: what its controls do, and that the address keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Browser
from page_tools import BLOCKS, TOKENS, address, browser, chart, page

from simplify.compare.page import Section, write_page
from simplify.compare.panels import Curve, Panel, View, with_views

FIXTURES = (address, browser, page)


def test_the_page_opens_and_shows_everything(page: Browser) -> None:
    assert page.run("document.querySelectorAll('.panel canvas').length") == 3
    assert page.run("[...document.querySelectorAll('#contents a')].map((a) => a.textContent)") == [
        "Results",
        "Depth",
        "Runs",
        "Method",
    ]
    # A curve's line stands beside its name in a table, also where the name is not in every chart.
    assert page.run("document.querySelectorAll('td .swatch').length") == len(BLOCKS)
    assert set(chart(page, "train")["values"]) == set(BLOCKS)
    assert chart(page, "rms")["distr"] == [1, 3] and chart(page, "rms")["note"] == ""


def test_the_axis_is_switched_in_all_panels_that_have_it(page: Browser) -> None:
    before = chart(page, "train")
    assert (before["label"], before["x"][0]) == ("step", 10)
    page.click("#controls input[value=tokens]")
    for key, first in (("train", 10 * TOKENS), ("val", 200 * TOKENS)):
        after = chart(page, key)
        assert (after["label"], after["x"][0]) == ("tokens", first)
    assert "300M" in chart(page, "train")["ticks"]
    assert chart(page, "rms")["label"] == "layer"
    page.click("#controls input[value=flops]")
    assert "1e17" in chart(page, "train")["ticks"]
    page.press("ArrowRight")  # as any group of radio buttons
    assert chart(page, "train")["label"] == "wall-clock time (s)"
    assert page.run("location.hash") == "#axis=seconds"


def test_the_common_range_cuts_what_is_shown(page: Browser) -> None:
    page.click("#controls input[value=seconds]")
    cut = chart(page, "train")
    first, last = (
        10 * 0.41 * 1.5,
        5400 * 0.41 * 1.1,
    )  # the slowest block's first point, the last of one that stops early
    assert all(low >= first - 1e-6 and high <= last + 1e-6 for low, high in cut["ends"])
    assert (cut["ends"][5][0], cut["ends"][1][1]) == pytest.approx((first, last))
    assert cut["note"] == "common range 6.15 … 2435"
    page.click("#common")
    whole = chart(page, "train")
    assert whole["ends"][0] == pytest.approx([4.1, 2460]) and whole["ends"][5] == pytest.approx([first, 3690])
    assert whole["note"] == ""
    page.click("#common")
    assert chart(page, "train") == cut
    # Curves that are hidden do not count.
    for name in BLOCKS[1:]:
        page.click(f"#legend button[data-name={name}]")
    assert chart(page, "train")["ends"] == [pytest.approx([4.1, 2460])]


def test_smoothing_shows_the_raw_curve_behind(page: Browser) -> None:
    raw = chart(page, "train")
    page.click("#controls [name=weight][value='0.9']")
    smooth = chart(page, "train")
    assert "smoothed (EMA 0.9), raw behind" in smooth["note"]
    assert smooth["raw"][0] == raw["y"][0] and raw["raw"] == [0] * len(BLOCKS)
    total, weight = 0.0, 0.0
    for value, found in zip(raw["y"][0], smooth["y"][0], strict=True):
        total, weight = 0.9 * total + 0.1 * value, 0.9 * weight + 0.1
        assert found == pytest.approx(total / weight)
    assert "EMA" not in chart(page, "val")["note"] + chart(page, "rms")["note"]


def test_log_axes_outlive_a_change_of_axis(page: Browser) -> None:
    boxes = "#panel-val .switches label:nth-child({}) input"
    page.click(boxes.format(1))
    page.click(boxes.format(2))
    assert chart(page, "val")["distr"] == [3, 3] and chart(page, "train")["distr"] == [1, 1]
    page.click("#controls input[value=device_hours]")
    assert chart(page, "val")["distr"] == [3, 3]
    page.click("#panel-rms .switches label:nth-child(1) input")
    assert min(chart(page, "rms")["x"]) == 1  # layer 0 has no place on a log axis
    page.click(boxes.format(1))
    assert chart(page, "val")["distr"] == [1, 3]


def test_the_legend_hides_and_shows(page: Browser) -> None:
    button = "#legend button[data-name=sas]"
    page.click(button)
    assert all(chart(page, key)["names"] == [n for n in BLOCKS if n != "sas"] for key in ("train", "val", "rms"))
    assert "sas" not in chart(page, "train")["values"]
    page.click("#controls input[value=tokens]")
    assert "sas" not in chart(page, "train")["names"]
    page.click(button, count=2)
    assert chart(page, "train")["names"] == ["sas"]
    page.click(button, count=2)
    assert chart(page, "train")["names"] == BLOCKS


def test_an_address_restores_what_was_chosen(page: Browser, address: str) -> None:
    page.click("#controls input[value=tokens]")
    page.click("#controls [name=weight][value='0.6']")
    page.click("#common")
    page.click("#legend button[data-name=sas]")
    page.click("#panel-val .switches label:nth-child(1) input")
    page.click("#panel-rms .switches label:nth-child(2) input")
    left = [chart(page, key) for key in ("train", "val", "rms")]
    assert left[2]["distr"] == [1, 1]
    page.open(address + page.run("location.hash"))
    assert [chart(page, key) for key in ("train", "val", "rms")] == left
    checked = page.run("[...document.querySelectorAll('input:checked')].map(({ value }) => value)")
    assert checked == ["tokens", "0.6", "on"]
    assert page.run("document.querySelector('[data-name=sas]').getAttribute('aria-pressed')") == "false"
    # What no page ever wrote is passed over.
    page.open(address + "#axis=no&smooth=7&hide=nobody&logX=nothing&<b>")
    assert (chart(page, "train")["label"], chart(page, "train")["names"]) == ("step", BLOCKS)
    # A link into the page scrolls and leaves the address alone.
    page.window(1300, 500)
    page.click("#contents li:nth-child(4) a")
    assert page.run("document.querySelector('#section-3').getBoundingClientRect().top") < 500
    assert "section" not in page.run("location.hash")


def test_a_page_without_a_choice_has_no_control_bar(browser: Browser, tmp_path: Path) -> None:
    write_page(
        [Section("", panels=[Panel("a", "A", "", "layer", "y", [Curve("sas", [1], [2.0])])])],
        "T",
        "",
        tmp_path / "a.html",
    )
    browser.open((tmp_path / "a.html").as_uri())
    assert browser.run("document.querySelector('#controls').checkVisibility()") is False
    assert browser.problems == []


def test_curves_without_a_common_range_are_not_cut(browser: Browser, tmp_path: Path) -> None:
    ones = [Curve("sas", [1, 2, 3], [1.0, None, 2.0]), Curve("mine", [5, 6], [1.0, 2.0]), Curve("none", [], [])]
    shape = with_views("a", "A", "", "loss", [View("step", "step", ones)], smooth=True)
    write_page([Section("", panels=[shape])], "T", "", tmp_path / "a.html")
    browser.open((tmp_path / "a.html").as_uri() + "#smooth=0.6")
    assert chart(browser, "a")["note"] == "smoothed (EMA 0.6), raw behind · no common range: nothing cut"
    assert chart(browser, "a")["ends"][:2] == [[1, 3], [5, 6]]
    browser.click("#legend button[data-name=mine]")
    assert "common" not in chart(browser, "a")["note"]
    assert browser.problems == []


def test_what_is_still_trained_cuts_no_finished_curve(browser: Browser, tmp_path: Path) -> None:
    ended = [Curve("sas", [1, 2, 3], [3.0, 2.0, 1.0]), Curve("pre_ln", [1, 2, 4], [3.0, 2.0, 1.5])]
    begun = Curve("mine", [1, 2], [3.0, 2.5], partial=True)
    shape = with_views("a", "A", "", "loss", [View("step", "step", [*ended, begun])])
    write_page([Section("", panels=[shape])], "T", "", tmp_path / "a.html")
    browser.open((tmp_path / "a.html").as_uri())
    assert chart(browser, "a")["ends"] == [[1, 3], [1, 2], [1, 2]]  # to 3, the last x of the shorter finished one
    assert chart(browser, "a")["values"]["sas"] == "1.000"
    browser.click("#legend button[data-name=sas]")
    browser.click("#legend button[data-name=pre_ln]")
    assert chart(browser, "a")["ends"] == [[1, 2]]  # where nothing has ended, the others decide
    assert browser.problems == []


def test_single_runs_are_drawn_on_demand(browser: Browser, tmp_path: Path) -> None:
    runs = [([1, 2, 3], [3.0, 2.0, 1.0]), ([1, 2, 4], [3.4, 2.4, 1.4])]
    mean = Curve("sas", [1, 2, 3], [3.2, 2.2, 1.2], [3.0, 2.0, 1.0], [3.4, 2.4, 1.4], runs=runs)
    shape = with_views("a", "A", "", "loss", [View("step", "step", [mean, Curve("mine", [1, 3], [2.0, 1.0])])])
    write_page([Section("", panels=[shape])], "T", "", tmp_path / "a.html")
    browser.open((tmp_path / "a.html").as_uri())
    drawn = "panelFrame.all[0].lines.map(({ runs }) => runs.map((place) => panelFrame.all[0].u.data[place]))"
    assert browser.run(drawn) == [[], []]
    browser.click("#single")
    assert browser.run(drawn) == [[[3, 2, 1], [3.4, 2.4, None]], []]  # cut to the common range
    browser.click("#common")
    assert browser.run(drawn)[0][1] == [3.4, 2.4, None, 1.4] and browser.run("location.hash") == "#common=off&runs=on"
    browser.open((tmp_path / "a.html").as_uri() + "#runs=on")
    assert len(browser.run(drawn)[0]) == 2 and browser.run("document.querySelector('#single').checked")
    assert browser.problems == []
