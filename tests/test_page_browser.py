"""The page in a real browser: what its controls do, what it shows, and pictures of it in build/screenshots/."""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import NAMES, Browser, find_browser
from conftest import ROOT

from simplify.compare.page import Section, Table, write_page
from simplify.compare.panels import Curve, Panel, View, with_views

NEEDED = "SIMPLIFY_NEED_BROWSER"  # set where the absence of a browser is a failure and no reason to skip
PICTURES = ROOT / "build" / "screenshots"
BLOCKS = ["pre_ln", "parallel", "sas", "sas_p", "sas_p_no_norm", "v_skipinit"]
TOKENS = 65536  # a step
# An axis' key, label, and what a step of block i counts there.
AXES = {
    "step": ("step", lambda _: 1.0),
    "tokens": ("tokens", lambda _: float(TOKENS)),
    "flops": ("training compute (FLOPs)", lambda i: TOKENS * 6 * 85e6 * (1 - 0.03 * i)),
    "seconds": ("wall-clock time (s)", lambda i: 0.41 * (1 + 0.1 * i)),
    "device_hours": ("device time (GPU h)", lambda i: 0.41 * (1 + 0.1 * i) * 8 / 3600),
}


def losses(key: str, title: str, noise: float, every: int, names: list[str], points: int = 600) -> Panel:
    """Made-up curves; every third block stops early."""
    chance = random.Random(0)
    found: dict[str, list[Curve]] = {axis: [] for axis in AXES}
    for i, name in enumerate(names):
        steps = [10.0 * every * k for k in range(1, (points - points // 10 * (i % 3 == 1)) // every + 1)]
        y = [3.1 + 0.04 * i + 7 * math.exp(-s / 400) + chance.gauss(0, noise) for s in steps]
        low, high = [v - 0.02 - noise for v in y], [v + 0.02 + noise for v in y]
        for axis, (_, size) in AXES.items():
            found[axis].append(Curve(name, [s * size(i) for s in steps], y, low, high))
    views = [View(axis, label, found[axis]) for axis, (label, _) in AXES.items()]
    text = "Cross-entropy; the band is least to largest over 3 seeds."
    return with_views(key, title, text, "loss (nats per token)", views, smooth=noise > 0)


def report(path: Path, names: list[str]) -> None:
    head = ["block", "parameters", "final val loss", "± over seeds", "tokens/s", "step time (ms)", "peak memory (GiB)"]
    head += ["steps to Pre-LN's loss", "FLOPs to Pre-LN's loss"]
    rows = [
        [n, f"{85.1 - i:.1f} M", "3.31", "0.004", "158000", "410", "31.2", "5000", "2.4e17"]
        for i, n in enumerate(names)
    ]
    table = Table("At the common budget", [head, *rows], ["Mean over 3 seeds; ± is half of largest minus least."])
    panels = [losses("train", "Training loss", 0.15, 1, names), losses("val", "Validation loss", 0, 20, names)]
    plain = Panel(
        "rms", "RMS", "", "layer", "rms", [Curve(n, range(9), [10.0**k for k in range(9)]) for n in names], True
    )
    states = Table("", [["run", "block", "state"], ["a1b2c3", names[0], "finished"]])
    sections = [Section("Results", "Trained on the same tokens.", [table], panels), Section("Depth", panels=[plain])]
    sections += [Section("Runs", tables=[states]), Section("Method", "Same width and depth.")]
    write_page(sections, "Simplified blocks", "made-up numbers", path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        reason = f"needs a Chromium ({', '.join(NAMES)}); on Debian: apt-get install chromium"
        if os.environ.get(NEEDED):
            pytest.fail(reason)
        pytest.skip(reason)
    found = Browser(program)
    yield found
    found.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    report(path, BLOCKS)
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Browser]:
    """The report, freshly opened; no test may leave an error in its console."""
    browser.window(1300, 2600)
    browser.open(address)
    yield browser
    assert browser.problems == []


def chart(browser: Browser, key: str) -> dict[str, Any]:
    """What a panel's chart holds now."""
    return browser.run(
        f"""(() => {{
        const drawn = panelFrame.all.find(({{ panel }}) => panel.key === {json.dumps(key)});
        const {{ u, lines, note, places }} = drawn;
        const rows = [...drawn.rows].filter(([, {{ row }}]) => !row.hidden);
        const shown = (column) => u.data[0].filter((x, i) => u.data[column][i] != null);
        return {{
          label: u.axes[0].label, x: u.data[0], note: note.textContent, place: places.textContent,
          distr: [u.scales.x.distr, u.scales.y.distr], scale: [u.scales.x.min, u.scales.x.max],
          ticks: u.axes[0]._values, names: lines.map(({{ name }}) => name),
          y: lines.map(({{ y }}) => u.data[y].filter((v) => v != null)),
          raw: lines.map(({{ raw }}) => raw && u.data[raw].filter((v) => v != null)),
          ends: lines.map(({{ y }}) => [shown(y)[0], shown(y).at(-1)]),
          values: Object.fromEntries(rows.map(([name, {{ value }}]) => [name, value.textContent])),
        }};
        }})()"""
    )


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


def test_hovering_and_zooming(page: Browser) -> None:
    assert "(last point)" in chart(page, "train")["place"]
    box = page.run(
        "(({ x, y, width, height }) => [x, y, width, height])(panelFrame.all[0].u.over.getBoundingClientRect())"
    )
    x, y, width, height = box
    page.mouse("mouseMoved", x + width / 2, y + height / 2)
    page.settle()
    middle = chart(page, "train")
    at = float(middle["place"].removeprefix("step: "))
    index = middle["x"].index(at)
    value = middle["y"][0][index]
    assert middle["values"]["pre_ln"] == f"{value:#.4g} ({value - 0.17:#.4g} … {value + 0.17:#.4g})"
    assert "last point" not in chart(page, "val")["place"]  # the same quantity, so the same hover line
    page.mouse("mousePressed", x + width / 2, y + height / 2)
    for share in (0.6, 0.75):
        page.mouse("mouseMoved", x + width * share, y + height / 2)
    page.mouse("mouseReleased", x + width * 0.75, y + height / 2)
    page.settle()
    zoomed = chart(page, "train")["scale"]
    assert zoomed[0] == pytest.approx(at, abs=20) and zoomed[1] < 0.8 * middle["scale"][1]
    assert chart(page, "val")["scale"] == pytest.approx(zoomed, abs=20)
    page.click("#controls [name=weight][value='0.6']")
    assert chart(page, "train")["scale"] == zoomed  # still the same part
    page.click("#panel-train .u-over", count=2)
    assert chart(page, "train")["scale"] == middle["scale"]


def test_the_hover_line_by_keys(page: Browser) -> None:
    page.run("document.querySelector('#panel-train .plot').focus()")
    page.press("Home")
    assert chart(page, "train")["place"] == "step: 10"
    page.press("ArrowRight")
    assert chart(page, "train")["place"] == "step: 60"
    page.press("Escape")
    assert "(last point)" in chart(page, "train")["place"]


def test_sixty_curves_do_not_lag(browser: Browser, tmp_path: Path) -> None:
    report(tmp_path / "a.html", [f"block_{i}" for i in range(60)])
    browser.window(1300, 900)
    started = time.monotonic()
    browser.open((tmp_path / "a.html").as_uri() + "#axis=seconds")
    assert browser.run("panelFrame.all.some(({ u }) => u)") is False  # below a long table, and not drawn yet
    browser.run("panelFrame.all[0].plot.scrollIntoView()")
    browser.settle()
    assert len(chart(browser, "train")["names"]) == 60
    assert time.monotonic() - started < 5  # about a tenth of that on an idle machine
    moved = """(() => {
        const begun = performance.now();
        for (let i = 0; i < 20; i += 1) panelFrame.all[0].u.setCursor({ left: 5 * i, top: 10 });
        return (performance.now() - begun) / 20;
        })()"""
    assert browser.run(moved) < 50  # ms
    assert browser.problems == []


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


@pytest.mark.parametrize(
    ("name", "width", "dark", "chosen"),
    [
        ("light", 1300, False, ""),
        ("dark", 1300, True, "#axis=flops&smooth=0.9&logY=train&logX=val"),
        ("narrow", 390, False, "#axis=device_hours&smooth=0.97"),
    ],
)
def test_pictures(browser: Browser, address: str, name: str, width: int, dark: bool, chosen: str) -> None:
    browser.window(width, 900, dark)
    browser.open(address + chosen)
    size = "(({ scrollWidth, scrollHeight }) => [scrollWidth, scrollHeight])(document.documentElement)"
    wide, tall = browser.run(size)
    assert wide <= width  # nothing sticks out
    browser.window(width, tall, dark)
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 22, 26)" if dark else "rgb(255, 255, 255)")
    browser.picture(PICTURES / f"page_{name}.png")
    assert browser.problems == []


def test_paper_is_white_and_shows_every_chart(browser: Browser, address: str) -> None:
    browser.window(1300, 300, dark=True)
    browser.open(address)
    browser.run("addEventListener('beforeprint', () => { window.onPaper = looks.theme('ink'); })")
    pdf = browser.call("Page.printToPDF", printBackground=True)["data"]
    assert browser.run("window.onPaper") == "#000000" and browser.run("looks.theme('ink')") == "#ffffff"
    assert browser.run("panelFrame.all.filter(({ u }) => u).length") == 3
    assert len(pdf) > 20_000
    assert browser.problems == []
