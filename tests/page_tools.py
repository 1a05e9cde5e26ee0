"""What the tests of the page share: a browser, a made-up report in it, and what its charts hold."""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import NAMES, Browser, find_browser

from simplify.compare.page import Section, Table, write_page
from simplify.compare.panels import Curve, Panel, View, with_views

NEEDED = "SIMPLIFY_NEED_BROWSER"  # set where the absence of a browser is a failure and no reason to skip
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
