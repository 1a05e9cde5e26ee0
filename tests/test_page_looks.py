"""The page in a real browser: hovering, zooming, numbers, paper, speed, and pictures of it in build/screenshots/."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from browser import Browser
from conftest import ROOT
from page_tools import address, browser, chart, page, report

FIXTURES = (address, browser, page)

PICTURES = ROOT / "build" / "screenshots"


def test_hovering_and_zooming(page: Browser) -> None:
    assert chart(page, "train")["place"] == "each curve's last point"
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
    assert chart(page, "train")["place"] == "each curve's last point"


def test_sixty_curves_do_not_lag(browser: Browser, tmp_path: Path) -> None:
    report(tmp_path / "a.html", [f"block_{i}" for i in range(60)])
    browser.window(1300, 900)
    started = time.monotonic()
    browser.open((tmp_path / "a.html").as_uri() + "#axis=seconds")
    assert browser.run("panelFrame.all.some(({ u }) => u)") is False  # below a long table, and not drawn yet
    browser.run("panelFrame.all[0].plot.scrollIntoView()")
    browser.settle()
    assert len(chart(browser, "train")["names"]) == 60
    assert time.monotonic() - started < 10  # about a twentieth of that on an idle machine
    moved = """(() => {
        const begun = performance.now();
        for (let i = 0; i < 20; i += 1) panelFrame.all[0].u.setCursor({ left: 5 * i, top: 10 });
        return (performance.now() - begun) / 20;
        })()"""
    assert browser.run(moved) < 100  # ms; less than 1 on an idle machine
    assert browser.problems == []


def test_numbers_on_axes(page: Browser) -> None:
    def ticks(values: list[float | None], each: bool = False) -> list[str]:
        return page.run(f"scales.tickTexts({json.dumps(values)}, {json.dumps(each)})")

    assert ticks([0, 500, 1500]) == ["0", "500", "1500"]
    assert ticks([0, 5000, 10000]) == ["0", "5k", "10k"]
    assert ticks([0, 6e5, 1.2e6, None]) == ["0", "0.6M", "1.2M", ""]
    assert ticks([2.5e9, 3e9]) == ["2.5G", "3G"]
    assert ticks([0, 1e15, 3e15]) == ["0", "1e15", "3e15"]
    assert ticks([1e-5, 0.1, 1000, 1e4, 1e8, 1e18], each=True) == ["1e-5", "0.1", "1000", "10k", "100M", "1e18"]
    assert page.run("[1234567, 12345.6, 0.00012345, 0, -3e15].map((v) => scales.format(v, 3))") == [
        *("1.23M", "12300", "1.23e-4", "0", "-3e15")
    ]
    assert page.run("[3.1, 157000, 0].map((v) => scales.figures(v, 4))") == ["3.100", "157000", "0"]


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
