"""Panels of curves: the pictures and the page hold what they were given, whatever it is called."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from simplify.compare import page
from simplify.compare.canvas import FORMATS
from simplify.compare.draw import draw_panels
from simplify.compare.page import Section, Table, write_page
from simplify.compare.panels import Curve, Panel, View, styles_of, with_views
from simplify.compare.styles import PALETTE, colour_of, style_of

BLOCKS = ["pre_ln", "parallel", "v_skipinit", "sas", "sas_p", "sas_p_no_norm"]
HOSTILE = [
    "</script><b>x",
    "<!--",
    "$\\frac{",
    "$a_b$",
    "_hidden",
    "a & b < c",
    'it\'s "so"',
    "__proto__",
    "${title}",
    "\u2028",
]
NAN = math.nan


def panel(*curves: Curve, key: str = "size", log_y: bool = False, log_x: bool = False) -> Panel:
    return Panel(key, f"Title of {key}", "What it means.", "layer", "rms", curves, log_y, log_x)


# Each one is a panel that has broken some drawing code somewhere.
EDGES = {
    "no curves": panel(),
    "one layer": panel(Curve("sas", [1], [2.0], [1.0], [3.0]), Curve("pre_ln", [1], [1.0])),
    "no points": panel(Curve("sas", [], [])),
    "all None": panel(Curve("sas", [1, 2], [None, None]), log_y=True),
    "constant": panel(Curve("sas", range(9), [1 + 1e-9 * i for i in range(9)])),
    "zero": panel(Curve("sas", range(9), [0.0] * 9)),
    "nothing positive": panel(Curve("sas", range(3), [0.0, -1.0, -2.0], [-1, -2, -3], [1, 0, 0]), log_y=True),
    "some positive": panel(Curve("sas", range(4), [0.0, 1e-30, -1.0, 1e30], [-1] * 4, [1e31] * 4), log_y=True),
    "gaps": panel(Curve("sas", range(5), [1.0, None, NAN, math.inf, 2.0], [None] * 5, [NAN] * 5)),
    "no place": panel(Curve("sas", [1, NAN, 3], [1.0, 2.0, 3.0])),
    "log x": panel(Curve("sas", [-1.0, 0.0, 1.0, 1e6], [1.0, 2.0, 3.0, 4.0]), log_x=True),
    "nothing on log x": panel(Curve("sas", [0.0], [1.0]), log_x=True),
    "twenty": panel(*(Curve(f"block_{i}", range(72), [i + math.sin(x / 9) for x in range(72)]) for i in range(20))),
    "hostile": panel(*(Curve(name, [1, 2], [i, i + 1.0]) for i, name in enumerate(HOSTILE)), key="</script>$_<&"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", EDGES.values(), ids=EDGES)
def test_every_panel_can_be_drawn(shape: Panel, tmp_path: Path) -> None:
    draw_panels([shape], "$_<&", [tmp_path / "a.svg"])
    ElementTree.parse(tmp_path / "a.svg")
    write_page([Section("", panels=[shape])], "$_<&", "", tmp_path / "a.html")
    assert [p["key"] for p in Page(tmp_path / "a.html").data["panels"]] == [shape.key]


@pytest.mark.parametrize("suffix", FORMATS)
def test_formats_and_sizes(suffix: str, tmp_path: Path) -> None:
    curves = [Curve(name, range(72), [i + x / 9 for x in range(72)]) for i, name in enumerate(BLOCKS[:3])]
    path = tmp_path / f"probe{suffix}"
    draw_panels([panel(*curves, key=key) for key in ("abcdef" if suffix == ".png" else "ab")], "panels", [path])
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start) and 10_000 < path.stat().st_size < 1_000_000
    if suffix == ".png":
        width, height = (int.from_bytes(path.read_bytes()[i : i + 4], "big") for i in (16, 20))
        assert 1500 < width < 2500 and 0.4 < height / width < 0.8


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = [name for name in HOSTILE if name.isprintable()]
    draw_panels([panel(*(Curve(name, [1, 2], [1.0, 2.0]) for name in names))], "a $title$", [tmp_path / "a.svg"])
    texts = {"".join(node.itertext()) for node in ElementTree.parse(tmp_path / "a.svg").iter() if "text" in node.tag}
    assert {*names, "a $title$", "Title of size", "layer", "rms"} <= texts


def test_long_names_stay_within_the_picture(tmp_path: Path) -> None:
    from matplotlib.image import imread

    names = [f"sas_no_mlp_skip, activation=leaky_relu, leaky_slope=0.{i}, lr=0.0001" for i in range(4)]
    curves = [Curve(name, [1, 2], [1.0 + i, 2.0]) for i, name in enumerate(names)]
    draw_panels([panel(*curves)], "", [tmp_path / "a.png"], width=3.3)
    picture = imread(tmp_path / "a.png")
    assert (picture[:, :3] == 1).all() and (picture[:, -3:] == 1).all()


def test_the_same_panels_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_panels([EDGES["twenty"]], "twice", [tmp_path / name])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_colours_agree_between_pictures() -> None:
    alone = {name: colour_of([name])[name] for name in BLOCKS}
    assert len(set(alone.values())) == len(BLOCKS)
    assert colour_of(["mine", *reversed(BLOCKS), "other"]).items() >= alone.items()
    assert colour_of(["sas", "mine", "sas"]) == colour_of(["sas", "mine"])
    mixed = colour_of(["a", "sas", "b", "c", "pre_ln", "d", "e", "f"])
    assert len(set(mixed.values())) == 8 == len(PALETTE) and mixed["sas"] == alone["sas"]
    # A name that is not well known takes a well-known block's colour only when no other is left.
    assert not {*colour_of(["a", "b"]).values()} & {*alone.values()}


def test_many_names_differ_by_colour_or_dashes() -> None:
    styles = style_of([*BLOCKS, *(f"block_{i}" for i in range(25))])
    assert len({(style.colour, style.dash) for style in styles.values()}) == len(styles) == 31
    assert all(style.width >= 1 for style in styles.values())


def test_names_come_in_the_order_in_which_they_are_drawn() -> None:
    first, second = panel(Curve("b", [], []), Curve("a", [], [])), panel(Curve("c", [], []), Curve("a", [], []))
    assert list(styles_of([first, second])) == ["b", "a", "c"]


def test_curves_that_do_not_fit_together() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Curve("sas", [1, 2], [1.0])
    with pytest.raises(ValueError, match="both low and high"):
        Curve("sas", [1], [1.0], low=[0.5])


class Page(HTMLParser):
    """What a browser makes of a page: its elements, attributes, texts, and the data in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[tuple[str, str]] = []
        self._in = ""
        self.feed(path.read_text(encoding="utf-8"))
        (data,) = [text for tag, text in self.texts if tag == "script application/json"]
        self.data: dict[str, Any] = json.loads(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self._in = f"{tag} {dict(attrs).get('type', '')}".strip()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._in, data.strip()))


