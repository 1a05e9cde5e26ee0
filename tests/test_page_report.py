"""The page of a real report in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from browser import Browser
from conftest import ROOT
from page_tools import browser, chart
from report_tools import falling, make_run

Cli = Callable[..., Any]
FIXTURES = (browser,)
AXES = ("step", "tokens", "flops", "seconds", "device_hours")


PANELS = "panelFrame.all.map(({ panel }) => panel.key)"
SINGLE = "panelFrame.all.find(({ panel }) => panel.key === 'val/loss').lines.map(({ runs }) => runs.length)"
TOO_WIDE = (
    "[...document.querySelectorAll('.wide')].filter((one) => one.scrollWidth > one.clientWidth)"
    ".map((one) => one.textContent.slice(0, 40))"
)


def assert_runs_are_listed(browser: Browser, here: Path) -> None:
    """Each run with its id, seed and folder, and the command that made the page."""
    text = browser.run(
        "[...document.querySelectorAll('section.part')].slice(-2).map((part) => part.textContent).join()"
    )
    folders = [path for path in (here / "runs").iterdir() if not path.name.startswith(".")]
    assert len(folders) == 9
    for folder in folders:
        assert folder.name[-10:] in text and f"runs/{folder.name}" in text
    assert "simplify report --figure gains" in text


def test_the_report_opens_and_its_axes_switch(browser: Browser, cli: Cli, here: Path) -> None:
    """No error on the console, every axis draws, the common range cuts by FLOPs, and a screenshot is kept."""
    for seed in range(3):
        for block, loss in (("pre_ln", 4.0), ("sas", 4.05), ("sas_p", 3.98)):
            gains = [
                {"step": step, "alpha": {"mean": [1 - step / 1e3, 1 - step / 5e2], "sd": [0.01, 0.02]}}
                for step in range(0, 110, 10)
            ]
            words = [f"block={block}", f"seed={seed}"]
            make_run(here / "runs", words, falling(loss + seed / 50, 100), gains=gains if block != "pre_ln" else ())
    assert cli("report", "--figure", "gains").code == 0
    browser.window(1300, 2600)
    browser.open((here / "report" / "index.html").as_uri())
    ends: dict[str, float] = {}
    for axis in AXES:
        browser.click(f"#controls input[value={axis}]")
        found = chart(browser, "val/loss")
        assert set(found["values"]) == {"pre_ln", "sas", "sas_p"}
        ends[axis] = max(last for _, last in found["ends"])
    assert ends["step"] == 100 and ends["tokens"] == 100 * 128 and ends["seconds"] == 100
    browser.click("#controls input[value=flops]")
    cut = chart(browser, "val/loss")
    browser.click("#common")
    whole = chart(browser, "val/loss")
    assert max(last for _, last in cut["ends"]) == min(last for _, last in whole["ends"])
    assert "common range" in cut["note"] and len({round(last) for _, last in whole["ends"]}) == 2  # sas is sas_p here
    browser.click("#controls input[value=step]")
    assert browser.run("document.querySelectorAll('td .swatch').length") == 2 * 3  # what it learns, and what it costs
    titles = browser.run("[...document.querySelectorAll('h2')].map((head) => head.textContent)")
    assert titles == ["Answer", "Loss", "Training", "Gains of the layers", "Runs", "Made by"]
    assert [panel for panel in browser.run(PANELS) if panel in ("grad_norm", "lr", "tokens_per_sec")] == [
        "grad_norm",
        "lr",
    ]
    browser.click("#single")
    assert browser.run(SINGLE) == [3, 3, 3]
    assert_runs_are_listed(browser, here)
    browser.window(1280, 2600)
    assert browser.run(TOO_WIDE) == []  # no column is behind a scroll bar
    browser.picture(ROOT / "build" / "screenshots" / "report.png")
    assert browser.problems == []