def curves_of(page: Page, panel: int = 0, view: int = 0) -> list[dict[str, Any]]:
    """A panel's curves with their columns put in."""
    columns = page.data["columns"]
    return [
        {key: columns[value] if isinstance(value, int) else value for key, value in curve.items()}
        for curve in page.data["panels"][panel]["views"][view]["curves"]
    ]


def test_the_page_holds_the_data(tmp_path: Path) -> None:
    curve = Curve("sas", [3, 1, 2], [0.1, NAN, None], [0.0, -math.inf, None], [1 / 3, 1.0, 2.0])
    table = Table("Losses", [["block", "loss"], ["sas", "3.1"]], ["from one seed"])
    write_page([Section("Part", "Text", [table], [panel(curve, log_y=True)])], "Title", "Subtitle", tmp_path / "a.html")
    found = Page(tmp_path / "a.html")
    (shape,) = found.data["panels"]
    third = 0.3333333333
    assert curves_of(found) == [
        {"name": "sas", "x": [1, 2, 3], "y": [None, None, 0.1], "low": [None, None, 0.0], "high": [1.0, 2.0, third]}
    ]
    assert (shape["title"], shape["explanation"], shape["log_y"]) == ("Title of size", "What it means.", True)
    assert [style["colour"] for style in found.data["styles"]] == [*colour_of(["sas"]).values()]
    texts = [text for tag, text in found.texts if tag in ("h1", "h2", "h3", "p", "th", "td", "li")]
    assert texts[:-2] == ["Title", "Subtitle", "Part", "Text", "Losses", "block", "loss", "sas", "3.1"]
    assert texts[-2] == "from one seed"


def test_views_share_their_columns(tmp_path: Path) -> None:
    x, y = [list(map(float, range(50))), [7.0 * i for i in range(50)]], [1 / (i + 1) for i in range(50)]
    views = [View(key, key.title(), [Curve("sas", x[i], y, y, y)]) for i, key in enumerate(("step", "tokens"))]
    views.append(View("seconds", "Seconds", [Curve("sas", [*reversed(x[0])], y), Curve("late", [1.0], [2.0])]))
    shape = with_views("loss", "Loss", "", "nats", views, first="tokens", log_x=True, smooth=True)
    assert (shape.x_label, shape.curves) == ("Tokens", views[1].curves) and list(styles_of([shape])) == ["sas", "late"]
    write_page([Section("", panels=[shape])], "Title", "", tmp_path / "a.html")
    found = Page(tmp_path / "a.html")
    (data,) = found.data["panels"]
    assert (data["first"], data["log_x"], data["smooth"]) == ("tokens", True, True)
    assert [len(column) for column in found.data["columns"]] == [50, 50, 50, 50, 1, 1]  # y once as it is, once reversed
    assert curves_of(found, view=1)[0]["x"] == x[1] and curves_of(found, view=0)[0]["y"] == [
        float(f"{v:.10g}") for v in y
    ]
    with pytest.raises(ValueError, match="same key"):
        with_views("loss", "Loss", "", "nats", [views[0], views[0]])
    with pytest.raises(ValueError, match="none of its views"):
        Panel("loss", "Loss", "", "Step", "nats", [], views=views)


def test_words_stand_on_the_left_and_numbers_on_the_right(tmp_path: Path) -> None:
    rows = [["run", "block", "loss"], ["1", "sas", "3.1"], ["2", "pre_ln", "-"], ["3", "7b", "diverged"]]
    write_page([Section("", tables=[Table("", rows)])], "Title", "", tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert re.findall(r'class="text">(\w+)', text) == ["block", "sas", "pre_ln", "7b"]


def test_a_page_lists_its_sections_where_they_are_many(tmp_path: Path) -> None:
    for n, links in ((3, 0), (4, 4)):
        write_page([Section(f"Part {i}") for i in range(n)], "Title", "", tmp_path / "a.html")
        assert [tag for tag, _ in Page(tmp_path / "a.html").texts].count("a") == links
    with pytest.raises(ValueError, match="two panels have the key 'size'"):
        write_page([Section("", panels=[panel()]), Section("", panels=[panel()])], "Title", "", tmp_path / "a.html")


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    write_page([Section("", panels=[EDGES["twenty"]])], "Title", "", tmp_path / "a.html")
    found = Page(tmp_path / "a.html")
    assert not found.attributes & {"src", "href", "srcset", "action", "background", "poster"}
    assert not {"link", "iframe", "img", "object", "embed", "base"} & {*found.tags}
    styles = "".join(text for tag, text in found.texts if tag == "style")
    assert ".uplot" in styles and "@import" not in styles and "url(" not in styles
    scripts = "".join(text for tag, text in found.texts if tag == "script")
    assert "var uPlot=" in scripts and "Permission is hereby granted" in scripts
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|importScripts)\b|\bimport\s*\(", scripts)
    assert "default-src 'none'" in (tmp_path / "a.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_texts_stay_texts(tmp_path: Path) -> None:
    def write(text: str, shape: Panel, name: str) -> Page:
        sections = [Section(text, text, [Table(text, [[text], [text]], [text])], [shape])] + 3 * [Section(text)]
        write_page(sections, text, text, tmp_path / name)
        return Page(tmp_path / name)

    plain = write("plain", panel(), "plain.html")
    for name in HOSTILE:
        found = write(name, panel(Curve(name, [1], [1.0]), key=name), "a.html")
        assert found.tags == plain.tags
        assert curves_of(found)[0]["name"] == name == found.data["styles"][0]["name"]


def test_no_asset_ends_the_element_that_holds_it() -> None:
    for path in Path(page.__file__).parent.joinpath("assets").iterdir():
        text = path.read_text(encoding="utf-8").lower()
        assert path.name == "page.html" or not re.search(r"</(script|style)|<!--", text), path.name
        assert path.name != "uPlot.LICENSE" or "*/" not in text
